/* SPDX-License-Identifier: ISC */
/*
 * Once a second the loop says that it turns, and what the relay has: for the figures and for who judges its
 * health from outside. What is expensive to know of a long queue is asked more seldom. Runs in the relay.
 */
#include "relay/relay_internal.h"

#include <event2/event.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "figures/figures.h"

#define BEAT_S 1
#define QUEUE_STEP 10000 /* messages that are looked through for the oldest, a second of waiting */

enum { STATE_WAITING, STATE_IN_FLIGHT, STATE_HELD, STATE_FAILED, STATE_UNSAVED };

static void set_queue(struct relay *r)
{
	const struct queue *q = &r->queue;
	int64_t oldest, unsaved = 0;

	for (const struct attempt *a = r->unsaved; a; a = a->next)
		unsaved++;
	figures_set(FIGURE_QUEUE_MESSAGES, STATE_WAITING, 0,
		    (int64_t)q->count - q->taken - q->held - q->failed);
	figures_set(FIGURE_QUEUE_MESSAGES, STATE_IN_FLIGHT, 0, q->taken - unsaved);
	figures_set(FIGURE_QUEUE_MESSAGES, STATE_HELD, 0, q->held);
	figures_set(FIGURE_QUEUE_MESSAGES, STATE_FAILED, 0, q->failed);
	figures_set(FIGURE_QUEUE_MESSAGES, STATE_UNSAVED, 0, unsaved);
	if (clock_mono_ms() < r->oldest_due_mono_ms)
		return;
	r->oldest_due_mono_ms = clock_mono_ms() + q->count / QUEUE_STEP * 1000;
	oldest = queue_oldest_open_wall_us(q);
	figures_set(FIGURE_QUEUE_OLDEST, 0, 0, oldest == CLOCK_NEVER ? 0 : oldest);
}

static void set_upstream(struct relay *r, const struct relay_upstream *u)
{
	static const char *const names[] = {
		[BREAKER_UP] = "up", [BREAKER_PAUSED] = "paused", [BREAKER_PROBING] = "probing"
	};
	unsigned index = figures_find(FIGURES_UPSTREAMS, u->config->name);
	const char *name = u->is_suspended ? "suspended" : names[lane_state(u)];
	const char *const *words = figure_table[FIGURE_UPSTREAM_STATE].label[1].words;

	for (unsigned i = 0; words[i]; i++)
		figures_set(FIGURE_UPSTREAM_STATE, index, i, strcmp(words[i], name) == 0);
	figures_set(FIGURE_UPSTREAM_CONNECTIONS, index, 0, u->conn_count);
	figures_set(FIGURE_UPSTREAM_WAITING, index, 0, (int64_t)queue_count_waiting(&r->queue, u->lane));
}

static void beat(struct relay *r)
{
	figures_set(FIGURE_RELAY_BEAT, 0, 0, clock_mono_ms());
	set_queue(r);
	for (size_t i = 0; i < r->upstream_count; i++)
		set_upstream(r, &r->upstream[i]);
}

static void on_beat(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	beat(ctx);
}

void relay_beat_begin(struct relay *r)
{
	const struct timeval tv = { BEAT_S, 0 };

	r->beat = event_new(r->base, -1, EV_PERSIST, on_beat, r);
	ASSERT(r->beat);
	event_add(r->beat, &tv);
	beat(r);
}
