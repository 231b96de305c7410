/* SPDX-License-Identifier: ISC */
/*
 * What operators see of the relay: the answers to "status" and "flight" (posthouse-json(5)). Runs in its
 * event loop.
 */
#include "relay/relay_internal.h"

#include <unistd.h>

#include "base/clock.h"
#include "manage/json.h"

static json_t *count(size_t n)
{
	return json_integer((json_int_t)n);
}

static size_t count_due(const struct relay *r, size_t lane)
{
	return queue_count_due(&r->queue, lane, relay_wall_ms(), SIZE_MAX);
}

/* due: of all lanes; counting a million takes a while, so it is done once. */
static json_t *queue_object(const struct relay *r, size_t due)
{
	const struct queue *q = &r->queue;
	int64_t oldest = queue_oldest_wall_us(q);
	json_t *o = json_object();
	size_t unsaved = 0;

	for (const struct attempt *a = r->unsaved; a; a = a->next)
		unsaved++;
	json_put_key(o, "messages", count(q->count));
	json_put_key(o, "due", count(due));
	json_put_key(o, "waiting", count(q->count - q->taken - q->held - q->failed));
	json_put_key(o, "in_flight", count(q->taken - unsaved));
	json_put_key(o, "held", count(q->held));
	json_put_key(o, "failed", count(q->failed));
	json_put_key(o, "unsaved", count(unsaved));
	json_put_key(o, "oldest_arrived", oldest == CLOCK_NEVER ? json_null() : json_seconds_or_null(oldest));
	return o;
}

static json_t *rates_object(struct relay *r)
{
	json_t *all = json_object();

	for (int i = 0; i < RATE_COUNT; i++) {
		json_t *o = json_object();

		json_put_key(o, "total", count(r->rates.total[i]));
		json_put_key(o, "minute", count(rates_minute(&r->rates, (enum rate)i, clock_mono_ms())));
		json_put_key(all, rate_name((enum rate)i), o);
	}
	return all;
}

/* NULL: null */
static json_t *suspension_object(const struct suspension *s)
{
	json_t *o;

	if (!s)
		return json_null();
	o = json_object();
	json_put_key(o, "since", json_seconds_or_null(s->since_wall_us));
	json_put_key(o, "until", json_seconds_or_null(s->until_wall_us));
	json_put_key(o, "reason", json_text_or_null(s->reason));
	json_put_key(o, "by", json_text_or_null(s->by));
	return o;
}

static const struct suspension *suspension_of_all(const struct relay *r)
{
	for (size_t i = 0; i < r->suspensions.count; i++)
		if (!r->suspensions.item[i].upstream)
			return &r->suspensions.item[i];
	return NULL;
}

static const char *state_name(enum breaker_state state)
{
	static const char *const names[] = { [BREAKER_UP] = "up", [BREAKER_PAUSED] = "paused",
					     [BREAKER_PROBING] = "probing" };

	return names[state];
}

static json_t *remote_object(const struct relay_remote *remote, const struct breaker *b)
{
	int64_t until_us = clock_wall_us() + (b->paused_until_mono_ms - clock_mono_ms()) * 1000;
	json_t *o = json_object();

	json_put_key(o, "remoteaddr", json_text_or_null(remote->config->name));
	json_put_key(o, "weight", count(remote->config->weight));
	json_put_key(o, "state", json_string(state_name(b->state)));
	json_put_key(o, "connections", count(remote->conn_count));
	json_put_key(o, "failures", count(b->failures));
	json_put_key(o, "paused_until",
		     b->state == BREAKER_PAUSED ? json_seconds_or_null(until_us) : json_null());
	json_put_key(o, "last_trouble", json_text_or_null(remote->last_trouble));
	json_put_key(o, "last_trouble_at", json_seconds_or_null(remote->last_trouble_wall_us));
	return o;
}

static size_t count_in_flight(const struct relay_upstream *u)
{
	size_t n = 0;

	for (const struct relay_conn *rc = u->conns; rc; rc = rc->next)
		n += carry_in_flight(rc);
	return n;
}

static json_t *upstream_object(const struct relay *r, const struct relay_upstream *u, size_t due)
{
	const struct suspension *s = suspensions_find(&r->suspensions, u->config->name, clock_wall_us());
	json_t *o = json_object(), *remotes = json_array();

	for (size_t i = 0; i < u->config->remote_count; i++)
		json_array_append_new(remotes, remote_object(&u->remote[i], &u->choice[i].breaker));
	json_put_key(o, "name", json_text_or_null(u->config->name));
	json_put_key(o, "state", json_string(u->is_suspended ? "suspended" : state_name(lane_state(u))));
	json_put_key(o, "remotes", remotes);
	json_put_key(o, "connections", count(u->conn_count));
	json_put_key(o, "connections_allowed", count(lane_connections_allowed(u)));
	json_put_key(o, "max_connections", count(u->config->max_connections));
	json_put_key(o, "in_flight", count(count_in_flight(u)));
	json_put_key(o, "waiting", count(queue_count_waiting(&r->queue, u->lane)));
	json_put_key(o, "due", count(due));
	json_put_key(o, "messages_per_minute", count(u->config->messages_per_minute));
	json_put_key(o, "slowed", json_boolean(u->throttle.window > 0));
	json_put_key(o, "last_delivered", json_seconds_or_null(u->last_delivered_wall_us));
	json_put_key(o, "last_trouble", json_text_or_null(u->last_trouble));
	json_put_key(o, "suspension", suspension_object(s));
	json_put_key(o, "token",
		     u->config->credentials ? u->config->credentials->ops->describe(u->config->credentials->c)
					    : json_null());
	return o;
}

/* null: no handler "mailman" */
static json_t *lists_object(const struct relay *r)
{
	const struct relay_lists *lists = r->config->lists;
	json_t *o;

	if (!lists)
		return json_null();
	o = lists->ops->describe(lists->c);
	json_put_key(o, "waiting", count(queue_count_waiting(&r->queue, r->undecided)));
	return o;
}

json_t *status_of_relay(void *ctx)
{
	struct relay *r = ctx;
	json_t *o = json_object(), *upstreams = json_array();
	size_t due = count_due(r, r->undecided) + count_due(r, r->unsorted) + count_due(r, r->unread);

	for (size_t i = 0; i < r->upstream_count; i++) {
		size_t of_lane = count_due(r, i);

		json_array_append_new(upstreams, upstream_object(r, &r->upstream[i], of_lane));
		due += of_lane;
	}
	json_put_key(o, "version", json_string(PACKAGE_VERSION));
	json_put_key(o, "pid", json_integer(getpid()));
	json_put_key(o, "master_pid", json_integer(r->setup->master_pid));
	json_put_key(o, "hostname", json_text_or_null(r->config->hostname));
	json_put_key(o, "spool", json_text_or_null(r->rules.spool->path));
	json_put_key(o, "started", json_seconds_or_null(r->started_wall_us));
	json_put_key(o, "now", json_seconds_or_null(clock_wall_us()));
	json_put_key(o, "queue", queue_object(r, due));
	json_put_key(o, "rates", rates_object(r));
	json_put_key(o, "suspended", suspension_object(suspension_of_all(r)));
	json_put_key(o, "upstreams", upstreams);
	json_put_key(o, "mailman", lists_object(r));
	if (r->setup->add_processes)
		r->setup->add_processes(r->setup->processes_ctx, o);
	return o;
}

json_t *status_of_flight(void *ctx)
{
	const struct relay *r = ctx;
	json_t *all = json_array();

	for (const struct attempt *a = r->attempts; a; a = a->next) {
		json_t *o = json_object();

		json_put_key(o, "id", json_text_or_null(a->message.env.id));
		json_put_key(o, "upstream", json_text_or_null(r->config->upstream[a->upstream].name));
		json_put_key(o, "remote", json_text_or_null(a->remote));
		json_put_key(o, "since", json_seconds_or_null(a->since_wall_us));
		json_put_key(o, "recipients", count(a->txn.rcpt_count));
		json_array_append_new(all, o);
	}
	return all;
}
