/* SPDX-License-Identifier: ISC */
/* The session's byte stream over a connected socket, with deadlines (session/io.h). */
#ifndef LISTENER_STREAM_H
#define LISTENER_STREAM_H

#include <stdint.h>

#include "base/control.h"
#include "session/io.h"

struct stream {
	struct session_io io; /* hand this to session_run */
	int fd;
	struct control *control; /* not owned; watched while waiting */
	bool interruptible;
};

/* fd must be non-blocking; it stays the caller's. */
void stream_init(struct stream *s, int fd, struct control *control);
/*
 * Ends our side and waits, for at most that long, for the client to end its
 * own, dropping what it still sends: closing on unread input makes the kernel
 * send a reset, which can take our last words (a 421) from the client.
 */
void stream_linger(struct stream *s, int64_t most_ms);

#endif
