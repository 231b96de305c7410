/* SPDX-License-Identifier: ISC */
/* Waiting for a client on all listening sockets at once, in each worker. */
#ifndef LISTENER_ACCEPTOR_H
#define LISTENER_ACCEPTOR_H

#include <stdint.h>

#include "base/err.h"
#include "base/control.h"
#include "listener/socket.h"

struct acceptor {
	int epoll_fd;
	const struct listening_set *set;
	struct control *control;
	int probe_fd; /* the line of our own health checks; -1: none (daemon/worker_probe.c) */
	int64_t wake_mono_ms; /* acceptor_next returns ACCEPTOR_WAKE then; CLOCK_NEVER after acceptor_open */
};

#define ACCEPTOR_WAKE (-2)

/* The set, the control line and probe_fd (-1: none) outlive it. */
int acceptor_open(struct acceptor *a, const struct listening_set *set, struct control *control, int probe_fd,
		  struct err *e);
void acceptor_close(struct acceptor *a);

/*
 * Blocks until a client is there: its non-blocking socket is returned and
 * *from is where it came in; NULL: it is a health check of our own, by the probe line. -1 when the control line said to take no more,
 * ACCEPTOR_WAKE when its time came first.
 * The kernel wakes one waiting worker a connection, not all (EPOLLEXCLUSIVE).
 */
int acceptor_next(struct acceptor *a, const struct listening **from);

#endif
