/* SPDX-License-Identifier: ISC */
/*
 * The master's life: starts the worker pool and the other roles, sizes the pool, reaps and restarts what dies,
 * puts new children in the place of old ones, stops it all. Knows nothing of SMTP; what a child does is a function
 * it is given. Never reads a byte from the network.
 *
 * A generation is what roles and limits say at one time. When they change, nobody is cut off: new workers are
 * started, and when they wait for clients the old ones are told to retire, idle ones at once, the others behind
 * their session. Of the other roles the relay and the monitor end before the next ones start; auth, programs
 * and keys are old from then on, and end when the last of their generation is gone (base/control.h).
 */
#ifndef MASTER_SUPERVISE_H
#define MASTER_SUPERVISE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/control.h"
#include "base/err.h"
#include "master/child.h"
#include "master/pool.h"
#include "master/scoreboard.h"
#include "master/shed.h"

/* What a child is born with. */
struct child_start {
	struct control control; /* the line from the master */
	struct scoreboard *board;
	struct scoreboard_slot *slot; /* workers only */
	unsigned generation; /* workers only */
	int wake_fd; /* workers: write one byte when idle workers run out; non-blocking */
};

/* What a hook has changed. */
enum master_change {
	MASTER_SAME,
	MASTER_WORKERS, /* what workers inherit: they are replaced */
	MASTER_KEYS, /* that, and the private keys beside it: their process is replaced, too */
	MASTER_GENERATION, /* roles and limits: all children are replaced */
	MASTER_EXECUTE /* nothing yet: execute() is to be called */
};

/*
 * Hooks run in the master and must not block for long; those of the same name as a signal are called for it.
 * All but run[ROLE_WORKER] may be NULL. What the master is given here may be changed by a hook that returns
 * MASTER_GENERATION, ctx included.
 */
struct master_roles {
	/* Each runs in the child until its end; the return value is the exit status. */
	int (*run[CHILD_ROLES])(void *ctx,
				struct child_start *start); /* by role; NULL: this service has none */
	/* Code that is not ours runs in workers: then, and only then, what they say of its deadline has them ended. */
	bool guests;
	/* A worker has ended, however it did: nobody is in its slot. */
	void (*worker_ended)(void *ctx, unsigned slot);
	/* A worker died in disorder: it may have committed mail without telling. */
	void (*worker_lost)(void *ctx);
	/* Workers wait for clients, the others have started: at the start, and again for each generation. */
	void (*ready)(void *ctx);
	/* The stop has begun: clients and deliveries under way have their time. */
	void (*stopping)(void *ctx);
	enum master_change (*reload)(void *ctx); /* HUP; NULL: it is refused */
	enum master_change (*upgrade)(void *ctx); /* USR2; NULL: it is refused */
	void (*reopen)(void *ctx); /* USR1: the log was moved away and is opened anew */
	/* Called about once a second, for what the master does by time. */
	enum master_change (*tick)(void *ctx);
	/* A process that is no child of the master's list has ended: one that a hook has started. */
	enum master_change (*ended)(void *ctx, pid_t pid, int wait_status);
	/* In a child, before its role runs. */
	void (*born)(void *ctx, enum child_role role);
	/* The children of the generation before have been told, and none was forked since the change. */
	void (*turned)(void *ctx);
	/* Workers of an earlier batch may be told to retire; false: they are still needed. */
	bool (*may_retire)(void *ctx);
	/* They have been told: idle ones go now. */
	void (*retired)(void *ctx);
	/*
	 * The executable is to be replaced in place: all children live on as children of this process. Returns
	 * only when that failed.
	 */
	void (*execute)(void *ctx, const struct child *const *child, unsigned count);
	/*
	 * After an executable was replaced, before ready() was called: a child could not start. Returns only when
	 * that failed. NULL: there is nothing to go back to.
	 */
	void (*revert)(void *ctx, const struct child *const *child, unsigned count);
	/* Connections in the backlogs of all listening sockets. NULL: nobody knows, and nobody has to go for them. */
	unsigned (*waiting)(void *ctx);
	/* So many of them, those that wait longest, are to hear 421; who does it counts them (turned_away). */
	void (*turn_away)(void *ctx, unsigned count);
	/* The master waits for this descriptor, too, and calls that when it is readable. NULL: there is none. */
	int watch_fd;
	void (*watch)(void *ctx);
	void *ctx;
	/* Children of this process from before its executable was replaced. */
	const struct child *inherited;
	unsigned inherited_count;
};

struct master_limits {
	struct pool_limits pool;
	int64_t stop_timeout_ms;
	struct shed_policy shed; /* stress_workers 0: there is none */
};

/*
 * Runs until TERM or INT and the end of all children. Returns 0 after an
 * orderly stop, -1 when it could not start: also when a child ended with a failure before ready() was called.
 * Signals are blocked and read through a descriptor: there is no signal handler in this program.
 */
int master_run(const struct master_limits *limits, const struct master_roles *roles, struct scoreboard *board,
	       struct err *e);

#endif
