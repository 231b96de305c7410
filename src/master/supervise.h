/* SPDX-License-Identifier: ISC */
/*
 * The master's life: starts relay, auth, programs and the worker pool, sizes the pool,
 * reaps and restarts what dies, stops it all. Knows nothing of SMTP; what a
 * child does is a function it is given. Never reads a byte from the network.
 */
#ifndef MASTER_SUPERVISE_H
#define MASTER_SUPERVISE_H

#include <stdbool.h>

#include "base/control.h"
#include "base/err.h"
#include "master/child.h"
#include "master/pool.h"
#include "master/scoreboard.h"

/* What a child is born with. */
struct child_start {
	struct control control; /* the line from the master */
	struct scoreboard *board;
	struct scoreboard_slot *slot; /* workers only */
	unsigned generation; /* workers only */
	int wake_fd; /* workers: write one byte when idle workers run out; non-blocking */
};

struct master_roles {
	/* Each runs in the child until its end; the return value is the exit status. */
	int (*run[CHILD_ROLES])(void *ctx, struct child_start *start); /* by role; NULL: this service has none */
	/* A worker has ended, however it did: nobody is in its slot. May be NULL. */
	void (*worker_ended)(void *ctx, unsigned slot);
	/* A worker died in disorder: it may have committed mail without telling. */
	void (*worker_lost)(void *ctx);
	/* Workers wait for clients, the others have started. */
	void (*ready)(void *ctx);
	/* The stop has begun: clients and deliveries under way have their time. May be NULL. */
	void (*stopping)(void *ctx);
	/*
	 * HUP: what workers inherit is read again. Returns whether it is another now: then the workers retire
	 * (idle ones at once, the others behind their session) and new ones are forked. NULL: HUP is refused.
	 */
	bool (*reload)(void *ctx);
	/*
	 * Called about once a second, for what the master does by time; returns as reload does. May be NULL.
	 */
	bool (*tick)(void *ctx);
	/* The master waits for this descriptor, too, and calls that when it is readable. NULL: there is none. */
	int watch_fd;
	void (*watch)(void *ctx);
	void *ctx;
};

struct master_limits {
	struct pool_limits pool;
	int64_t stop_timeout_ms;
};

/*
 * Runs until TERM or INT and the end of all children. Returns 0 after an
 * orderly stop, -1 when it could not start: also when a child ended with a failure before ready() was called.
 * Signals are blocked and read through a descriptor: there is no signal handler in this program.
 */
int master_run(const struct master_limits *limits, const struct master_roles *roles, struct scoreboard *board,
	       struct err *e);

#endif
