/* SPDX-License-Identifier: ISC */
/* See overload.h. Runs in the master. */
#include "master/overload.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/control.h"
#include "base/log.h"
#include "figures/figures.h"

#define SAY_MS 1000

enum overload_fate { FATE_SHED, FATE_SLOW, FATE_TURNED_AWAY }; /* the label of posthouse_overload_clients */

/* ---- what there is to say ------------------------------------------------------------- */

static void say_stress(const struct overload *o, const struct scoreboard_count *count, unsigned max_workers)
{
	struct log_line line;

	log_begin(&line, o->stress.on ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "stress");
	log_str(&line, "state", o->stress.on ? "begins" : "over");
	log_int(&line, "busy", count->busy);
	log_int(&line, "max_workers", max_workers);
	log_end(&line);
}

/* Of a flood there is a line a second, with what came together since the last one. */
static void say_what_was_done(struct overload *o, unsigned waiting, int64_t now)
{
	const struct overload_count *c = &o->count;
	struct log_line line;

	if ((c->shed == 0 && c->slow == 0 && c->turned_away == 0) || now - o->said_mono_ms < SAY_MS)
		return;
	log_begin(&line, LOG_LEVEL_WARNING, "overload");
	log_int(&line, "shed", c->shed);
	log_int(&line, "slow", c->slow);
	log_int(&line, "turned_away", c->turned_away);
	log_int(&line, "backlog", waiting);
	if (o->peer[0]) {
		log_str(&line, "peer", o->peer);
		log_seconds(&line, "waited", o->peer_waited_ms);
	}
	log_end(&line);
	o->count = (struct overload_count){ 0 };
	o->peer[0] = '\0';
	o->peer_waited_ms = 0;
	o->said_mono_ms = now;
}

/* What workers did not say each for himself (scoreboard_may_log). */
static void say_flood(struct overload *o, struct scoreboard *board, int64_t now)
{
	struct log_line line;
	unsigned count;

	if (now - o->flood_said_mono_ms < SAY_MS ||
	    (count = atomic_exchange(&board->shared->flood_unsaid, 0)) == 0)
		return;
	log_begin(&line, LOG_LEVEL_WARNING, "flood");
	log_int(&line, "not_logged", count);
	log_end(&line);
	o->flood_said_mono_ms = now;
}

/* ---- clients that go -------------------------------------------------------------------- */

static void tell(struct overload *o, struct scoreboard *board, struct child *worker,
		 const struct shed_client *c)
{
	struct scoreboard_slot *slot = &board->slot[c->slot];

	if (o->peer[0] == '\0' || c->waited_ms > o->peer_waited_ms) {
		size_t len = strnlen(slot->peer, sizeof(o->peer) - 1);

		memcpy(o->peer, slot->peer, len);
		o->peer[len] = '\0';
		o->peer_waited_ms = c->waited_ms;
	}
	/* first the decision, then the byte that makes the worker look */
	atomic_store(&slot->wait.shed_episode, c->episode);
	child_tell(&worker[c->slot], CONTROL_SHED);
}

/* Clients that a worker waits for; *going: those that were told and are not gone yet. */
static size_t collect(const struct shed_policy *policy, const struct scoreboard *board,
		      const struct child *worker, struct shed_client *clients, unsigned *going, int64_t now)
{
	size_t n = 0;

	*going = 0;
	for (unsigned i = 0; i < board->slots; i++) {
		const struct scoreboard_slot *slot = &board->slot[i];

		if (worker[i].pid == 0 || atomic_load(&slot->state) != SLOT_BUSY)
			continue;
		clients[n].slot = i;
		*going += client_wait_is_shed(&slot->wait) && atomic_load(&slot->wait.since_mono_ms) != 0;
		n += shed_client_of(&clients[n], policy, &slot->wait, now);
	}
	return n;
}

/* Those whose time is up in stress; the others are moved to the front. */
static size_t end_overdue(struct overload *o, const struct shed_policy *policy, struct scoreboard *board,
			  struct child *worker, struct shed_client *clients, size_t count, unsigned *going)
{
	size_t left = 0;

	for (size_t i = 0; i < count; i++) {
		if (!shed_is_overdue(&clients[i], policy)) {
			clients[left++] = clients[i];
			continue;
		}
		tell(o, board, worker, &clients[i]);
		o->count.slow++;
		figures_add(FIGURE_CLIENTS_ENDED, FATE_SLOW, 0, 1);
		(*going)++;
	}
	return left;
}

/*
 * Workers of the executable before this one write elsewhere how long they wait: as many as there is room wanted are
 * asked to judge for themselves, others at each look. Those who go are not known here, and not counted.
 */
static void ask_foreign(struct overload *o, const struct scoreboard *board, struct child *worker,
			unsigned room)
{
	for (unsigned seen = 0; seen < board->slots && room > 0; seen++) {
		struct child *c = &worker[o->next_foreign++ % board->slots];

		if (c->pid == 0 || !c->foreign)
			continue;
		child_tell(c, CONTROL_CROWDED);
		room--;
	}
}

/* room: that many of those who wait in the backlog have no worker yet */
static void end_slow_ones(struct overload *o, const struct shed_policy *policy, struct scoreboard *board,
			  struct child *worker, unsigned room, int64_t now)
{
	struct shed_client *clients = mem_array(board->slots, sizeof(*clients));
	unsigned going;
	size_t count = collect(policy, board, worker, clients, &going, now);

	ask_foreign(o, board, worker, room);
	count = end_overdue(o, policy, board, worker, clients, count, &going);
	if (room > going) {
		size_t chosen = shed_choose(clients, count, policy, room - going);

		for (size_t i = 0; i < chosen; i++)
			tell(o, board, worker, &clients[i]);
		o->count.shed += (unsigned)chosen;
		figures_add(FIGURE_CLIENTS_ENDED, FATE_SHED, 0, chosen);
	}
	free(clients);
}

/* ---- clients that nobody has time for ----------------------------------------------------- */

/* Clients that workers have accepted since the beginning. */
static uint64_t taken(const struct scoreboard *board)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < board->slots; i++)
		n += atomic_load(&board->slot[i].clients);
	return n;
}

/* taken: from before `waiting` was asked for, so nobody is in both. */
static void tell_overdue(struct overload *o, const struct shed_policy *policy,
			 const struct master_roles *roles, struct scoreboard *board, uint64_t taken,
			 unsigned waiting, int64_t now)
{
	unsigned told = atomic_exchange(&board->shared->turned_away, 0), overdue;

	o->count.turned_away += told;
	figures_add(FIGURE_CLIENTS_ENDED, FATE_TURNED_AWAY, 0, told);
	backlog_turned_away(&o->backlog, told);
	overdue = backlog_note(&o->backlog, policy, waiting, taken, now);
	if (overdue > 0 && roles->turn_away)
		roles->turn_away(roles->ctx, overdue);
}

/* ---- the turn ----------------------------------------------------------------------------------- */

/*
 * Whether some are idle at this very moment says little: between two clients each of them is. What counts is
 * that no more may be started, and that connections wait for more than those who are free.
 */
static void look(struct overload *o, const struct master_limits *limits, const struct master_roles *roles,
		 struct scoreboard *board, struct child *worker, const struct scoreboard_count *count,
		 int64_t now)
{
	bool full = count->total >= limits->pool.max_workers && roles->waiting;
	uint64_t taken_before = taken(board);
	unsigned waiting = full ? roles->waiting(roles->ctx) : 0,
		 free_workers = count->idle + count->starting;

	o->look_mono_ms = now + OVERLOAD_LOOK_MS;
	end_slow_ones(o, &limits->shed, board, worker, waiting > free_workers ? waiting - free_workers : 0,
		      now);
	tell_overdue(o, &limits->shed, roles, board, taken_before, waiting, now);
	figures_set(FIGURE_BACKLOG, 0, 0, waiting);
	say_what_was_done(o, waiting, now);
}

void overload_turn(struct overload *o, const struct master_limits *limits, const struct master_roles *roles,
		   struct scoreboard *board, const struct scoreboard_count *count, struct child *worker)
{
	int64_t now = clock_mono_ms();
	bool changed;

	say_flood(o, board, now);
	if (limits->shed.stress_workers == 0 || now < o->look_mono_ms)
		return;
	changed = stress_update(&o->stress, &limits->shed, count->busy, now);
	atomic_store(&board->shared->stressed, o->stress.on);
	figures_set(FIGURE_STRESS, 0, 0, o->stress.on);
	if (changed)
		say_stress(o, count, limits->pool.max_workers);
	if (!o->stress.on)
		figures_set(FIGURE_BACKLOG, 0, 0, 0);
	else
		look(o, limits, roles, board, worker, count, now);
}

int64_t overload_due_mono_ms(const struct overload *o)
{
	return o->stress.on ? o->look_mono_ms : CLOCK_NEVER;
}
