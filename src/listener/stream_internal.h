/* SPDX-License-Identifier: ISC */
/* What stream.c (the socket) and stream_tls.c (TLS over it) have of each other. */
#ifndef LISTENER_STREAM_INTERNAL_H
#define LISTENER_STREAM_INTERNAL_H

#include "listener/stream.h"

/* ---- the socket ------------------------------------------------------------------- */

/* The service is stopping, and what goes on here is to end now. */
bool stream_must_stop(const struct stream *s);
/* As session_io_ops.read; stoppable: IO_STOP may come of it. */
enum io_result stream_receive(struct stream *s, void *data, size_t cap, int64_t deadline_mono_ms, bool stoppable,
			      size_t *got);
enum io_result stream_send(struct stream *s, const void *data, size_t len, int64_t deadline_mono_ms);

/* ---- TLS ---------------------------------------------------------------------------- */

/* Sets s->tls, also when it fails: then nothing more can be read or written. */
enum io_result stream_tls_start(struct stream *s, int64_t deadline_mono_ms, struct err *e);
enum io_result stream_tls_read(struct stream_tls *t, void *data, size_t cap, int64_t deadline_mono_ms, size_t *got);
enum io_result stream_tls_write(struct stream_tls *t, const void *data, size_t len, int64_t deadline_mono_ms);
/* NULL before the handshake is done */
const struct session_tls *stream_tls_info(const struct stream_tls *t);
void stream_tls_end(struct stream_tls *t);

#endif
