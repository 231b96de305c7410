/* SPDX-License-Identifier: ISC */
/*
 * Messages to connections: which one is next, and what follows when its
 * attempt ends. Runs in the relay; called by upstream/ and the event loop.
 */
#include "relay/relay_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "figures/figures.h"

#define OPENED_AT_ONCE 64 /* messages that come to nothing, before other events get their turn */

/* ---- those under way ---------------------------------------------------------------- */

static void list_add(struct attempt **list, struct attempt *a)
{
	a->prev = NULL;
	a->next = *list;
	if (a->next)
		a->next->prev = a;
	*list = a;
}

static void list_append(struct attempt **list, struct attempt *a)
{
	struct attempt *last = *list;

	if (!last) {
		list_add(list, a);
		return;
	}
	while (last->next)
		last = last->next;
	last->next = a;
	a->prev = last;
	a->next = NULL;
}

static void list_remove(struct attempt **list, struct attempt *a)
{
	if (a->next)
		a->next->prev = a->prev;
	*(a->prev ? &a->prev->next : list) = a->next;
	a->next = a->prev = NULL;
}

/* ---- after an attempt ------------------------------------------------------------- */

void relay_log_unsaved(const struct attempt *a, const struct err *e)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_ERROR, "unsaved");
	log_str(&line, "id", a->message.env.id);
	log_str(&line, "reason", e->text);
	log_end(&line);
}

static bool settle(struct relay *r, struct attempt *a, struct err *e)
{
	enum attempt_saved saved;

	if (operate_attempt_removed(r, a))
		return true;
	saved = attempt_save(a, e);
	/* a report that was made is mail like any other, whatever became of the rest */
	for (size_t i = 0; i < sizeof(a->report) / sizeof(*a->report); i++) {
		if (a->report[i].text[0])
			relay_add_new(r, a->report[i].text);
		a->report[i].text[0] = '\0';
	}
	if (saved == ATTEMPT_UNSAVED)
		return false;
	relay_place_saved(r, a, saved);
	return true;
}

void relay_settle(struct relay *r, struct attempt *a)
{
	struct err e;

	if (settle(r, a, &e))
		return;
	/* it must not be sent again: it stays taken, and we remember what became of it */
	relay_log_unsaved(a, &e);
	if (!r->unsaved)
		r->unsaved_until_mono_ms = clock_mono_ms() + RELAY_UNSAVED_RETRY_MS;
	list_add(&r->unsaved, a);
}

void relay_settle_unsaved(struct relay *r)
{
	int64_t by = clock_mono_ms() + RELAY_SLICE_MS;
	struct err e;

	while (r->unsaved && clock_mono_ms() >= r->unsaved_until_mono_ms) {
		struct attempt *a = r->unsaved;

		list_remove(&r->unsaved, a);
		if (!settle(r, a, &e)) {
			list_append(&r->unsaved, a); /* the others first: it may be the only one in trouble */
			r->unsaved_until_mono_ms = clock_mono_ms() + RELAY_UNSAVED_RETRY_MS;
		} else if (clock_mono_ms() >= by) {
			r->service_wanted = true;
			return;
		}
	}
}

/* What the attempt says about the upstream and the address it went to. */
static void judge_upstream(struct relay_conn *rc, const struct upstream_outcome *outcome,
			   const struct attempt_result *result)
{
	struct relay_upstream *u = rc->upstream;

	if (result->answered) {
		rc->answered++;
		rc->remote->answered_mono_ms = clock_mono_ms();
	}
	if (result->upstream_trouble)
		lane_trouble(u, rc->remote, outcome->reply.text);
	else if (result->answered)
		lane_worked(u, rc->remote);
	if (outcome->how != UPSTREAM_ANSWERED)
		return;
	if (result->delivered)
		lane_delivered(u);
	else if (throttle_is_slow_down(&outcome->reply))
		lane_slow_down(u, outcome->reply.text);
}

/*
 * RFC 8689 4.2.1 has other servers tried before a message fails for what one of them cannot do. So it waits
 * as long as there is an address that mail goes to as soon as to this one, or sooner, and that may be able: a
 * fall-back is not to return what the first one takes when it is back. True: o is the outcome then.
 */
static bool another_may_requiretls(const struct relay_conn *rc, const struct upstream_outcome *outcome,
				   struct upstream_outcome *o)
{
	const struct relay_upstream *u = rc->upstream;
	size_t group = u->choice[rc->remote - u->remote].group;

	if (outcome->how != UPSTREAM_UNSUPPORTED || strcmp(outcome->reply.enhanced, "5.7.30") != 0)
		return false;
	*o = *outcome;
	o->reply.code = 450;
	strcpy(o->reply.enhanced, "4.7.30");
	for (size_t i = 0; i < u->config->remote_count; i++)
		if (u->choice[i].group <= group && !u->remote[i].lacks_requiretls)
			return true;
	return false;
}

static void count_attempt(const struct attempt *a, const struct upstream_outcome *outcome)
{
	unsigned upstream = figures_find(FIGURES_UPSTREAMS, a->rules->routes->upstream_name[a->upstream]);
	char word[12] = "";

	switch (outcome->how) {
	case UPSTREAM_ANSWERED:
		snprintf(word, sizeof(word), "%d", outcome->reply.code);
		break;
	case UPSTREAM_NO_ANSWER:
		strcpy(word, "none");
		break;
	case UPSTREAM_UNSUPPORTED:
		strcpy(word, "unsupported");
		break;
	case UPSTREAM_SOURCE_FAILED:
	case UPSTREAM_NOT_STARTED: /* as if it had never been handed out */
		return;
	}
	figures_add(FIGURE_UPSTREAM_REPLIES, upstream,
		    figure_word(FIGURE_UPSTREAM_REPLIES, 1, word, strlen(word)), 1);
	figures_observe(FIGURE_ATTEMPT_SECONDS, upstream, clock_wall_us() - a->since_wall_us);
}

static void attempt_done(struct upstream_txn *t, const struct upstream_outcome *outcome)
{
	struct attempt *a = (struct attempt *)t;
	struct relay_conn *rc = a->owner;
	struct relay_upstream *u = rc->upstream;
	struct relay *r = u->relay;
	struct attempt_result result;
	struct upstream_outcome otherwise;

	relay_follow_clock(r);
	list_remove(&r->attempts, a);
	count_attempt(a, outcome);
	if (another_may_requiretls(rc, outcome, &otherwise))
		outcome = &otherwise;
	result = attempt_conclude(a, outcome, relay_luck());
	if (rc->remote->probe == a)
		rc->remote->probe = NULL;
	judge_upstream(rc, outcome, &result);
	if (!result.touched) {
		bucket_return(&u->bucket);
		r->service_wanted = true; /* it is due, and another connection may be free */
	}
	if (result.touched || a->is_removed || a->is_changed || a->state.held || a->orders)
		relay_settle(r, a);
	else {
		queue_put_back(&r->queue, a->message.env.id, u->lane);
		attempt_free(a);
	}
	relay_set_timer(r);
}

/* ---- the next message ------------------------------------------------------------------ */

/* Of two limits; 0: there is none. */
static unsigned least(unsigned a, unsigned b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Is this connection to take no more messages at all? */
static bool is_used_up(const struct relay_conn *rc)
{
	const struct relay_upstream *u = rc->upstream;
	const struct remote *choice = &u->choice[rc->remote - u->remote];
	/* what it announces is kept as what its operator told (RFC 9422 MAILMAX) */
	unsigned limit = least(u->config->messages_per_connection, carry_features(rc)->mailmax);
	int64_t most_age = u->config->connection_max_age_ms;

	return u->relay->stopping || choice->breaker.state == BREAKER_PAUSED || (limit && rc->taken >= limit) ||
	       (most_age && clock_mono_ms() - rc->ready_mono_ms >= most_age) ||
	       u->conn_count > u->config->max_connections;
}

/* The message is the connection's; NULL when it came to nothing. */
static struct attempt *begin(struct relay_conn *rc, const char *id)
{
	struct relay_upstream *u = rc->upstream;
	struct relay *r = u->relay;
	struct attempt *a = NULL;
	const struct upstream_features *f = carry_features(rc);
	struct attempt_limits limits = { least(u->config->recipients_per_message, f->rcptmax),
					 f->rcptdomainmax };
	enum attempt_open opened;

	/* a program may run for long: what became of one recipient is on disk before it runs for the next */
	if (rc->program)
		limits.recipients = 1;
	opened = attempt_open(&a, &r->rules, id, u->lane, &limits, attempt_done);

	if (opened == ATTEMPT_READY)
		return a;
	relay_replace_opened(r, id, opened, a, relay_first_lane(r));
	return NULL;
}

struct upstream_txn *relay_next_txn(struct upstream_conn *conn, void *ctx)
{
	struct relay_conn *rc = ctx;
	struct relay_upstream *u = rc->upstream;
	struct relay *r = u->relay;
	bool is_probing = u->choice[rc->remote - u->remote].breaker.state == BREAKER_PROBING;
	struct spool_id id;
	struct attempt *a;

	(void)conn;
	if (rc->quitting || u->is_suspended)
		return NULL;
	if (is_used_up(rc)) {
		rc->quitting = true;
		carry_quit(rc);
		return NULL;
	}
	/* a probe is one message: a thousand must not meet an upstream that is not well */
	if (is_probing && (rc->remote->probe || carry_in_flight(rc) > 0))
		return NULL;
	for (int i = 0; i < OPENED_AT_ONCE; i++) {
		if (bucket_has(&u->bucket, clock_mono_ms()) == 0 ||
		    !queue_take(&r->queue, u->lane, relay_wall_ms(), &id)) {
			if (i > 0)
				relay_set_timer(r); /* they are somewhere else now, and due at another time */
			return NULL;
		}
		a = begin(rc, id.text);
		if (!a)
			continue;
		(void)bucket_take(&u->bucket, clock_mono_ms());
		a->owner = rc;
		a->remote_name = rc->remote->config->name;
		carry_note_way(rc, a);
		list_add(&r->attempts, a);
		rc->taken++;
		if (is_probing)
			rc->remote->probe = a;
		return &a->txn;
	}
	r->service_wanted = true;
	relay_set_timer(r);
	return NULL;
}
