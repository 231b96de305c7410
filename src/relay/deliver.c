/* SPDX-License-Identifier: ISC */
/*
 * Messages to connections: which is sent when and on what, how many
 * connections there may be, and what follows when one or an attempt ends.
 * Runs in the relay; called from the event loop (relay.c) and by upstream/.
 */
#include "relay/relay_internal.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#define SYSTEM_RETRY_MS 60000 /* a message the system would not let us read */
#define IDLE_IS_NORMAL_MS 1000 /* a peer may close a connection that was unused this long */
#define ALIVE_MS 60000 /* an upstream that answered this recently is not down because it refuses a connection */
#define OPENED_AT_ONCE 64 /* messages that come to nothing, before other events get their turn */

static double luck(void)
{
	uint32_t n;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		return 0.5;
	return n / 4294967296.0;
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

/* Saves what was decided; keeps the attempt when the disk refuses. */
static void settle(struct relay *r, struct attempt *a, bool is_first_time)
{
	const char *id = a->message.env.id;
	struct err e;

	switch (attempt_save(a, r->setup->spool, &e)) {
	case ATTEMPT_COMPLETED:
	case ATTEMPT_PARKED:
		queue_forget(&r->queue, id);
		break;
	case ATTEMPT_AGAIN:
		queue_give_back(&r->queue, id, a->due_wall_ms);
		break;
	case ATTEMPT_UNSAVED:
		/* it must not be sent again: it stays taken, and we remember what became of it */
		if (is_first_time)
			relay_log_unsaved(a, &e);
		if (!r->unsaved)
			r->unsaved_until_mono_ms = clock_mono_ms() + RELAY_UNSAVED_RETRY_MS;
		a->next_unsaved = r->unsaved;
		r->unsaved = a;
		return;
	}
	attempt_free(a);
}

void relay_settle_unsaved(struct relay *r)
{
	struct attempt *list = r->unsaved;

	if (clock_mono_ms() < r->unsaved_until_mono_ms)
		return;
	r->unsaved = NULL;
	while (list) {
		struct attempt *a = list;

		list = a->next_unsaved;
		settle(r, a, false);
	}
}

static void log_upstream(struct relay *r, enum log_level level, const char *event, const char *reason, int64_t pause_ms)
{
	struct log_line line;

	log_begin(&line, level, event);
	log_str(&line, "upstream", r->setup->upstream.name);
	if (reason) {
		log_seconds(&line, "pause", pause_ms);
		log_str(&line, "reason", reason);
	}
	log_end(&line);
}

static void note_trouble(struct relay *r, const char *reason)
{
	bool probed = r->breaker.state == BREAKER_PROBING, news;
	int64_t pause = breaker_failed(&r->breaker, &r->setup->probe, luck(), clock_mono_ms(), &news);

	r->probe = NULL; /* what is still to come of it counts, but nobody waits for that */
	/* each probe is told: who looks during the night must not search the log for its first line */
	log_upstream(r, news ? LOG_LEVEL_WARNING : probed ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
		     news ? "upstream_down" : "upstream_still_down", reason, pause);
}

static void attempt_done(struct upstream_txn *t, const struct upstream_outcome *outcome)
{
	struct attempt *a = (struct attempt *)t;
	struct relay_conn *rc = a->owner;
	struct relay *r = rc->relay;
	struct attempt_result result;

	relay_follow_clock(r);
	result = attempt_conclude(a, outcome, &r->setup->retry, luck());
	if (r->probe == a)
		r->probe = NULL;
	if (result.answered) {
		rc->answered++;
		r->answered_mono_ms = clock_mono_ms();
	}
	if (result.upstream_trouble)
		note_trouble(r, outcome->reply.text);
	else if (result.answered && breaker_worked(&r->breaker)) {
		log_upstream(r, LOG_LEVEL_INFO, "upstream_up", NULL, 0);
		r->service_wanted = true; /* what waited behind the probe */
	}
	if (result.touched) {
		settle(r, a, true);
	} else {
		queue_give_back(&r->queue, a->message.env.id, a->due_wall_ms);
		attempt_free(a);
		r->service_wanted = true; /* it is due, and another connection may be free */
	}
	relay_set_timer(r);
}

/* ---- connections -------------------------------------------------------------------- */

static struct upstream_txn *conn_next(struct upstream_conn *conn, void *ctx)
{
	struct relay_conn *rc = ctx;
	struct relay *r = rc->relay;
	unsigned limit = r->setup->messages_per_connection;
	struct spool_id id;
	struct attempt *a;

	if (rc->quitting)
		return NULL;
	if (r->stopping || r->breaker.state == BREAKER_PAUSED || (limit && rc->taken >= limit)) {
		rc->quitting = true;
		upstream_conn_quit(conn);
		return NULL;
	}
	/* a probe is one message: a thousand must not meet an upstream that is not well */
	if (r->breaker.state == BREAKER_PROBING && (r->probe || upstream_conn_in_flight(conn) > 0))
		return NULL;
	for (int i = 0; i < OPENED_AT_ONCE; i++) {
		if (!queue_take(&r->queue, relay_wall_ms(), &id))
			return NULL;
		switch (attempt_open(&a, r->setup->spool, id.text, r->setup->upstream.name, attempt_done)) {
		case ATTEMPT_READY:
			a->owner = rc;
			snprintf(a->remote, sizeof(a->remote), "%s", upstream_conn_remote(conn));
			rc->taken++;
			if (r->breaker.state == BREAKER_PROBING)
				r->probe = a;
			return &a->txn;
		case ATTEMPT_GONE:
		case ATTEMPT_NOTHING_TO_DO:
		case ATTEMPT_QUARANTINED:
			queue_forget(&r->queue, id.text);
			break;
		case ATTEMPT_LATER:
			queue_give_back(&r->queue, id.text, relay_wall_ms() + SYSTEM_RETRY_MS);
			break;
		}
	}
	r->service_wanted = true;
	relay_set_timer(r);
	return NULL;
}

static void conn_ready(struct upstream_conn *conn, void *ctx)
{
	struct relay_conn *rc = ctx;

	(void)conn;
	rc->is_ready = true;
	rc->ready_mono_ms = clock_mono_ms();
	rc->relay->connecting_count--;
	if (rc->relay->crowded) {
		rc->relay->service_wanted = true; /* there was room for it: perhaps for another */
		relay_set_timer(rc->relay);
	}
}

/* Did this connection end for a reason that should make us wait before the next? */
static bool is_trouble(const struct relay_conn *rc, const struct upstream_outcome *why)
{
	if (rc->quitting || rc->answered > 0 || why->how == UPSTREAM_SOURCE_FAILED)
		return false;
	if (!rc->is_ready)
		return true;
	if (why->how == UPSTREAM_ANSWERED && why->reply.code == 221)
		return false;
	/* never asked for anything: peers may tire of idle connections, but not at once */
	return rc->taken > 0 || clock_mono_ms() - rc->ready_mono_ms < IDLE_IS_NORMAL_MS;
}

/*
 * A session that did not come about is no trouble while others work: many upstreams limit how many
 * connections they take from one address. To pause for that, to be answered on another connection, and so
 * to try again with each message would be a storm of connections.
 */
static bool is_crowded(const struct relay *r, const struct relay_conn *failed)
{
	if (failed->is_ready || r->conn_count == r->connecting_count)
		return false;
	return r->answered_mono_ms > 0 && clock_mono_ms() - r->answered_mono_ms < ALIVE_MS;
}

static void note_crowd(struct relay *r, const char *reason)
{
	int64_t pause = retry_interval_ms(&r->setup->probe, 1, luck());

	log_upstream(r, r->crowded ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "upstream_crowded", reason, pause);
	r->crowded = true;
	r->crowded_until_mono_ms = clock_mono_ms() + pause;
}

static void conn_closed(struct upstream_conn *conn, void *ctx, const struct upstream_outcome *why, bool ever_ready)
{
	struct relay_conn *rc = ctx, **at;
	struct relay *r = rc->relay;

	(void)conn;
	if (!ever_ready)
		r->connecting_count--;
	for (at = &r->conns; *at != rc; at = &(*at)->next)
		;
	*at = rc->next;
	r->conn_count--;
	if (!r->stopping && is_trouble(rc, why)) {
		char reason[SMTP_REPLY_TEXT_MAX + 64];

		snprintf(reason, sizeof(reason), "%s: %s", upstream_phase_name(why->phase), why->reply.text);
		if (is_crowded(r, rc))
			note_crowd(r, reason);
		else
			note_trouble(r, reason);
	}
	if (r->conn_count == 0)
		r->crowded = false;
	free(rc);
	r->service_wanted = true;
	relay_set_timer(r);
}

static void conn_trace(void *ctx, bool from_upstream, const char *text, size_t len)
{
	struct log_line line;

	(void)ctx;
	log_begin(&line, LOG_LEVEL_DEBUG, "upstream_dialogue");
	log_strn(&line, from_upstream ? "received" : "sent", text, len);
	log_end(&line);
}

static const struct upstream_conn_ops conn_ops = { conn_ready, conn_next, conn_closed, NULL };
static const struct upstream_conn_ops conn_ops_traced = { conn_ready, conn_next, conn_closed, conn_trace };

static void open_connection(struct relay *r)
{
	struct relay_conn *rc = mem_alloc(sizeof(*rc));

	rc->relay = r;
	rc->next = r->conns;
	r->conns = rc;
	r->conn_count++;
	r->connecting_count++;
	rc->conn = upstream_conn_open(r->upstream, &r->setup->upstream,
				      r->setup->trace ? &conn_ops_traced : &conn_ops, rc);
}

/* How many connections there may be now. */
static unsigned connection_limit(struct relay *r)
{
	int64_t now_mono = clock_mono_ms();
	unsigned limit = breaker_connections(&r->breaker, r->setup->max_connections, now_mono);

	if (r->breaker.state == BREAKER_PROBING) {
		/* those that hang with what they took before the trouble began must not keep us from asking */
		limit = r->probe ? 0 : 1;
		for (const struct relay_conn *rc = r->conns; rc && limit > 0; rc = rc->next)
			limit += upstream_conn_in_flight(rc->conn) > 0;
	} else if (r->crowded && limit > 0) {
		bool may_try = now_mono >= r->crowded_until_mono_ms && r->connecting_count == 0;

		limit = r->conn_count + may_try;
	}
	return limit < r->setup->max_connections ? limit : r->setup->max_connections;
}

void relay_service(struct relay *r)
{
	unsigned allowed;
	int64_t now;
	size_t due;

	relay_follow_clock(r);
	r->service_wanted = false;
	/* one look at the clock for what is due and for the timer: nothing can fall between two */
	r->served_wall_ms = now = relay_wall_ms();
	if (r->stopping) {
		if (r->conn_count == 0)
			event_base_loopbreak(r->base);
		relay_set_timer(r);
		return;
	}
	breaker_follow_clock(&r->breaker, clock_mono_ms());
	if (queue_count_due(&r->queue, now, 1) > 0) {
		for (struct relay_conn *rc = r->conns, *next; rc; rc = next) {
			next = rc->next;
			if (rc->is_ready && !rc->quitting)
				upstream_conn_kick(rc->conn);
		}
	}
	allowed = connection_limit(r);
	due = queue_count_due(&r->queue, now, r->setup->max_connections);
	while (r->conn_count < allowed && r->connecting_count < due)
		open_connection(r);
	relay_set_timer(r);
}
