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

#define CONTROL_RETIRE 'r' /* finish what you have, take nothing new, end */
#define CONTROL_STOP 's' /* the service stops: the same, within the grace time */

struct control {
	int fd; /* read end, non-blocking */
	int64_t grace_ms; /* how long open transactions may go on after STOP */
	bool retiring; /* also true when stopping */
	bool stopping;
	int64_t stop_by_mono_ms; /* when stopping: end of the grace time */
	void (*retired)(void *ctx); /* called once, from control_read, when retiring is set; NULL: nothing */
	void *ctx;
};

void control_init(struct control *c, int fd, int64_t grace_ms);
/* Call when fd is readable; never blocks. */
void control_read(struct control *c);

#endif
