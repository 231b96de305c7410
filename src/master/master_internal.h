/* SPDX-License-Identifier: ISC */
/*
 * The master in three files: supervise.c (signals, the loop, the stop), family.c (children: how they are born
 * and what is done when they die), turnover.c (new ones in the place of old ones). This is what they share.
 */
#ifndef MASTER_INTERNAL_H
#define MASTER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "master/backoff.h"
#include "master/child.h"
#include "master/overload.h"
#include "master/supervise.h"

#define TICK_MS 1000 /* how often the pool is looked at without a reason */
#define KILL_GRACE_MS 2000 /* after stop_timeout: for a child's own last words */

struct master {
	const struct master_limits *limits;
	const struct master_roles *roles;
	struct scoreboard *board;
	struct child *worker; /* by slot; room for as many as the board can have */
	struct child *other; /* of all other roles, present ones and old ones, and free places; owned */
	unsigned other_count;
	struct backoff backoff[CHILD_ROLES];
	struct overload overload;
	unsigned generation; /* of the last worker started: a number for each */
	unsigned batch; /* of the workers started now: those of another are to be replaced */
	int signal_fd;
	int wake_fd[2]; /* workers write: idle ones run out */
	bool announced; /* ready() was called for what there is now */
	bool was_ready; /* ready() was called at least once */
	bool worker_lost; /* one died, perhaps when it alone had been woken for a client: the next looks at the sockets */
	bool turning; /* there are workers of an earlier batch that have not been told yet */
	bool held_back; /* for may_retire() */
	int64_t begun_mono_ms; /* when the last change came */
	int64_t told_mono_ms; /* when they were */
	bool reload_wanted; /* HUP came before all was ready for the first time */
	bool stopping;
	int64_t revert_at_mono_ms; /* with an executable before this one: when it has to be ready */
	int64_t reminded_mono_ms;
	bool never_ready; /* a child could not even start, before the service was ready */
	int64_t kill_at_mono_ms;
	int64_t last_shrink_mono_ms;
	int64_t last_tick_mono_ms;
};

/* All places of children, by a number below family_places(): free ones (pid 0) among them. */
unsigned family_places(const struct master *m);
struct child *family_at(const struct master *m, unsigned place);
/* How many there are. */
unsigned family_alive(const struct master *m);

/* Starts what is missing. */
void family_start_others(struct master *m);
void family_grow_pool(struct master *m);
void family_shrink_pool(struct master *m);
/* Buries who has died. */
void family_reap(struct master *m);
/* Ends those whose time is over. */
void family_kill_overdue(struct master *m);

/* Takes those over who were children of this process before the executable was replaced. */
void turnover_inherit(struct master *m);
/* About once a second: what strangers may have committed without a word that reached us is looked for. */
void turnover_remind(struct master *m);
/* What is to be replaced is known from now on, and begins to be. */
void turnover_begin(struct master *m, enum master_change change);
/* Call in each turn: tells the old workers when the new ones are there. */
void turnover_step(struct master *m);
/*
 * What new workers ask (auth, programs, keys) has not started yet: a client would hear that there is no AUTH. The
 * old workers serve meanwhile, and not for ever.
 */
bool turnover_awaits_helpers(const struct master *m);
/* Whether who comes now is served by the present batch; but for clients for whom old workers are held back. */
bool turnover_is_over(const struct master *m);
/* Whether a worker is of an earlier batch. */
bool turnover_is_stale(const struct master *m, const struct child *worker);
/* What counts for the size of the pool: those of the present batch, and sessions of earlier ones. */
void turnover_count(const struct master *m, struct scoreboard_count *count);

/* A hook has said so. */
void master_take(struct master *m, enum master_change change);
/* A child could not start before all was ready for the first time: back to the old executable, or the end. */
void master_failed_to_start(struct master *m);

#endif
