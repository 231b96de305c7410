/* SPDX-License-Identifier: ISC */
/*
 * The line from the master to one child: a pipe whose read end the child
 * polls wherever it waits. The master says "retire" or "stop" by one byte; the
 * end of file says that the master is gone, which means stop. No signal is
 * used between our processes, so nothing depends on when one arrives.
 */
#ifndef BASE_CONTROL_H
#define BASE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/client_wait.h"

#define CONTROL_RETIRE 'r' /* finish what you have, take nothing new, end */
#define CONTROL_STOP 's' /* the service stops: the same, within the grace time */
#define CONTROL_SHED 'd' /* too many clients: look at `wait`, whether the one you have is to go */
#define CONTROL_CROWDED 'c' /* the same, by a master that cannot see `wait`: judge for yourself */
/*
 * A new generation has one of its own in this child's place: it serves who still asks it on its line, and ends
 * with that line, when the last of its generation is gone (auth, programs, keys).
 */
#define CONTROL_OLD 'o'

struct control {
	int fd; /* read end, non-blocking */
	int64_t grace_ms; /* how long open transactions may go on after STOP */
	bool retiring; /* also true when stopping */
	bool stopping;
	bool old; /* CONTROL_OLD was said */
	int64_t stop_by_mono_ms; /* when stopping: end of the grace time */
	struct client_wait *wait; /* workers: where it says how long it waits for its client; NULL: nowhere */
	void (*retired)(void *ctx); /* called once, from control_read, when retiring is set; NULL: nothing */
	void (*crowded)(void *ctx); /* CONTROL_CROWDED was said; NULL: nothing */
	void *ctx; /* of both */
};

/* A new line: the child's end, the master's end; both non-blocking, CLOEXEC. -1 and errno. */
int control_pair(int line[2]);

void control_init(struct control *c, int fd, int64_t grace_ms);
/* Call when fd is readable; never blocks. */
void control_read(struct control *c);

#endif
