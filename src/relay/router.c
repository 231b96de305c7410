/* SPDX-License-Identifier: ISC */
/*
 * Messages to lanes. With one upstream there is one way, and nothing is read
 * for it; with several the router reads envelope and state of what is due, a
 * slice at a time, and passes over what waits for an upstream that is down.
 * It also looks at the states that were only listed at the start, when that
 * is over. Runs in the relay's event loop.
 */
#include "relay/relay_internal.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

size_t relay_first_lane(const struct relay *r)
{
	return r->upstream_count == 1 ? 0 : r->unsorted; /* lists have an upstream of their own */
}

static struct place find_place(struct relay *r, const struct attempt *a)
{
	struct place place;

	for (size_t i = 0; i < r->upstream_count; i++)
		r->place[i] = (struct place_upstream){ .available = lane_is_available(&r->upstream[i]) };
	r->place[r->upstream_count] = (struct place_upstream){ .available = false };
	place = place_find(&r->config->routes, &a->message.env, &a->state, r->place, clock_wall_us());
	for (size_t i = 0; i < r->upstream_count; i++)
		if (place.is_split && r->place[i].passed_over)
			r->upstream[i].passed_over = true;
	return place;
}

/* Who waits for an answer that does not come, so that the log says why nothing happens. */
static void log_undecided(const struct relay *r, const struct attempt *a)
{
	const char *trouble = r->config->lists ? r->config->lists->ops->trouble(r->config->lists->c) : NULL,
		   *to = NULL;
	const struct routes *routes = &r->config->routes;
	struct log_line line;
	int64_t waiting = 0;

	for (size_t i = 0; trouble && i < a->state.rcpt_count; i++) {
		if (a->state.rcpt[i].status != RCPT_PENDING ||
		    route_find(routes, &a->message.env, i, a->state.route) != routes->upstream_count)
			continue;
		to = to ? to : a->message.env.rcpt[i].address;
		waiting++;
	}
	if (waiting == 0)
		return;
	log_begin(&line, LOG_LEVEL_INFO, "waiting");
	log_str(&line, "id", a->message.env.id);
	log_str(&line, "to", to);
	log_int(&line, "recipients", waiting);
	log_str(&line, "reason", trouble);
	log_end(&line);
}

/* Puts a taken message where its state says; was_tried: it is not fresh any more. */
static void put(struct relay *r, const struct attempt *a, bool was_tried)
{
	const char *id = a->message.env.id;
	struct place place = find_place(r, a);
	int64_t now = relay_wall_ms(), due = (place.due_wall_us + 999) / 1000;
	unsigned flags;

	if (!place.waits) {
		if (a->state.held)
			overdue_note(r, a); /* for when it is released */
		queue_park(&r->queue, id, a->state.held ? QUEUE_HELD : QUEUE_FAILED);
		return;
	}
	flags = (place.is_split ? QUEUE_SPLIT : 0u) | (place.is_undecided ? QUEUE_UNDECIDED : 0u);
	queue_set_flags(&r->queue, id, flags, QUEUE_PEEK | ((QUEUE_SPLIT | QUEUE_UNDECIDED) & ~flags));
	if (place.is_undecided)
		log_undecided(r, a);
	overdue_note(r, a);
	if (was_tried || due > now)
		queue_give_back(&r->queue, id, place.upstream, due > now ? due : now);
	else
		queue_put_back(&r->queue, id, place.upstream);
	if (due <= now)
		r->service_wanted = true;
}

void relay_place_saved(struct relay *r, struct attempt *a, enum attempt_saved saved)
{
	struct attempt_order *orders = a->orders;
	char id[ENVELOPE_ID_MAX];

	strcpy(id, a->message.env.id);
	if (saved == ATTEMPT_COMPLETED)
		queue_forget(&r->queue, id);
	else
		put(r, a, true);
	attempt_free(a);
	if (orders)
		operate_run_orders(r, orders, id);
}

void relay_replace(struct relay *r, struct attempt *a)
{
	bool is_over = spool_state_count(&a->state, RCPT_PENDING) == 0;

	/* a crash may have left it between its last recipient and its end, or a report half made */
	if (is_over || a->state.report_id.text[0]) {
		relay_settle(r, a);
		return;
	}
	put(r, a, false);
	attempt_free(a);
}

void relay_replace_opened(struct relay *r, const char *id, enum attempt_open opened, struct attempt *a, size_t lane)
{
	switch (opened) {
	case ATTEMPT_READY:
	case ATTEMPT_ELSEWHERE:
		relay_replace(r, a);
		break;
	case ATTEMPT_GONE:
	case ATTEMPT_QUARANTINED:
		queue_forget(&r->queue, id);
		break;
	case ATTEMPT_LATER:
		queue_give_back(&r->queue, id, lane, relay_wall_ms() + RELAY_SYSTEM_RETRY_MS);
		break;
	}
}

static void route_one(struct relay *r, const char *id)
{
	struct attempt *a = NULL;
	enum attempt_open opened = attempt_load(&a, &r->rules, id, false);

	relay_replace_opened(r, id, opened, a, r->unsorted);
}

/* What the first lines of its state say is often enough. True when it is. */
static bool settle_by_peek(struct relay *r, const char *id)
{
	int64_t now = relay_wall_ms(), latest = now + r->config->retry.max_ms / 10 * 11, due;
	struct spool_state_head head;

	queue_set_flags(&r->queue, id, 0, QUEUE_PEEK);
	if (!spool_state_peek(&head, r->rules.spool, id) || head.report_wanted || head.left == 0)
		return false;
	if (head.held) {
		queue_park(&r->queue, id, QUEUE_HELD);
		return true;
	}
	/* no wait is longer: a damaged date, or one written when the clock was wrong */
	due = (head.next_wall_us + 999) / 1000;
	if (due > latest)
		due = now;
	if (due <= now && r->upstream_count > 1)
		return false;
	if (due < now)
		due = spool_id_wall_us(id) / 1000 < now ? spool_id_wall_us(id) / 1000 : now; /* the oldest first */
	queue_give_back(&r->queue, id, relay_first_lane(r), due);
	return true;
}

void relay_route(struct relay *r, int64_t by_mono_ms)
{
	struct spool_id id;

	for (;;) {
		int64_t now = relay_wall_ms();

		if (queue_take(&r->queue, r->unsorted, now, &id)) {
			route_one(r, id.text);
		} else if (!r->listing && queue_take(&r->queue, r->unread, now, &id)) {
			if (!settle_by_peek(r, id.text))
				route_one(r, id.text);
		} else {
			return;
		}
		if (clock_mono_ms() >= by_mono_ms) {
			r->service_wanted = true;
			return;
		}
	}
}
