/* SPDX-License-Identifier: ISC */
/*
 * What operators want of the relay (relay/door.h): actions on messages,
 * suspensions, a look at an upstream that is down. What is done to a message
 * on the disk is manage/action.h's; here are those that are being sent at the
 * moment, and the queue in memory. Runs in the relay's event loop.
 */
#include "relay/relay_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "spool/batch.h"
#include "spool/message.h"

#define ORDERS_MAX 16 /* that wait for the end of one attempt */

/* ---- messages that are being sent ------------------------------------------------------ */

/* An order that waits for the end of an attempt. */
struct attempt_order {
	struct action_order order; /* with owned strings */
	struct attempt_order *next; /* in the order they came */
};

void operate_free_orders(struct attempt_order *orders)
{
	while (orders) {
		struct attempt_order *o = orders;

		orders = o->next;
		free((char *)o->order.reason);
		free((char *)o->order.route);
		free((char *)o->order.by);
		free(o);
	}
}

static struct attempt *find_attempt(const struct relay *r, const char *id)
{
	struct attempt *lists[] = { r->attempts, r->unsaved };

	for (size_t i = 0; i < 2; i++)
		for (struct attempt *a = lists[i]; a; a = a->next)
			if (strcmp(a->message.env.id, id) == 0)
				return a;
	return NULL;
}

/* At once, whatever the attempt does: the file is gone, and at the end of the attempt nothing is put back. */
static void remove_attempted(struct relay *r, struct attempt *a, struct action_item *item)
{
	struct spool_change change = { .id = item->id, .e = &item->e };

	if (a->is_removed) {
		item->result = ACTION_GONE;
		return;
	}
	spool_change_remove(&change);
	spool_changes_commit(r->rules.spool, &change, 1);
	/*
	 * whatever the sync said, it must not be saved again: that would bring back a state without a message
	 */
	a->is_removed = change.result != SPOOL_CHANGE_FAILED || !spool_has(r->rules.spool, item->id.text);
	item->result = change.result == SPOOL_CHANGE_DONE ? ACTION_DONE :
		       change.result == SPOOL_CHANGE_GONE ? ACTION_GONE :
							    ACTION_FAILED;
	if (item->result != ACTION_FAILED)
		item->due_wall_ms = CLOCK_NEVER;
}

/* Into the state that the attempt will save at its end, and on the disk now. */
static void hold_attempted(struct attempt *a, const struct action_order *order, bool held, struct action_item *item)
{
	struct spool_event event = { .when_wall_us = clock_wall_us(), .what = (char *)action_done_name(order->action),
				     .text = (char *)order->reason, .by = (char *)order->by };
	bool was_held = a->state.held, was_released = a->state.released;
	char *old_reason;

	item->result = ACTION_NO_CHANGE;
	item->due_wall_ms = held ? CLOCK_NEVER : relay_wall_ms();
	if (was_held == held || (held && spool_state_count(&a->state, RCPT_PENDING) == 0))
		return;
	old_reason = mem_strdup_or_null(a->state.hold_reason);
	if (held)
		spool_state_hold(&a->state, order->reason);
	else
		spool_state_let_go(&a->state);
	spool_state_add_event(&a->state, &event);
	if (spool_state_save(&a->state, a->rules->spool, a->message.env.id, &item->e) == 0) {
		free(old_reason);
		item->result = ACTION_DONE;
		return;
	}
	free(a->state.hold_reason);
	a->state.hold_reason = old_reason;
	a->state.held = was_held;
	a->state.released = was_released;
	a->is_changed = true; /* the disk may have taken it all the same */
	item->result = ACTION_FAILED;
}

/* For the end of the attempt; false when too many wait already. */
static bool remember(struct attempt *a, const struct action_order *order, struct action_item *item)
{
	struct attempt_order **at = &a->orders, *o;
	unsigned count = 0;

	for (; *at; at = &(*at)->next)
		count++;
	if (count >= ORDERS_MAX) {
		err_set(&item->e, "%s: %u orders already wait for the end of its delivery attempt", item->id.text, count);
		item->result = ACTION_FAILED;
		return false;
	}
	o = mem_alloc(sizeof(*o));
	o->order = (struct action_order){ order->action, mem_strdup_or_null(order->reason),
					  mem_strdup_or_null(order->route), mem_strdup_or_null(order->by) };
	*at = o;
	return true;
}

/* Now; and once more behind the orders that wait, as one of them may undo it although it came before. */
static void hold_or_release(struct attempt *a, const struct action_order *order, struct action_item *item)
{
	if (!a->orders || remember(a, order, item))
		hold_attempted(a, order, order->action == ACTION_HOLD, item);
}

static void order_attempted(struct relay *r, struct attempt *a, const struct action_order *order,
			    struct action_item *item)
{
	item->in_flight = true;
	item->due_wall_ms = relay_wall_ms();
	if (a->is_removed) {
		item->result = ACTION_GONE;
		return;
	}
	switch (order->action) {
	case ACTION_RETRY:
		item->result = ACTION_NO_CHANGE;
		break;
	case ACTION_REMOVE:
		remove_attempted(r, a, item);
		break;
	case ACTION_HOLD:
	case ACTION_RELEASE:
		hold_or_release(a, order, item);
		break;
	case ACTION_EXPIRE:
	case ACTION_BOUNCE:
	case ACTION_REQUEUE:
	case ACTION_REROUTE:
		if (remember(a, order, item))
			item->result = ACTION_PENDING;
		break;
	}
	action_log(order, item);
}

bool operate_attempt_removed(struct relay *r, struct attempt *a)
{
	if (!a->is_removed)
		return false;
	queue_forget(&r->queue, a->message.env.id);
	operate_free_orders(a->orders);
	attempt_free(a);
	return true;
}

/* ---- messages that wait, or are kept ----------------------------------------------------- */

/* The queue learns what was done to a message on the disk. */
static void follow(struct relay *r, const struct action_order *order, const struct action_item *item)
{
	const char *id = item->id.text;

	if (item->report_id.text[0])
		relay_add_new(r, item->report_id.text);
	if (item->result == ACTION_GONE || (item->result == ACTION_DONE && order->action == ACTION_REMOVE)) {
		queue_forget(&r->queue, id);
		return;
	}
	if (item->result != ACTION_DONE && item->result != ACTION_NO_CHANGE)
		return;
	if (item->due_wall_ms == CLOCK_NEVER && !(order->action == ACTION_HOLD && item->result == ACTION_DONE)) {
		/* held, done with, or gone by now: as at the start, its state says which */
		queue_forget(&r->queue, id);
		queue_add(&r->queue, id, r->unread, relay_wall_ms(), QUEUE_PEEK);
		return;
	}
	queue_add(&r->queue, id, relay_first_lane(r), relay_wall_ms(), 0);
	if (!queue_take_id(&r->queue, id))
		return;
	queue_set_flags(&r->queue, id, 0, QUEUE_PEEK | QUEUE_SPLIT | QUEUE_UNDECIDED);
	if (item->due_wall_ms == CLOCK_NEVER)
		queue_park(&r->queue, id, QUEUE_HELD);
	else
		/*
		 * only a report is to be made, which no upstream is needed for: one that is slow or down is
		 * in no way
		 */
		queue_give_back(&r->queue, id, item->report_failed ? r->unsorted : relay_first_lane(r),
				item->due_wall_ms);
	if (order->action == ACTION_RELEASE)
		overdue_look_again(r, id);
}

static void run_and_follow(struct relay *r, const struct action_order *order, struct action_item *items, size_t count)
{
	if (count == 0)
		return;
	action_run(order, r->rules.spool, &r->config->bounce, items, count);
	for (size_t i = 0; i < count; i++) {
		follow(r, order, &items[i]);
		action_log(order, &items[i]);
	}
	r->service_wanted = true;
}

void operate_run_orders(struct relay *r, struct attempt_order *orders, const char *id)
{
	for (const struct attempt_order *o = orders; o; o = o->next) {
		struct action_item item = { .result = ACTION_GONE };

		strcpy(item.id.text, id);
		run_and_follow(r, &o->order, &item, 1);
	}
	operate_free_orders(orders);
}

static void order(void *ctx, const struct action_order *wanted, struct action_item *items, size_t count)
{
	struct relay *r = ctx;
	struct action_item *rest = mem_array(count, sizeof(*rest));
	size_t *place = mem_array(count, sizeof(*place)), n = 0;

	relay_follow_clock(r);
	for (size_t i = 0; i < count; i++) {
		bool taken = queue_find(&r->queue, items[i].id.text) == QUEUE_TAKEN;
		struct attempt *a = taken ? find_attempt(r, items[i].id.text) : NULL;

		if (a) {
			order_attempted(r, a, wanted, &items[i]);
		} else {
			rest[n] = items[i];
			place[n++] = i;
		}
	}
	run_and_follow(r, wanted, rest, n);
	for (size_t i = 0; i < n; i++)
		items[place[i]] = rest[i];
	free(rest);
	free(place);
	relay_set_timer(r);
}

void operate_retry(struct relay *r, struct action_item *items, size_t count, const char *by)
{
	const struct action_order wanted = { .action = ACTION_RETRY, .by = by };

	order(r, &wanted, items, count);
}

static void ids(void *ctx, void (*each)(void *each_ctx, const char *id), void *each_ctx)
{
	const struct relay *r = ctx;
	struct queue_item item;
	uint32_t at = 0;

	while (queue_each(&r->queue, &at, &item))
		each(each_ctx, item.id.text);
}

/* ---- upstreams ------------------------------------------------------------------------------ */

static struct relay_upstream *find_upstream(struct relay *r, const char *name, struct err *e)
{
	for (size_t i = 0; i < r->upstream_count; i++)
		if (strcmp(r->upstream[i].config->name, name) == 0)
			return &r->upstream[i];
	err_set(e, "there is no upstream \"%s\"", name);
	return NULL;
}

static void log_suspension(const char *event, const struct suspension *s, const char *by)
{
	char until[CLOCK_UTC_MAX];
	struct log_line line;

	log_begin(&line, LOG_LEVEL_WARNING, event);
	log_str(&line, "upstream", s->upstream ? s->upstream : "*");
	if (s->until_wall_us && strcmp(event, "suspended") == 0)
		log_str(&line, "until", clock_format_utc(s->until_wall_us, until));
	log_str(&line, "by", by);
	log_str(&line, "reason", s->reason);
	log_end(&line);
}

static void apply_suspensions(struct relay *r)
{
	for (size_t i = 0; i < r->upstream_count; i++)
		r->upstream[i].is_suspended = suspensions_find(&r->suspensions, r->upstream[i].config->name,
							       clock_wall_us()) != NULL;
	r->service_wanted = true;
}

/* On the disk first; what the disk refuses is not so. */
static int save_suspensions(struct relay *r, struct err *e)
{
	struct err ignored;

	if (suspensions_save(&r->suspensions, r->rules.spool, e) == 0)
		return 0;
	suspensions_release(&r->suspensions);
	suspensions_init(&r->suspensions);
	(void)suspensions_load(&r->suspensions, r->rules.spool, &ignored);
	return -1;
}

void operate_follow_clock(struct relay *r)
{
	int64_t now = clock_wall_us();
	struct err e;

	if (suspensions_next_end(&r->suspensions) > now)
		return;
	for (size_t i = 0; i < r->suspensions.count; i++) {
		const struct suspension *s = &r->suspensions.item[i];

		if (s->until_wall_us && s->until_wall_us <= now)
			log_suspension("resumed", s, NULL);
	}
	suspensions_expire(&r->suspensions, now);
	/* should the disk refuse: it ends by its date at the next start, too */
	if (suspensions_save(&r->suspensions, r->rules.spool, &e) < 0)
		log_msg(LOG_LEVEL_ERROR, "spool_error", "%s", e.text);
	apply_suspensions(r);
}

static int suspend(void *ctx, const struct suspension *s, struct err *e)
{
	struct relay *r = ctx;

	if (s->upstream && !find_upstream(r, s->upstream, e))
		return -1;
	suspensions_set(&r->suspensions, s);
	if (save_suspensions(r, e) < 0)
		return -1;
	log_suspension("suspended", s, s->by);
	apply_suspensions(r);
	relay_set_timer(r);
	return 0;
}

static int resume(void *ctx, const char *upstream, const char *by, struct err *e)
{
	struct suspension ended = { .upstream = (char *)upstream };
	struct relay *r = ctx;

	if (!suspensions_lift(&r->suspensions, upstream)) {
		if (upstream)
			err_set(e, "upstream \"%s\" is not suspended", upstream);
		else
			err_set(e, "deliveries as a whole are not suspended; those to single upstreams may be: --upstream NAME, or --all");
		return -1;
	}
	if (save_suspensions(r, e) < 0)
		return -1;
	log_suspension("resumed", &ended, by);
	apply_suspensions(r);
	relay_set_timer(r);
	return 0;
}

static int probe(void *ctx, const char *upstream, const char *by, struct err *e)
{
	struct log_line line;
	struct relay *r = ctx;
	struct relay_upstream *one = upstream ? find_upstream(r, upstream, e) : NULL;

	if (upstream && !one)
		return -1;
	for (size_t i = 0; i < r->upstream_count; i++)
		if (!one || one == &r->upstream[i])
			lane_probe(&r->upstream[i]);
	log_begin(&line, LOG_LEVEL_INFO, "probe_ordered");
	log_str(&line, "upstream", upstream ? upstream : "*");
	log_str(&line, "by", by);
	log_end(&line);
	relay_set_timer(r);
	return 0;
}

/* ---- life --------------------------------------------------------------------------------------- */

static const struct door_ops door_ops = {
	.status = status_of_relay,
	.flight = status_of_flight,
	.ids = ids,
	.order = order,
	.suspend = suspend,
	.resume = resume,
	.probe = probe,
};

void operate_open(struct relay *r)
{
	struct door_setup door = { .spool = r->rules.spool, .view_gid = r->setup->view_gid,
				   .control_gid = r->setup->control_gid, .event_fd = r->setup->event_fd,
				   .watched = r->setup->watched, .lost = r->setup->watch_lost,
				   .ops = &door_ops, .ctx = r };
	struct err damage;

	/* mail goes out rather than waits for ever, but whoever suspended something has to know */
	if (suspensions_load(&r->suspensions, r->rules.spool, &damage) < 0)
		log_msg(LOG_LEVEL_ERROR, "spool_error", "%s: deliveries that were suspended are not any more", damage.text);
	apply_suspensions(r);
	for (size_t i = 0; i < r->upstream_count; i++)
		r->upstream[i].was_available = lane_is_available(&r->upstream[i]);
	/* mail goes out without operators, too */
	if (door_open(&r->door, r->base, &door, &damage) < 0)
		log_msg(LOG_LEVEL_ERROR, "door_failed", "%s: operators cannot reach the relay", damage.text);
}

void operate_close(struct relay *r)
{
	door_close(r->door);
}
