/* SPDX-License-Identifier: ISC */
/* See action.h. Runs in the relay, or in a command that holds the spool lock. */
#include "manage/action.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "spool/batch.h"
#include "spool/message.h"
#include "spool/recover.h"
#include "spool/state.h"

#define REPORT_LATER_MS 5000 /* a report that could not be queued now: when the relay looks again */

/* ---- the table ------------------------------------------------------------------ */

/* What an action does to a state in memory; false: there is nothing to do. */
typedef bool change_function(struct spool_state *st, const struct action_order *order, int64_t now_wall_us);

static size_t pending(const struct spool_state *st)
{
	return spool_state_count(st, RCPT_PENDING);
}

/* Pending recipients are due now; how many of them had to wait. */
static size_t make_due(struct spool_state *st, int64_t now_wall_us)
{
	size_t waited = 0;

	for (size_t i = 0; i < st->rcpt_count; i++) {
		struct rcpt_state *r = &st->rcpt[i];

		if (r->status != RCPT_PENDING)
			continue;
		waited += r->next_wall_us > now_wall_us;
		r->next_wall_us = 0;
	}
	return waited;
}

static void set_text(char **field, const char *text)
{
	free(*field);
	*field = mem_strdup_or_null(text);
}

static bool retry(struct spool_state *st, const struct action_order *order, int64_t now_wall_us)
{
	(void)order;
	return !st->held && make_due(st, now_wall_us) > 0;
}

static bool hold(struct spool_state *st, const struct action_order *order, int64_t now_wall_us)
{
	(void)now_wall_us;
	if (pending(st) == 0 || (st->held && (!order->reason || text_same(st->hold_reason, order->reason))))
		return false;
	spool_state_hold(st, order->reason);
	return true;
}

static bool release(struct spool_state *st, const struct action_order *order, int64_t now_wall_us)
{
	(void)order;
	if (!st->held)
		return false;
	spool_state_let_go(st);
	make_due(st, now_wall_us);
	return true;
}

/* Those pending are given up; what they were held for has no meaning any more. */
static bool give_up(struct spool_state *st, enum rcpt_status status, const char *reply, int64_t now_wall_us)
{
	if (pending(st) == 0)
		return false;
	for (size_t i = 0; i < st->rcpt_count; i++) {
		struct rcpt_state *r = &st->rcpt[i];

		if (r->status != RCPT_PENDING)
			continue;
		if (reply) {
			rcpt_state_set(r, status, now_wall_us, NULL, NULL, reply);
		} else { /* what the upstream last said of it is why */
			r->status = status;
			r->when_wall_us = now_wall_us;
		}
		r->next_wall_us = 0;
		r->reported = false;
	}
	spool_state_let_go(st);
	return true;
}

static bool expire(struct spool_state *st, const struct action_order *order, int64_t now_wall_us)
{
	(void)order;
	return give_up(st, RCPT_EXPIRED, NULL, now_wall_us);
}

static bool bounce(struct spool_state *st, const struct action_order *order, int64_t now_wall_us)
{
	static const char text[] = ACTION_BOUNCE_REPLY;
	char *reply = order->reason ? mem_printf("%s: %s", text, order->reason) : mem_strdup(text);
	bool changed = give_up(st, RCPT_FAILED, reply, now_wall_us);

	free(reply);
	return changed;
}

static bool requeue(struct spool_state *st, const struct action_order *order, int64_t now_wall_us)
{
	bool changed =
		st->held || !text_same(st->route, order->route) || st->tries > 0 || st->report_id.text[0];
	size_t n = 0;

	(void)now_wall_us;
	for (size_t i = 0; i < st->rcpt_count; i++) {
		struct rcpt_state *r = &st->rcpt[i];

		if (r->status == RCPT_DELIVERED)
			continue;
		changed = changed || r->status != RCPT_PENDING || r->tries > 0 || r->next_wall_us > 0;
		rcpt_state_set(r, RCPT_PENDING, 0, NULL, NULL, NULL);
		r->tries = 0;
		r->next_wall_us = 0;
		r->reported = false;
		n++;
	}
	if (n == 0 || !changed)
		return false;
	st->tries = 0;
	st->last_attempt_wall_us = 0;
	st->uncertain = st->warned = false;
	st->report_id.text[0] = '\0';
	set_text(&st->route, order->route);
	spool_state_let_go(st);
	return true;
}

static bool reroute(struct spool_state *st, const struct action_order *order, int64_t now_wall_us)
{
	if (pending(st) == 0 || text_same(st->route, order->route))
		return false;
	set_text(&st->route, order->route);
	make_due(st, now_wall_us);
	return true;
}

static const struct {
	const char *name, *done_name;
	change_function *change; /* NULL: the message goes */
	bool gives_up; /* a report is to be made of what failed: the content is needed, and verified */
	bool must_last;
} actions[ACTION_COUNT] = {
	[ACTION_RETRY] = { "retry", "retried", retry, false, false },
	[ACTION_HOLD] = { "hold", "held", hold, false, true },
	[ACTION_RELEASE] = { "release", "released", release, false, true },
	[ACTION_EXPIRE] = { "expire", "expired", expire, true, true },
	[ACTION_BOUNCE] = { "bounce", "bounced", bounce, true, true },
	[ACTION_REMOVE] = { "remove", "removed", NULL, false, true },
	[ACTION_REQUEUE] = { "requeue", "requeued", requeue, false, true },
	[ACTION_REROUTE] = { "reroute", "rerouted", reroute, false, true },
};

const char *action_name(enum action a)
{
	return actions[a].name;
}

const char *action_done_name(enum action a)
{
	return actions[a].done_name;
}

int action_find(const char *name, enum action *out)
{
	for (unsigned i = 0; i < ACTION_COUNT; i++) {
		if (strcmp(actions[i].name, name) == 0) {
			*out = (enum action)i;
			return 0;
		}
	}
	return -1;
}

static const char *const result_names[ACTION_RESULTS] = { "done", "no_change", "pending",
							   "gone", "corrupt",	"failed" };

const char *action_result_name(enum action_result r)
{
	return result_names[r];
}

int action_result_find(const char *name, enum action_result *out)
{
	for (unsigned i = 0; i < ACTION_RESULTS; i++) {
		if (strcmp(result_names[i], name) == 0) {
			*out = (enum action_result)i;
			return 0;
		}
	}
	return -1;
}

void action_log(const struct action_order *order, const struct action_item *item)
{
	struct log_line line;

	if (item->result != ACTION_DONE && item->result != ACTION_FAILED && item->result != ACTION_CORRUPT)
		return;
	log_begin(&line, item->result == ACTION_DONE ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
		  item->result == ACTION_DONE ? action_done_name(order->action) : "action_failed");
	log_str(&line, "id", item->id.text);
	log_str(&line, "by", order->by);
	if (item->result != ACTION_DONE)
		log_str(&line, "action", action_name(order->action));
	if (order->action == ACTION_REROUTE || order->route)
		log_str(&line, "upstream", order->route ? order->route : "");
	if (item->in_flight)
		log_str(&line, "in_flight", "yes");
	if (item->report_id.text[0])
		log_str(&line, "report", item->report_id.text);
	log_str(&line, "reason", item->result == ACTION_DONE ? order->reason : item->e.text);
	log_end(&line);
	if (!item->report_failed)
		return;
	log_begin(&line, LOG_LEVEL_ERROR, "unsaved");
	log_str(&line, "id", item->id.text);
	log_str(&line, "reason", item->e.text);
	log_end(&line);
}

/* ---- one message ---------------------------------------------------------------- */

/* What is done in this batch, and for the reports that follow it. */
struct run {
	const struct action_order *order;
	struct spool *spool;
	const struct bounce_settings *bounce;
	struct action_item *items;
	struct spool_change *changes; /* [i] is item i's */
	size_t count;
	int64_t now_wall_us;
};

/* Envelope and state. False: item says why not. */
static bool open_message(const struct run *run, struct action_item *item, bool verify, struct spool_message *m,
			 struct spool_state *st)
{
	struct err e;

	switch (spool_message_open(m, run->spool, item->id.text, verify, &item->e)) {
	case SPOOL_READ_OK:
		break;
	case SPOOL_READ_GONE:
		item->result = ACTION_GONE;
		return false;
	case SPOOL_READ_CORRUPT:
		item->result = ACTION_CORRUPT;
		return false;
	case SPOOL_READ_FAILED:
		item->result = ACTION_FAILED;
		return false;
	}
	spool_state_init_for(st, &m->env);
	switch (spool_state_load(st, run->spool, item->id.text, &item->e)) {
	case SPOOL_READ_OK:
	case SPOOL_READ_GONE:
		return true;
	case SPOOL_READ_CORRUPT:
		/* as an attempt does: it is kept in corrupt/, and all are pending again */
		if (spool_quarantine_state(run->spool, item->id.text, item->e.text, &e) == 0)
			return true;
		item->e = e;
		break;
	case SPOOL_READ_FAILED:
		break;
	}
	item->result = ACTION_FAILED;
	spool_state_release(st);
	spool_message_close(m);
	return false;
}

static void add_event(const struct run *run, struct spool_state *st, size_t rcpts)
{
	struct spool_event event = { .when_wall_us = run->now_wall_us, .rcpts = rcpts,
				     .what = (char *)(uintptr_t)action_done_name(run->order->action),
				     .upstream = (char *)(uintptr_t)run->order->route,
				     .text = (char *)(uintptr_t)run->order->reason,
				     .by = (char *)(uintptr_t)run->order->by };

	if (run->order->action != ACTION_REROUTE)
		event.upstream = NULL;
	spool_state_add_event(st, &event);
}

static int64_t due_of(const struct spool_state *st, int64_t now_wall_us)
{
	int64_t now_ms = now_wall_us / 1000, next_ms = st->next_attempt_wall_us / 1000;

	if (st->report_id.text[0] && pending(st) == 0)
		return now_ms + REPORT_LATER_MS;
	if (st->held || pending(st) == 0)
		return CLOCK_NEVER;
	return next_ms > now_ms ? next_ms : now_ms;
}

static void take_result(struct action_item *item, const struct spool_change *c)
{
	switch (c->result) {
	case SPOOL_CHANGE_NONE:
	case SPOOL_CHANGE_STAGED:
		return;
	case SPOOL_CHANGE_DONE:
		item->result = ACTION_DONE;
		return;
	case SPOOL_CHANGE_GONE:
		item->result = ACTION_GONE;
		return;
	case SPOOL_CHANGE_FAILED:
		item->result = ACTION_FAILED;
		return;
	}
}

/* Stages what the order means for one message. */
static void stage(const struct run *run, size_t i)
{
	struct action_item *item = &run->items[i];
	struct spool_change *c = &run->changes[i];
	struct spool_message m;
	struct spool_state st;
	size_t rcpts;

	*c = (struct spool_change){ .id = item->id, .must_last = actions[run->order->action].must_last, .e = &item->e };
	item->due_wall_ms = CLOCK_NEVER;
	item->report_id.text[0] = '\0';
	item->report_failed = false;
	if (!actions[run->order->action].change) {
		spool_change_remove(c);
		return;
	}
	if (!open_message(run, item, actions[run->order->action].gives_up, &m, &st))
		return;
	rcpts = actions[run->order->action].gives_up ? pending(&st) : 0;
	item->result = ACTION_NO_CHANGE;
	if (actions[run->order->action].change(&st, run->order, run->now_wall_us)) {
		spool_state_follow(&st);
		add_event(run, &st, rcpts);
		if (actions[run->order->action].gives_up)
			(void)bounce_prepare(run->bounce, &m.env, &st);
		spool_change_save(run->spool, c, &st);
		take_result(item, c);
	}
	item->due_wall_ms = due_of(&st, run->now_wall_us);
	spool_state_release(&st);
	spool_message_close(&m);
}

/* ---- the reports ------------------------------------------------------------------ */

/* Steps 3 and 4 of bounce.h for one message whose failures are durable. */
static void stage_report(const struct run *run, size_t i)
{
	struct action_item *item = &run->items[i];
	struct spool_change *c = &run->changes[i];
	struct spool_message m;
	struct spool_state st;
	struct spool_id report;
	enum action_result result = item->result;
	bool queued = true;

	c->result = SPOOL_CHANGE_NONE;
	c->must_last = true;
	if (!open_message(run, item, false, &m, &st)) {
		item->report_failed = item->result != ACTION_GONE;
		item->result = result; /* what was ordered is done; the relay meets the trouble again */
		item->due_wall_ms = run->now_wall_us / 1000 + REPORT_LATER_MS;
		return;
	}
	report = st.report_id;
	if (report.text[0])
		queued = bounce_commit(run->bounce, run->spool, &m, &st, NULL, &item->e) == 0;
	item->report_failed = !queued;
	if (queued && report.text[0])
		item->report_id = report;
	if (queued && spool_state_is_finished(&st))
		spool_change_remove(c);
	else if (queued && report.text[0])
		spool_change_save(run->spool, c, &st);
	item->due_wall_ms = spool_state_is_finished(&st) ? CLOCK_NEVER : due_of(&st, run->now_wall_us);
	spool_state_release(&st);
	spool_message_close(&m);
}

/*
 * What fails from here on is no failure of the order: the state says that a report is wanted, or was made, and
 * under which id, so who meets it next goes on there.
 */
static void make_reports(const struct run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		if (run->items[i].result == ACTION_DONE)
			stage_report(run, i);
		else
			run->changes[i].result = SPOOL_CHANGE_NONE;
	}
	spool_changes_commit(run->spool, run->changes, run->count);
	for (size_t i = 0; i < run->count; i++)
		if (run->changes[i].result == SPOOL_CHANGE_FAILED) {
			run->items[i].due_wall_ms = run->now_wall_us / 1000 + REPORT_LATER_MS;
			run->items[i].report_failed = true;
		}
}

void action_run(const struct action_order *order, struct spool *s, const struct bounce_settings *bounce_settings,
		struct action_item *items, size_t count)
{
	struct run run = { order, s, bounce_settings, items, mem_array(count, sizeof(*run.changes)), count,
			   clock_wall_us() };

	ASSERT(count <= ACTION_BATCH_MAX);
	for (size_t i = 0; i < count; i++)
		stage(&run, i);
	spool_changes_commit(s, run.changes, count);
	for (size_t i = 0; i < count; i++)
		take_result(&items[i], &run.changes[i]);
	if (actions[order->action].gives_up)
		make_reports(&run);
	free(run.changes);
}
