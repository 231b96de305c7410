/* SPDX-License-Identifier: ISC */
/*
 * Who is told of system calls that were not allowed, and says what becomes of them: the master. Children hand
 * it the listeners of their filters over a line that all of them inherit (a listener cannot be read from
 * outside), right when they enter the filter and before a stranger can have said anything to them. What is read
 * here are the kernel's structures.
 */
#ifndef SANDBOX_WATCH_H
#define SANDBOX_WATCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "sandbox/filter.h"

/* What a child says of itself when it hands over its listener. */
struct sandbox_subject {
	int role; /* the caller's word for it */
	enum sandbox_mode mode;
	bool lenient; /* code that is not ours: refused and not ended */
};

enum sandbox_action { SANDBOX_KILLED, SANDBOX_REFUSED, SANDBOX_ALLOWED };

struct sandbox_violation {
	int role;
	pid_t pid; /* of the process or thread, which may be a child of the one that is under the filter */
	const char *call; /* "?" when it has no name */
	int number;
	enum sandbox_action action;
};

struct sandbox_watch;

/* report is called from sandbox_watch_run. */
struct sandbox_watch *sandbox_watch_new(void (*report)(void *ctx, const struct sandbox_violation *v),
					void *ctx, struct err *e);
/* Closes it, and all listeners: what is not allowed fails with ENOSYS from then on. NULL is fine. */
void sandbox_watch_free(struct sandbox_watch *w);

/* Readable when sandbox_watch_run has something to do. */
int sandbox_watch_fd(const struct sandbox_watch *w);
/* Never blocks; leaves the rest for the next turn when there is much. */
void sandbox_watch_run(struct sandbox_watch *w);

/* In a child: hands the listener over and closes it here, with all else of the watch. Only calls of CALLS_LIVE. */
int sandbox_watch_hand_over(struct sandbox_watch *w, const struct sandbox_subject *subject, int listener,
			    struct err *e);
/* In a child that has no listener: closes all of the watch. NULL is fine. */
void sandbox_watch_leave(struct sandbox_watch *w);

/*
 * For a master that goes on as another program: each listener, with who it is of. What each() does is the
 * caller's, like clearing FD_CLOEXEC; sandbox_watch_add takes one in again.
 */
void sandbox_watch_each(struct sandbox_watch *w,
			void (*each)(void *ctx, const struct sandbox_subject *s, int listener), void *ctx);
int sandbox_watch_add(struct sandbox_watch *w, const struct sandbox_subject *s, int listener, struct err *e);

#endif
