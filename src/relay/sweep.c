/* SPDX-License-Identifier: ISC */
/*
 * Messages whose time comes while nothing happens to them: given up when they
 * are too old and their upstream cannot be reached (others get a last try at
 * that moment), and their senders told of the delay. Goes over the whole
 * queue, at most once a minute, or when the next message's time can have
 * come; a slice at a time. Runs in the relay's event loop.
 */
#include "relay/relay_internal.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#define SWEEP_LEAST_MS 1000 /* from the end of one sweep to the next */
#define SWEEP_MOST_MS 60000 /* an upstream may have gone down in the meantime */
#define SWEEP_TAKEN_MS 5000 /* until those that were being sent just then are looked at again */
#define ENTRIES_AT_ONCE 256 /* between two looks at the clock */

/* Rounded up: a moment that comes by this has come for those, too, who count microseconds (attempt_give_up). */
static int64_t made_wall_ms(const char *id)
{
	return spool_id_wall_us(id) / 1000 + 1;
}

/* The next moment at which something is due to a message by its age alone; CLOCK_NEVER: none. */
static int64_t next_moment_ms(const struct relay *r, const char *id, bool is_warned, int64_t after_wall_ms)
{
	int64_t made = made_wall_ms(id), next = CLOCK_NEVER;
	int64_t expiry = made + r->config->expire_after_ms, warning = made + r->config->warn_after_ms;

	if (expiry > after_wall_ms)
		next = expiry;
	if (r->config->warn_after_ms > 0 && !is_warned && warning > after_wall_ms && warning < next)
		next = warning;
	return next;
}

void sweep_note(struct relay *r, const char *id)
{
	/* one that is past its time already waits for the sweep that comes in any case */
	int64_t next = next_moment_ms(r, id, false, relay_wall_ms());

	if (next < r->sweep_wall_ms)
		r->sweep_wall_ms = next;
	if (next < r->sweep_next_wall_ms)
		r->sweep_next_wall_ms = next;
}

int64_t sweep_next_mono_ms(const struct relay *r)
{
	int64_t now = clock_mono_ms(), next = r->sweep_most_mono_ms;

	if (r->queue.count == 0)
		return CLOCK_NEVER;
	if (r->sweeping)
		return now;
	if (r->sweep_wall_ms != CLOCK_NEVER && now + (r->sweep_wall_ms - relay_wall_ms()) < next)
		next = now + (r->sweep_wall_ms - relay_wall_ms());
	return next > r->sweep_least_mono_ms ? next : r->sweep_least_mono_ms;
}

static void log_warned(const struct attempt *a, const char *report_id)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_INFO, "warned");
	log_str(&line, "id", a->message.env.id);
	log_str(&line, "report", report_id);
	log_str(&line, "to", a->message.env.sender);
	log_end(&line);
}

bool relay_warn(struct relay *r, struct attempt *a)
{
	struct spool_id report = { "" };
	struct err e;

	if (a->state.warned || a->state.held || spool_state_count(&a->state, RCPT_PENDING) == 0)
		return true;
	if (bounce_warn(&r->config->bounce, r->rules.spool, &a->message, &a->state, &report, &e) < 0) {
		relay_log_unsaved(a, &e);
		return false;
	}
	a->is_changed = a->is_changed || a->state.warned;
	if (!report.text[0])
		return true;
	log_warned(a, report.text);
	relay_add_new(r, report.text);
	return true;
}

/*
 * Why each upstream cannot be reached now; NULL for those that can be, or that an operator stopped. And,
 * behind them, why it cannot be found out which one it is.
 */
static const char **list_troubles(const struct relay *r)
{
	const char **trouble = mem_array(r->upstream_count + 1, sizeof(*trouble));
	const struct relay_lists *lists = r->config->lists;

	for (size_t i = 0; i < r->upstream_count; i++) {
		const struct relay_upstream *u = &r->upstream[i];

		if (!u->is_suspended && lane_state(u) != BREAKER_UP)
			trouble[i] = u->last_trouble ? u->last_trouble : "it is down";
	}
	trouble[r->upstream_count] = lists ? lists->ops->trouble(lists->c) : NULL;
	return trouble;
}

/* RFC 2852: a sender who named the time to be told at is not told before. */
static bool named_a_later_time(const struct attempt *a)
{
	return a->message.env.by.mode == DELIVER_BY_NOTIFY && a->message.env.by.wall_us > clock_wall_us();
}

/* A message that waits and for which a moment has come; wants_warning: that of the warning. */
static void look_at(struct relay *r, const struct queue_item *item, bool wants_warning)
{
	const char *id = item->id.text, **trouble;
	struct attempt *a;
	bool warned;

	if (!queue_take_id(&r->queue, id))
		return;
	switch (attempt_load(&a, &r->rules, id, false)) {
	case ATTEMPT_READY:
	case ATTEMPT_ELSEWHERE:
		break;
	case ATTEMPT_GONE:
	case ATTEMPT_QUARANTINED:
		queue_forget(&r->queue, id);
		return;
	case ATTEMPT_LATER:
		queue_put_back(&r->queue, id, item->lane);
		return;
	}
	trouble = list_troubles(r);
	attempt_give_up(a, trouble);
	free(trouble);
	warned = !wants_warning || named_a_later_time(a) || relay_warn(r, a);
	overdue_note(r, a);
	if (wants_warning && warned)
		queue_set_flags(&r->queue, id, QUEUE_WARNED, 0);
	if (a->is_changed) {
		relay_settle(r, a);
	} else {
		attempt_free(a);
		queue_put_back(&r->queue, id, item->lane);
	}
}

/* Only upstreams that are down hold mail beyond its time; there is no use in opening what the others have. */
static bool may_expire(const struct relay *r, const struct queue_item *item)
{
	const struct relay_upstream *u = item->lane < r->upstream_count ? &r->upstream[item->lane] : NULL;
	const struct relay_lists *lists = r->config->lists;

	if (item->lane == r->undecided)
		return lists && lists->ops->trouble(lists->c);
	return u && !u->is_suspended && lane_state(u) != BREAKER_UP;
}

/*
 * Of mail that was only listed nobody knows yet whether it has a time to be delivered by; it may wait for
 * long here.
 */
static bool may_be_overdue(const struct relay *r, const struct queue_item *item)
{
	const struct relay_upstream *u = item->lane < r->upstream_count ? &r->upstream[item->lane] : NULL;

	return !(item->flags & QUEUE_OPENED) &&
	       (!u || !lane_is_available(u) || u->config->messages_per_minute > 0);
}

/* True when it took a while. */
static bool sweep_one(struct relay *r, const struct queue_item *item)
{
	int64_t now = relay_wall_ms(), age = now - made_wall_ms(item->id.text), next;
	bool is_warned = item->flags & QUEUE_WARNED, wants_warning;

	if (item->where != QUEUE_WAITING && item->where != QUEUE_TAKEN)
		return false;
	next = next_moment_ms(r, item->id.text, is_warned, now);
	if (next < r->sweep_next_wall_ms)
		r->sweep_next_wall_ms = next;
	wants_warning = r->config->warn_after_ms > 0 && !is_warned && age >= r->config->warn_after_ms;
	if (item->where == QUEUE_TAKEN && wants_warning && now + SWEEP_TAKEN_MS < r->sweep_next_wall_ms)
		r->sweep_next_wall_ms = now + SWEEP_TAKEN_MS;
	if (item->where != QUEUE_WAITING || (item->flags & QUEUE_PEEK))
		return false;
	if (wants_warning || (age >= r->config->expire_after_ms && may_expire(r, item)))
		look_at(r, item, wants_warning);
	else if (may_be_overdue(r, item))
		overdue_look(r, item->id.text);
	else
		return false;
	return true;
}

static void end_sweep(struct relay *r)
{
	int64_t now = clock_mono_ms();

	r->sweeping = false;
	r->sweep_wall_ms = r->sweep_next_wall_ms;
	r->sweep_least_mono_ms = now + SWEEP_LEAST_MS;
	r->sweep_most_mono_ms = now + SWEEP_MOST_MS;
}

void sweep_step(struct relay *r, int64_t by_mono_ms)
{
	struct queue_item item;

	if (!r->sweeping) {
		if (sweep_next_mono_ms(r) > clock_mono_ms())
			return;
		r->sweeping = true;
		r->sweep_at = 0;
		r->sweep_next_wall_ms = CLOCK_NEVER;
	}
	for (int i = 1;; i++) {
		if (!queue_each(&r->queue, &r->sweep_at, &item)) {
			end_sweep(r);
			return;
		}
		if ((sweep_one(r, &item) || i % ENTRIES_AT_ONCE == 0) && clock_mono_ms() >= by_mono_ms)
			return;
	}
}
