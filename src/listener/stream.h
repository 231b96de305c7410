/* SPDX-License-Identifier: ISC */
/* The session's byte stream over a connected socket, in the clear or in TLS, with deadlines (session/io.h). */
#ifndef LISTENER_STREAM_H
#define LISTENER_STREAM_H

#include <stdint.h>

#include "base/control.h"
#include "session/io.h"

struct tls_server;
struct stream_tls;

struct stream {
	struct session_io io; /* hand this to session_run */
	int fd;
	struct control *control; /* not owned; watched while waiting */
	bool interruptible;
	const struct tls_server *server; /* not owned; NULL: it can only be in the clear */
	struct stream_tls *tls; /* owned; NULL: in the clear */
};

/* fd must be non-blocking; it stays the caller's. */
void stream_init(struct stream *s, int fd, struct control *control);
/* It can do TLS: ops->start_tls begins it. The server outlives the stream. */
void stream_offer_tls(struct stream *s, const struct tls_server *server);
/* What protects it; NULL: it is in the clear. */
const struct session_tls *stream_tls_of(const struct stream *s);
/*
 * Ends TLS, if there is any, in order (close_notify, without waiting) and frees it. Nothing can be read or
 * written after that but by stream_linger.
 */
void stream_close(struct stream *s);
/*
 * Ends our side and waits, for at most that long, for the client to end its
 * own, dropping what it still sends: closing on unread input makes the kernel
 * send a reset, which can take our last words (a 421) from the client.
 */
void stream_linger(struct stream *s, int64_t most_ms);

#endif
