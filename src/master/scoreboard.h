/* SPDX-License-Identifier: ISC */
/*
 * Shared memory between the master and its children: one slot a worker, one
 * writer a slot. The master reads it to size the pool, others to show what
 * goes on. A slot carries the generation of the worker the master put there,
 * so that a late report of a dead one is recognised and dropped.
 */
#ifndef MASTER_SCOREBOARD_H
#define MASTER_SCOREBOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/client_wait.h"
#include "base/err.h"
#include "master/child.h"

enum slot_state {
	SLOT_FREE, /* no process */
	SLOT_STARTING, /* forked, not yet waiting for clients */
	SLOT_IDLE,
	SLOT_BUSY, /* has a session */
	SLOT_LEAVING /* takes no more sessions */
};

struct scoreboard_slot {
	_Atomic(enum slot_state) state;
	_Atomic unsigned generation;
	_Atomic pid_t pid;
	_Atomic int64_t since_mono_ms; /* of the present state */
	/* of this slot, over all its workers; clients counts when they are accepted, sessions when they are over */
	_Atomic uint64_t clients, sessions, accepted, rejected;
	struct client_wait wait; /* for its client, while it is busy */
	char peer[80]; /* torn reads are possible and harmless: for people only */
	char verb[16];
	/*
	 * Code that is not ours runs in this worker (a module), until then at most; 0: it does not. Who dies
	 * meanwhile died of that code.
	 */
	_Atomic int64_t guest_deadline_mono_ms;
	char guest[40], guest_function[40];
};

/* Lines in the log that strangers can have for next to nothing. */
enum scoreboard_lines {
	LINES_OF_TALK, /* connections that came to nothing, commands that are none */
	LINES_OF_MAIL, /* a client, a sender, a recipient or a content that is refused: somebody may look for it */
	SCOREBOARD_FLOODS
};

struct scoreboard_flood {
	_Atomic int64_t second;
	_Atomic unsigned lines; /* in it, of all workers */
};

struct scoreboard_shared {
	_Atomic bool rescan_wanted; /* a notice of new mail was lost: the relay must list the spool */
	_Atomic bool ready[CHILD_ROLES]; /* by role: it has started; workers tell by their slots */
	_Atomic unsigned relay_queued; /* messages the relay knows of; UINT_MAX: it is finding out */
	/* clients that heard 421 in the backlog, since the master looked (overload.c) */
	_Atomic unsigned turned_away;
	/* many workers are busy: what begins now has the time-outs of then (overload.h) */
	_Atomic bool stressed;
	struct scoreboard_flood flood[SCOREBOARD_FLOODS]; /* by what they are about (scoreboard_may_log) */
	_Atomic unsigned flood_unsaid; /* lines of all of them, since the master told how many it were */
	_Atomic bool watched; /* an operator watches: log lines are to be sent to the relay too (daemon/events.h) */
	_Atomic uint64_t watch_lost; /* lines that could not be */
	struct scoreboard_slot slot[];
};

/* There is room for so many; only what is used takes memory. */
#define SCOREBOARD_SLOTS_MAX 30000

/*
 * Each process has its own of this: what is shared any worker can overwrite, and the master counts by
 * `slots`.
 */
struct scoreboard {
	unsigned slots; /* in use; a process that was forked before there were more knows of fewer */
	struct scoreboard_shared *shared;
	struct scoreboard_slot *slot; /* shared->slot */
};

/* slots: at most SCOREBOARD_SLOTS_MAX, here and below */
int scoreboard_create(struct scoreboard **board, unsigned slots, struct err *e);
/* In the master: there are as many from now on, for it and those it forks. Never fewer than there were. */
void scoreboard_grow(struct scoreboard *board, unsigned slots);
void scoreboard_destroy(struct scoreboard *board);

struct scoreboard_count {
	unsigned total, starting, idle, busy, leaving;
};
void scoreboard_count(const struct scoreboard *board, struct scoreboard_count *count);
/* Counts one slot. */
void scoreboard_add(const struct scoreboard *board, unsigned slot, struct scoreboard_count *count);

/* By the worker: its new state; dropped when the slot has another generation by now. */
void scoreboard_set(struct scoreboard_slot *slot, unsigned generation, enum slot_state state);
/*
 * By the worker: a line in the log that a stranger has for next to nothing. False: there were as many in this
 * second as may be, and this one is only counted.
 */
#define SCOREBOARD_LINES_OF_TALK 20 /* a second */
#define SCOREBOARD_LINES_OF_MAIL 200
bool scoreboard_may_log(struct scoreboard *board, enum scoreboard_lines about, int64_t now_mono_ms);
/* By the worker: that code is called, and is back. */
void scoreboard_guest_enters(struct scoreboard_slot *slot, const char *guest, const char *function,
			     int64_t deadline_mono_ms);
void scoreboard_guest_left(struct scoreboard_slot *slot);
void scoreboard_note(struct scoreboard_slot *slot, const char *peer, const char *verb); /* NULL leaves it */

#endif
