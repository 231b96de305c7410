/* SPDX-License-Identifier: ISC */
/* See shed.h. */
#include "master/shed.h"

#include <stdlib.h>

/* ---- stress ------------------------------------------------------------------------- */

bool stress_update(struct stress *s, const struct shed_policy *p, unsigned busy, int64_t now_mono_ms)
{
	if (busy >= p->stress_workers) {
		s->calm_since_mono_ms = now_mono_ms;
		if (s->on)
			return false;
		s->on = true;
		return true;
	}
	if (!s->on || now_mono_ms - s->calm_since_mono_ms < STRESS_CALM_MS)
		return false;
	s->on = false;
	return true;
}

/* ---- clients ------------------------------------------------------------------------ */

/* Waiting that its content made up for. Without overflow, whatever a worker wrote. */
static int64_t worth_ms(uint64_t octets, unsigned rate)
{
	uint64_t seconds;

	if (rate == 0)
		return 0;
	seconds = octets / rate;
	return seconds > INT32_MAX ? INT64_C(1000) * INT32_MAX
				   : (int64_t)(seconds * 1000 + octets % rate * 1000 / rate);
}

static int64_t sane(int64_t ms)
{
	return ms < 0 ? 0 : ms > INT64_C(1000) * INT32_MAX ? INT64_C(1000) * INT32_MAX : ms;
}

bool shed_client_of(struct shed_client *c, const struct shed_policy *p, const struct client_wait *w,
		    int64_t now_mono_ms)
{
	int64_t since = atomic_load(&w->since_mono_ms);

	c->episode = atomic_load(&w->episode);
	c->rank = atomic_load(&w->rank);
	if (since <= 0 || since > now_mono_ms || client_wait_is_shed(w))
		return false;
	c->waits_ms = now_mono_ms - since;
	c->waited_ms = c->waits_ms + sane(atomic_load(&w->before_ms)) -
		       worth_ms(atomic_load(&w->content_octets), p->min_rate);
	if (c->waited_ms < 0)
		c->waited_ms = 0;
	return true;
}

bool shed_is_overdue(const struct shed_client *c, const struct shed_policy *p)
{
	if (p->stress_timeout_ms <= 0 || c->rank == CLIENT_LOCAL)
		return false;
	return c->waits_ms >= p->stress_timeout_ms ||
	       c->waited_ms >= SHED_STRESS_WAITS * p->stress_timeout_ms;
}

bool shed_may_go(const struct shed_client *c, const struct shed_policy *p)
{
	return p->shed_after_ms > 0 &&
	       c->waited_ms >= p->shed_after_ms * (c->rank == CLIENT_STRANGER ? 1 : SHED_RANK_WAITS);
}

/* Who may go at all first, of those the strangers, of those the slowest. */
static int compare(const void *va, const void *vb)
{
	const struct shed_client *a = va, *b = vb;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->waited_ms != b->waited_ms)
		return a->waited_ms > b->waited_ms ? -1 : 1;
	return a->slot < b->slot ? -1 : a->slot > b->slot;
}

size_t shed_choose(struct shed_client *c, size_t count, const struct shed_policy *p, size_t wanted)
{
	enum client_rank lowest = CLIENT_LOCAL;
	size_t chosen = 0;

	if (p->shed_after_ms <= 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (c[i].rank < lowest)
			lowest = c[i].rank;
	/* those who may stay are moved out of the way first */
	for (size_t i = 0; i < count; i++)
		if (c[i].waited_ms >= p->shed_after_ms * (c[i].rank > lowest ? SHED_RANK_WAITS : 1)) {
			struct shed_client may_go = c[i];

			c[i] = c[chosen];
			c[chosen++] = may_go;
		}
	if (chosen > 0)
		qsort(c, chosen, sizeof(*c), compare);
	return chosen < wanted ? chosen : wanted;
}

/* ---- the backlog ------------------------------------------------------------------------ */

void backlog_turned_away(struct backlog *b, unsigned count)
{
	b->turned_away += count;
}

/* As many samples as fit cover the time-out and a little more. */
static void note(struct backlog *b, int64_t every_ms, uint64_t arrived, int64_t now)
{
	const struct backlog_sample *last = &b->sample[(b->next + BACKLOG_SAMPLES - 1) % BACKLOG_SAMPLES];

	if (b->count > 0 && now - last->at_mono_ms < every_ms)
		return;
	b->sample[b->next] = (struct backlog_sample){ now, arrived };
	b->next = (b->next + 1) % BACKLOG_SAMPLES;
	if (b->count < BACKLOG_SAMPLES)
		b->count++;
}

unsigned backlog_note(struct backlog *b, const struct shed_policy *p, unsigned waiting, uint64_t taken,
		      int64_t now_mono_ms)
{
	uint64_t served = taken + b->turned_away, overdue = 0;

	if (waiting == 0) {
		b->count = b->next = 0;
		return 0;
	}
	note(b, p->backlog_timeout_ms / (BACKLOG_SAMPLES - 2), served + waiting, now_mono_ms);
	if (p->backlog_timeout_ms <= 0)
		return 0;
	/* arrived is never less in a later sample but for a worker that died: the largest difference counts */
	for (unsigned i = 0; i < b->count; i++)
		if (now_mono_ms - b->sample[i].at_mono_ms >= p->backlog_timeout_ms &&
		    b->sample[i].arrived > served && b->sample[i].arrived - served > overdue)
			overdue = b->sample[i].arrived - served;
	return overdue < waiting ? (unsigned)overdue : waiting;
}
