/* SPDX-License-Identifier: ISC */
/*
 * More clients than workers: what master/shed.h decides is looked for and
 * done here, from the master's loop. Reads the scoreboard, asks how many
 * connections wait, tells workers to let go of their clients, and logs it, a
 * line a second at most, whatever comes.
 */
#ifndef MASTER_OVERLOAD_H
#define MASTER_OVERLOAD_H

#include "master/child.h"
#include "master/scoreboard.h"
#include "master/shed.h"
#include "master/supervise.h"

#define OVERLOAD_LOOK_MS 200 /* between two looks while there is something to be looked at */

struct overload {
	struct stress stress;
	struct backlog backlog;
	unsigned next_foreign; /* slot of the one that is asked next */
	int64_t look_mono_ms; /* the next one, while there is stress */
	/* since the last line in the log */
	struct overload_count {
		unsigned shed, slow, turned_away;
	} count;
	char peer[80]; /* the one that waited longest of those who went */
	int64_t peer_waited_ms;
	int64_t said_mono_ms, flood_said_mono_ms;
};

/* One turn: worker[i] is that of slot i; count is what counts for the size of the pool. */
void overload_turn(struct overload *o, const struct master_limits *limits, const struct master_roles *roles,
		   struct scoreboard *board, const struct scoreboard_count *count, struct child *worker);
/* When the next turn is wanted; CLOCK_NEVER: whenever the loop comes by. */
int64_t overload_due_mono_ms(const struct overload *o);

#endif
