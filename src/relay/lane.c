/* SPDX-License-Identifier: ISC */
/*
 * One upstream: which of its addresses are well, how many connections there
 * may be and where they go, and what follows when one ends. Runs in the
 * relay; called from the event loop (relay.c) and by upstream/.
 */
#include "relay/relay_internal.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "figures/figures.h"

#define IDLE_IS_NORMAL_MS 1000 /* a peer may close a connection that was unused this long */
#define ALIVE_MS 60000 /* an upstream that answered this recently is not down because it refuses a connection */

void lane_init(struct relay_upstream *u, struct relay *r, size_t index)
{
	u->relay = r;
	u->config = &r->config->upstream[index];
	u->lane = index;
	u->remote = mem_array(u->config->remote_count, sizeof(*u->remote));
	u->choice = mem_array(u->config->remote_count, sizeof(*u->choice));
	for (size_t i = 0; i < u->config->remote_count; i++) {
		u->remote[i].config = &u->config->remote[i];
		u->choice[i].weight = u->config->remote[i].weight;
	}
	remotes_group(u->choice, u->config->remote_count);
	bucket_init(&u->bucket, u->config->messages_per_minute, clock_mono_ms());
	u->was_available = lane_is_available(u);
}

void lane_release(struct relay_upstream *u)
{
	for (size_t i = 0; u->remote && i < u->config->remote_count; i++)
		free(u->remote[i].last_trouble);
	free(u->remote);
	free(u->choice);
	free(u->last_trouble);
}

/* ---- how it is -------------------------------------------------------------------- */

static struct remote *choice_of(const struct relay_upstream *u, const struct relay_remote *remote)
{
	return &u->choice[remote - u->remote];
}

enum breaker_state lane_state(const struct relay_upstream *u)
{
	int64_t until;

	return remotes_state(u->choice, u->config->remote_count, &until);
}

bool lane_is_available(const struct relay_upstream *u)
{
	return !u->is_suspended && lane_state(u) == BREAKER_UP;
}

static void log_remote(const struct relay_upstream *u, const struct relay_remote *remote, enum log_level level,
		       const char *event, const char *reason, int64_t pause_ms)
{
	struct log_line line;

	log_begin(&line, level, event);
	log_str(&line, "upstream", u->config->name);
	log_str(&line, "remoteaddr", remote->config->name);
	if (reason) {
		if (pause_ms > 0)
			log_seconds(&line, "pause", pause_ms);
		log_str(&line, "reason", reason);
	}
	log_end(&line);
}

static void remember_trouble(struct relay_upstream *u, struct relay_remote *remote, const char *reason)
{
	free(remote->last_trouble);
	free(u->last_trouble);
	remote->last_trouble = mem_strdup(reason);
	remote->last_trouble_wall_us = clock_wall_us();
	u->last_trouble = mem_strdup(reason);
}

void lane_trouble(struct relay_upstream *u, struct relay_remote *remote, const char *reason)
{
	struct breaker *b = &choice_of(u, remote)->breaker;
	bool probed = b->state == BREAKER_PROBING, news;
	int64_t pause = breaker_failed(b, &u->config->probe, relay_luck(), clock_mono_ms(), &news);

	figures_add(FIGURE_UPSTREAM_TROUBLES, figures_find(FIGURES_UPSTREAMS, u->config->name), 0, 1);
	remember_trouble(u, remote, reason);
	remote->probe = NULL; /* what is still to come of it counts, but nobody waits for that */
	/* each probe is told: who looks during the night must not search the log for its first line */
	log_remote(u, remote, news ? LOG_LEVEL_WARNING : probed ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
		   news ? "upstream_down" : "upstream_still_down", reason, pause);
	u->relay->service_wanted = true; /* another address may do */
}

void lane_worked(struct relay_upstream *u, struct relay_remote *remote)
{
	if (!breaker_worked(&choice_of(u, remote)->breaker))
		return;
	log_remote(u, remote, LOG_LEVEL_INFO, "upstream_up", NULL, 0);
	u->relay->service_wanted = true; /* what waited behind the probe */
}

static void log_pace(const struct relay_upstream *u, const char *event, const char *reason)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_INFO, event);
	log_str(&line, "upstream", u->config->name);
	log_int(&line, "connections", lane_connections_allowed(u));
	log_str(&line, "reason", reason);
	log_end(&line);
}

void lane_slow_down(struct relay_upstream *u, const char *reply)
{
	figures_add(FIGURE_UPSTREAM_SLOWDOWNS, figures_find(FIGURES_UPSTREAMS, u->config->name), 0, 1);
	if (u->config->max_connections == 1)
		return;
	if (throttle_slow(&u->throttle, u->conn_count, clock_mono_ms()))
		log_pace(u, "upstream_slowed", reply);
	u->relay->service_wanted = true; /* some of its connections have to go */
}

void lane_delivered(struct relay_upstream *u)
{
	u->last_delivered_wall_us = clock_wall_us();
	if (throttle_worked(&u->throttle, u->config->max_connections))
		log_pace(u, "upstream_recovered", NULL);
}

void lane_probe(struct relay_upstream *u)
{
	int64_t now = clock_mono_ms();

	for (size_t i = 0; i < u->config->remote_count; i++)
		if (u->choice[i].breaker.state == BREAKER_PAUSED)
			u->choice[i].breaker.paused_until_mono_ms = now;
	u->relay->service_wanted = true;
}

/* ---- credentials that change ---------------------------------------------------------- */

static void credentials_changed(void *ctx)
{
	struct relay_upstream *u = ctx;
	const struct relay_credentials *c = u->config->credentials;
	struct err e;

	/* what it was paused for may have been this; if not, one try more tells */
	if (u->wants_credentials && c->ops->state(c->c, &e) == CREDENTIALS_READY &&
	    c->ops->generation(c->c) != u->refused_credentials) {
		u->wants_credentials = false;
		lane_probe(u);
	}
	u->relay->service_wanted = true;
	relay_set_timer(u->relay);
}

void lane_start(struct relay_upstream *u)
{
	const struct relay_credentials *c = u->config->credentials;

	if (c)
		c->ops->start(c->c, u->relay->base, u->relay->client, credentials_changed, u);
}

void lane_stop(struct relay_upstream *u)
{
	if (u->config->credentials)
		u->config->credentials->ops->stop(u->config->credentials->c);
}

bool lane_is_busy(const struct relay_upstream *u)
{
	const struct relay_credentials *c = u->config->credentials;

	return u->conn_count > 0 || (c && c->ops->busy(c->c));
}

static bool has_session(const struct relay_upstream *u)
{
	for (const struct relay_conn *rc = u->conns; rc; rc = rc->next)
		if (rc->is_ready && !rc->quitting)
			return true;
	return false;
}

/*
 * Without them no connection is opened; that there are none is trouble of the address that it would have been
 * to, but not while others are open, which were let in with what was good then: trouble would end them.
 */
static enum credentials_state look_at_credentials(struct relay_upstream *u, struct relay_remote *remote)
{
	const struct relay_credentials *c = u->config->credentials;
	enum credentials_state state;
	struct err e;

	if (!c)
		return CREDENTIALS_READY;
	state = c->ops->state(c->c, &e);
	if (state != CREDENTIALS_NONE)
		return state;
	u->wants_credentials = true;
	u->refused_credentials = 0;
	if (choice_of(u, remote)->breaker.state == BREAKER_UP && has_session(u))
		return CREDENTIALS_COMING;
	lane_trouble(u, remote, e.text);
	return CREDENTIALS_NONE;
}

/*
 * Refused in AUTH, with credentials that can be replaced: then that is done, once, before the upstream is
 * paused. Others that come later end the pause.
 */
static bool is_tried_again(const struct relay_conn *rc, const struct upstream_outcome *why)
{
	const struct relay_credentials *c = rc->upstream->config->credentials;

	if (!c || rc->is_ready || why->how != UPSTREAM_ANSWERED || why->phase != UPSTREAM_AUTH ||
	    why->reply.code < 500)
		return false;
	if (!c->ops->rejected(c->c, rc->credentials)) {
		rc->upstream->wants_credentials = true;
		rc->upstream->refused_credentials = rc->credentials;
		return false;
	}
	log_remote(rc->upstream, rc->remote, LOG_LEVEL_INFO, "credentials_refused", why->reply.text, 0);
	return true;
}

/* ---- connections -------------------------------------------------------------------- */

static void conn_quit(struct relay_conn *rc)
{
	if (rc->quitting)
		return;
	rc->quitting = true;
	carry_quit(rc);
}

void lane_quit_all(struct relay_upstream *u)
{
	for (struct relay_conn *rc = u->conns, *next; rc; rc = next) {
		next = rc->next;
		rc->quitting = true;
		if (rc->is_ready)
			carry_quit(rc);
		else
			carry_abort(rc);
	}
}

static void conn_ready(struct upstream_conn *conn, void *ctx)
{
	struct relay_conn *rc = ctx;
	struct relay_upstream *u = rc->upstream;
	struct relay *r = u->relay;

	(void)conn;
	rc->is_ready = true;
	rc->remote->lacks_requiretls = !carry_can_requiretls(rc);
	rc->ready_mono_ms = clock_mono_ms();
	rc->remote->connecting_count--;
	u->connecting_count -= !rc->is_probe;
	/* mail for this upstream waits in another lane until it is up: that it lets us in has to do */
	if (rc->is_probe && u->passed_over && queue_count_due(&r->queue, u->lane, relay_wall_ms(), 1) == 0)
		lane_worked(u, rc->remote);
	if (rc->remote->crowded)
		r->service_wanted = true; /* there was room for it: perhaps for another */
	if (r->service_wanted)
		relay_set_timer(r);
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
static bool is_crowded(const struct relay_conn *failed)
{
	const struct relay_remote *remote = failed->remote;

	if (failed->is_ready || remote->conn_count == remote->connecting_count)
		return false;
	return remote->answered_mono_ms > 0 && clock_mono_ms() - remote->answered_mono_ms < ALIVE_MS;
}

static void note_crowd(struct relay_upstream *u, struct relay_remote *remote, const char *reason)
{
	int64_t pause = retry_interval_ms(&u->config->probe, 1, relay_luck());

	log_remote(u, remote, remote->crowded ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "upstream_crowded", reason, pause);
	remote->crowded = true;
	remote->crowded_until_mono_ms = clock_mono_ms() + pause;
}

static void conn_closed(struct upstream_conn *conn, void *ctx, const struct upstream_outcome *why, bool ever_ready)
{
	struct relay_conn *rc = ctx, **at;
	struct relay_upstream *u = rc->upstream;
	struct relay_remote *remote = rc->remote;
	struct relay *r = u->relay;
	bool crowded = is_crowded(rc);

	(void)conn;
	if (!ever_ready) {
		remote->connecting_count--;
		u->connecting_count -= !rc->is_probe;
	}
	for (at = &u->conns; *at != rc; at = &(*at)->next)
		;
	*at = rc->next;
	u->conn_count--;
	remote->conn_count--;
	if (!r->stopping && is_trouble(rc, why) && !is_tried_again(rc, why)) {
		char reason[SMTP_REPLY_TEXT_MAX + 64];

		snprintf(reason, sizeof(reason), "%s: %s", upstream_phase_name(why->phase), why->reply.text);
		if (why->how == UPSTREAM_ANSWERED && throttle_is_slow_down(&why->reply))
			lane_slow_down(u, reason);
		if (crowded)
			note_crowd(u, remote, reason);
		else
			lane_trouble(u, remote, reason);
	}
	if (remote->conn_count == 0)
		remote->crowded = false;
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

static const struct upstream_conn_ops conn_ops = { conn_ready, relay_next_txn, conn_closed, NULL, NULL };
static const struct upstream_conn_ops conn_ops_traced = { conn_ready, relay_next_txn, conn_closed, conn_trace,
							  NULL };

static void open_connection(struct relay_upstream *u, size_t remote, bool is_probe)
{
	struct relay_conn *rc = mem_alloc(sizeof(*rc));

	rc->upstream = u;
	rc->remote = &u->remote[remote];
	rc->is_probe = is_probe;
	if (u->config->credentials)
		rc->credentials = u->config->credentials->ops->generation(u->config->credentials->c);
	rc->next = u->conns;
	u->conns = rc;
	u->conn_count++;
	u->connecting_count += !is_probe;
	rc->remote->conn_count++;
	rc->remote->connecting_count++;
	carry_open(rc, u->relay->setup->trace ? &conn_ops_traced : &conn_ops);
}

unsigned lane_connections_allowed(const struct relay_upstream *u)
{
	return throttle_allows(&u->throttle, u->config->max_connections);
}

/* A connection to the address that could take the message which shows how it is. */
static bool has_asker(const struct relay_upstream *u, const struct relay_remote *remote)
{
	for (const struct relay_conn *rc = u->conns; rc; rc = rc->next)
		if (rc->remote == remote && !rc->quitting && (!rc->is_ready || carry_in_flight(rc) == 0))
			return true;
	return false;
}

static void look_at_remotes(struct relay_upstream *u, int64_t now_mono)
{
	for (size_t i = 0; i < u->config->remote_count; i++) {
		struct relay_remote *remote = &u->remote[i];

		breaker_follow_clock(&u->choice[i].breaker, now_mono);
		u->choice[i].is_full = remote->crowded && (now_mono < remote->crowded_until_mono_ms ||
							    remote->connecting_count > 0);
		/*
		 * those that hang with what they took before the trouble began must not keep us from asking
		 */
		if (u->choice[i].breaker.state == BREAKER_PROBING)
			u->choice[i].is_asked = remote->probe || has_asker(u, remote);
	}
}

/* Connections to a fall-back end when something better is up, and those beyond what is allowed. */
static void retire_connections(struct relay_upstream *u)
{
	size_t group = remotes_best_group(u->choice, u->config->remote_count);
	unsigned allowed = lane_connections_allowed(u), staying = 0;

	for (struct relay_conn *rc = u->conns, *next; rc; rc = next) {
		next = rc->next; /* QUIT goes out, but nothing is closed before the event loop comes round */
		if (rc->quitting || !rc->is_ready)
			continue;
		if (choice_of(u, rc->remote)->group > group || ++staying > allowed)
			conn_quit(rc);
	}
}

/* Makes room for a probe of something better: it has to be found out whatever the fall-back does. */
static void make_room(struct relay_upstream *u)
{
	for (struct relay_conn *rc = u->conns; rc; rc = rc->next) {
		if (rc->quitting)
			return; /* it is being made */
		if (rc->is_ready && choice_of(u, rc->remote)->breaker.state == BREAKER_UP) {
			conn_quit(rc);
			return;
		}
	}
}

static void open_probes(struct relay_upstream *u)
{
	size_t i;

	while ((i = remotes_to_probe(u->choice, u->config->remote_count)) != REMOTES_NONE) {
		if (u->conn_count >= u->config->max_connections) {
			make_room(u);
			return;
		}
		u->choice[i].is_asked = true;
		if (look_at_credentials(u, &u->remote[i]) == CREDENTIALS_READY)
			open_connection(u, i, true);
	}
}

/* Best addresses first: with little mail a recovered one must get what there is. */
static void kick_connections(struct relay_upstream *u)
{
	for (size_t group = 0; group <= u->choice[u->config->remote_count - 1].group; group++) {
		for (struct relay_conn *rc = u->conns, *next; rc; rc = next) {
			next = rc->next;
			if (rc->is_ready && !rc->quitting && choice_of(u, rc->remote)->group == group)
				carry_kick(rc);
		}
	}
}

void lane_service(struct relay_upstream *u)
{
	struct relay *r = u->relay;
	unsigned allowed, tokens;
	int64_t now = relay_wall_ms();
	enum credentials_state state;
	bool is_wanted;
	size_t due, i;

	look_at_remotes(u, clock_mono_ms());
	retire_connections(u);
	if (u->is_suspended)
		return;
	tokens = bucket_has(&u->bucket, clock_mono_ms());
	is_wanted = tokens > 0 && queue_count_due(&r->queue, u->lane, now, 1) > 0;
	if (is_wanted)
		kick_connections(u);
	due = queue_count_due(&r->queue, u->lane, now, u->config->max_connections);
	if (due > tokens)
		due = tokens;
	look_at_remotes(u, clock_mono_ms()); /* a kicked connection may have taken a probe */
	/* also when a fall-back has taken what there was */
	if (is_wanted || (u->passed_over && lane_state(u) != BREAKER_UP))
		open_probes(u);
	allowed = lane_connections_allowed(u);
	while (u->conn_count < allowed && u->connecting_count < due) {
		i = remotes_choose(u->choice, u->config->remote_count);
		if (i == REMOTES_NONE)
			break;
		state = look_at_credentials(u, &u->remote[i]);
		if (state == CREDENTIALS_COMING)
			break;
		if (state == CREDENTIALS_READY)
			open_connection(u, i, false);
		look_at_remotes(u, clock_mono_ms());
	}
}

int64_t lane_next_mono_ms(struct relay_upstream *u)
{
	int64_t next = CLOCK_NEVER, now = clock_mono_ms(), until;
	bool has_due;

	if (u->is_suspended)
		return CLOCK_NEVER;
	has_due = queue_count_due(&u->relay->queue, u->lane, relay_wall_ms(), 1) > 0;
	for (size_t i = 0; i < u->config->remote_count; i++) {
		const struct relay_remote *remote = &u->remote[i];

		if (u->choice[i].breaker.state == BREAKER_PAUSED)
			next = u->choice[i].breaker.paused_until_mono_ms < next ?
				       u->choice[i].breaker.paused_until_mono_ms : next;
		if (remote->crowded && remote->crowded_until_mono_ms > now && remote->crowded_until_mono_ms < next)
			next = remote->crowded_until_mono_ms;
	}
	if (has_due && bucket_has(&u->bucket, now) == 0) {
		until = bucket_next_mono_ms(&u->bucket);
		next = until < next ? until : next;
	}
	return next;
}
