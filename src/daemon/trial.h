/* SPDX-License-Identifier: ISC */
/*
 * Something that is tried in a process of its own before the service stakes itself on it: a configuration, an
 * executable. It has a deadline, it may crash, and nobody waits for it: the master looks at it once a second,
 * and when it has ended. What it says on the way is kept, line by line.
 */
#ifndef DAEMON_TRIAL_H
#define DAEMON_TRIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

struct trial {
	pid_t pid; /* 0: nothing is being tried */
	int words_fd;
	struct buf words;
	int64_t deadline_mono_ms;
};
#define TRIAL_WORDS_MAX (256 << 10) /* more is cut */

void trial_init(struct trial *t);
/*
 * try runs in the child, with signals as a fresh program has them; what it writes to words_fd is kept, and 0
 * from it means that all is well.
 */
int trial_begin(struct trial *t, int (*try)(void *ctx, int words_fd), void *ctx, int64_t timeout_ms,
		struct err *e);
/* Call about once a second: kills it when its time is over. */
void trial_tick(struct trial *t);
/* A process has ended: true when it was that, and then it is over and its words can be heard. */
bool trial_ended(struct trial *t, pid_t pid);
/* What it has said, a line at a time; then it is forgotten. Returns how many lines there were. */
unsigned trial_hear(struct trial *t, void (*line)(void *ctx, const char *text), void *ctx);
/* It does not matter any more. Also for a child that has it from its parent. */
void trial_abandon(struct trial *t, bool kill_it);

#endif
