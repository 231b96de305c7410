/* SPDX-License-Identifier: ISC */
/*
 * New children in the place of old ones, with somebody there for clients at all times: what workers inherit
 * has changed, or all of it (a generation), or the executable, whose children are then strangers to this one.
 * Part of supervise.h. Runs in the master.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "master/master_internal.h"

#define HELPERS_MS 10000 /* for what new workers ask, before they start without */
#define REMIND_MS 60000
#define TELLING_MS 2000 /* in which a worker that waits for clients hears that it is to go */

bool turnover_is_stale(const struct master *m, const struct child *worker)
{
	return worker->foreign || worker->batch != m->batch;
}

/* A stranger writes to another board than ours. */
static bool has_session(const struct master *m, const struct child *c)
{
	return c->foreign ? c->told : atomic_load(&m->board->slot[c->slot].state) == SLOT_BUSY;
}

void turnover_count(const struct master *m, struct scoreboard_count *count)
{
	*count = (struct scoreboard_count){ 0 };
	for (unsigned i = 0; i < m->board->slots; i++) {
		const struct child *c = &m->worker[i];

		if (c->pid == 0)
			continue;
		if (!turnover_is_stale(m, c))
			scoreboard_add(m->board, i, count);
		else if (has_session(m, c)) /* an idle one is as good as gone */
			count->total++;
	}
}

static bool has_stale(const struct master *m)
{
	for (unsigned i = 0; i < m->board->slots; i++)
		if (m->worker[i].pid != 0 && !m->worker[i].told && turnover_is_stale(m, &m->worker[i]))
			return true;
	return false;
}

bool turnover_awaits_helpers(const struct master *m)
{
	static const enum child_role helpers[] = { ROLE_AUTH, ROLE_PROGRAMS, ROLE_KEYS };

	if (!m->turning || !has_stale(m) || clock_mono_ms() - m->begun_mono_ms >= HELPERS_MS)
		return false;
	for (size_t i = 0; i < sizeof(helpers) / sizeof(helpers[0]); i++)
		if (m->roles->run[helpers[i]] && !atomic_load(&m->board->shared->ready[helpers[i]]))
			return true;
	return false;
}

/* ---- the other roles ------------------------------------------------------------ */

static void make_old(struct master *m, struct child *c)
{
	switch (c->role) {
	case ROLE_WORKER:
		return;
	case ROLE_RELAY:
	case ROLE_MONITOR:
		if (!c->told)
			child_tell(c, CONTROL_RETIRE);
		/* it keeps its time itself, and the next one waits for it */
		if (c->kill_at_mono_ms == 0)
			c->kill_at_mono_ms = clock_mono_ms() + m->limits->stop_timeout_ms + KILL_GRACE_MS;
		break;
	case ROLE_AUTH:
	case ROLE_PROGRAMS:
	case ROLE_KEYS:
		child_tell(c, CONTROL_OLD);
		break;
	}
	c->old = true;
}

/* ---- the executable before this one ------------------------------------------------ */

void turnover_inherit(struct master *m)
{
	unsigned slot = 0;

	m->begun_mono_ms = clock_mono_ms();
	m->other = m->roles->inherited_count > 0 ? mem_array(m->roles->inherited_count, sizeof(*m->other))
						 : NULL;
	for (unsigned i = 0; i < m->roles->inherited_count; i++) {
		const struct child *from = &m->roles->inherited[i];

		if (from->role != ROLE_WORKER) {
			m->other[m->other_count] = *from;
			make_old(m, &m->other[m->other_count++]);
			continue;
		}
		ASSERT(slot < m->board->slots);
		m->worker[slot] = *from;
		m->worker[slot].slot = slot;
		m->worker[slot].foreign = true;
		atomic_store(&m->board->slot[slot].pid, from->pid);
		/* whatever it does: it takes nothing from the board, and is not idle to those who count there */
		atomic_store(&m->board->slot[slot].state, SLOT_LEAVING);
		m->turning = m->turning || !from->told;
		slot++;
	}
}

/* Their notices come by the same pipe as ever, but when it is full the flag that they set stands in their own board. */
void turnover_remind(struct master *m)
{
	if (!m->roles->worker_lost || clock_mono_ms() - m->reminded_mono_ms < REMIND_MS)
		return;
	m->reminded_mono_ms = clock_mono_ms();
	for (unsigned i = 0; i < m->board->slots; i++)
		if (m->worker[i].pid != 0 && m->worker[i].foreign) {
			m->roles->worker_lost(m->roles->ctx);
			return;
		}
}

/* ---- beginning, and going on -------------------------------------------------------- */

void turnover_begin(struct master *m, enum master_change change)
{
	m->batch++;
	m->turning = true;
	m->begun_mono_ms = clock_mono_ms();
	if (change == MASTER_WORKERS)
		return;
	if (change == MASTER_GENERATION) {
		m->announced = false;
		memset(m->backoff, 0, sizeof(m->backoff)); /* what failed may be cured */
	}
	for (unsigned i = 0; i < m->other_count; i++) {
		if (m->other[i].pid == 0 || m->other[i].old ||
		    (change == MASTER_KEYS && m->other[i].role != ROLE_KEYS))
			continue;
		/* no word of the old one's will stand there: it has said that it is ready, once */
		atomic_store(&m->board->shared->ready[m->other[i].role], false);
		make_old(m, &m->other[i]);
	}
	if (m->roles->turned)
		m->roles->turned(m->roles->ctx);
}

/* Enough of the present batch wait for clients, or there is no room for more. */
static bool are_relieved(const struct master *m)
{
	const struct pool_limits *pool = &m->limits->pool;
	unsigned wanted = pool->min_spare > 0 ? pool->min_spare : 1;
	struct scoreboard_count count;
	bool room = false;

	turnover_count(m, &count);
	for (unsigned i = 0; i < m->board->slots && !room; i++)
		room = m->worker[i].pid == 0;
	if (wanted > pool->max_workers)
		wanted = pool->max_workers;
	return count.idle + count.busy >= wanted ||
	       ((!room || count.total >= pool->max_workers) && count.starting == 0);
}

bool turnover_is_over(const struct master *m)
{
	if (m->turning && !m->held_back)
		return false;
	/* one that was woken for a client when it was told has that one yet; whatever a worker says, not for ever */
	if (clock_mono_ms() - m->told_mono_ms >= TELLING_MS)
		return true;
	for (unsigned i = 0; i < m->board->slots; i++)
		if (m->worker[i].pid != 0 && m->worker[i].told && !m->worker[i].foreign &&
		    turnover_is_stale(m, &m->worker[i]) && atomic_load(&m->board->slot[i].state) == SLOT_IDLE)
			return false;
	return true;
}

void turnover_step(struct master *m)
{
	if (!m->turning || !are_relieved(m))
		return;
	m->held_back = has_stale(m) && m->roles->may_retire && !m->roles->may_retire(m->roles->ctx);
	if (m->held_back)
		return;
	for (unsigned i = 0; i < m->board->slots; i++) {
		struct child *c = &m->worker[i];

		if (c->pid != 0 && !c->told && turnover_is_stale(m, c))
			child_tell(c, CONTROL_RETIRE);
	}
	m->turning = false;
	m->told_mono_ms = clock_mono_ms();
	if (m->roles->retired)
		m->roles->retired(m->roles->ctx);
}
