/* SPDX-License-Identifier: ISC */
/*
 * The session's view of its client: bytes with deadlines. Implemented by
 * listener/stream.c over a socket (and, later, TLS) and by the tests in
 * memory. Calls block until something happened or the deadline passed.
 */
#ifndef SESSION_IO_H
#define SESSION_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum io_result {
	IO_OK,
	IO_EOF, /* the client closed its side */
	IO_TIMEOUT, /* the deadline passed */
	IO_ERROR, /* the connection broke */
	IO_STOP /* read only: the service is stopping and wants this session to end (421) */
};

struct session_io;

struct session_io_ops {
	/* At least one byte, at most cap. */
	enum io_result (*read)(struct session_io *io, void *data, size_t cap, int64_t deadline_mono_ms,
			       size_t *got);
	/* All of it. */
	enum io_result (*write)(struct session_io *io, const void *data, size_t len, int64_t deadline_mono_ms);
	/*
	 * From now on (true) reads return IO_STOP at once when the service is
	 * stopping; while false (a transaction is open) only after its grace time.
	 */
	void (*interruptible)(struct session_io *io, bool yes);
};

struct session_io { /* embedded as first member */
	const struct session_io_ops *ops;
};

#endif
