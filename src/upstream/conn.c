/* SPDX-License-Identifier: ISC */
/*
 * One connection to an upstream: the session's start is libcurl's
 * (channel.c), the transactions are the pipeline's (pipeline.c); here are
 * the socket's events, the deadlines and the life of the connection. Runs in
 * the relay process and in `posthouse send`.
 *
 * Callbacks may call back into this file. So whatever ends the connection
 * only marks it as over; it is finished, and freed, when the last of our
 * functions that works on it returns (enter, leave).
 */
#include "upstream/conn.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#define SEND_BYTES 16384 /* at once: one TLS record, so that a blocked send is a blocked record */
#define SENDS_IN_A_ROW 64 /* then the other connections get their turn */
#define QUIT_TIMEOUT_MS 5000 /* nothing depends on the answer to QUIT */

static void finish(struct upstream_conn *c);

static void enter(struct upstream_conn *c)
{
	c->depth++;
}

/* c may be gone afterwards */
static void leave(struct upstream_conn *c)
{
	if (--c->depth == 0 && c->over)
		finish(c);
}

static void set_timer(struct upstream_conn *c, int64_t ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	event_add(c->timer, &tv);
}

/* ---- transactions ---------------------------------------------------------------- */

static struct upstream_txn *next_txn(void *ctx)
{
	struct upstream_conn *c = ctx;

	return c->ops->next(c, c->ctx);
}

static void trace_command(void *ctx, const char *line, size_t len)
{
	struct upstream_conn *c = ctx;

	channel_trace_command(&c->channel.trace, line, len);
}

static const struct pipeline_ops pipeline_ops = { .next = next_txn, .command = trace_command };

static int64_t deadline_ms(const struct upstream_conn *c, enum upstream_phase phase)
{
	return phase == UPSTREAM_IDLE && c->pipe.quit_sent ? QUIT_TIMEOUT_MS
							   : upstream_timeout_ms(c->settings, phase);
}

static void lost(struct upstream_conn *c, bool by_us, const char *text)
{
	pipeline_lost(&c->pipe, by_us, text);
	c->over = true;
}

static void take_replies(struct upstream_conn *c, const char *data, size_t len)
{
	size_t used;

	for (; len > 0 && !c->over; data += used, len -= used) {
		switch (smtp_reply_parse(&c->parser, data, len, &used)) {
		case SMTP_REPLY_MORE:
			break;
		case SMTP_REPLY_BAD:
			lost(c, false, c->parser.why);
			break;
		case SMTP_REPLY_DONE:
			channel_trace_reply(&c->channel.trace, &c->parser.reply);
			c->progress = true;
			if (pipeline_reply(&c->pipe, &c->parser.reply) == PIPELINE_OVER)
				c->over = true;
			break;
		}
	}
}

/* Reads all there is: what TLS holds back in its buffer makes no event. */
static void receive(struct upstream_conn *c)
{
	char data[SEND_BYTES];
	struct err e;
	size_t n;

	while (!c->over) {
		switch (channel_recv(&c->channel, data, sizeof(data), &n, &e)) {
		case CHANNEL_IO_AGAIN:
			return;
		case CHANNEL_IO_FAILED:
			lost(c, false, e.text);
			return;
		case CHANNEL_IO_OK:
			if (n == 0)
				lost(c, false, "the server closed the connection");
			else
				take_replies(c, data, n);
			break;
		}
	}
}

/* A failed send may have its reason waiting to be read: "421", "552" before the connection was closed. */
static void send_failed(struct upstream_conn *c, const struct err *e)
{
	receive(c);
	if (!c->over)
		lost(c, false, e->text);
}

static void transmit(struct upstream_conn *c)
{
	struct err e;

	c->write_blocked = false;
	for (int i = 0; i < SENDS_IN_A_ROW && !c->over; i++) {
		const char *data;
		size_t len = pipeline_output(&c->pipe, &data), n = 0;

		if (len == 0) {
			if (pipeline_fill(&c->pipe) == PIPELINE_OVER) {
				c->over = true;
				return;
			}
			len = pipeline_output(&c->pipe, &data);
			if (len == 0) {
				c->write_blocked = c->pipe.more;
				return;
			}
		}
		switch (channel_write(&c->channel, data, len < SEND_BYTES ? len : SEND_BYTES, &n, &e)) {
		case CHANNEL_IO_OK:
			pipeline_sent(&c->pipe, n);
			c->progress = true;
			break;
		case CHANNEL_IO_AGAIN:
			c->write_blocked = true;
			return;
		case CHANNEL_IO_FAILED:
			send_failed(c, &e);
			return;
		}
	}
	c->write_blocked = true;
}

static void on_io(evutil_socket_t fd, short events, void *ctx);

/* The next deadline: of the phase, or of the first transaction as a whole. */
static void arm(struct upstream_conn *c, enum upstream_phase phase)
{
	int64_t wait = deadline_ms(c, phase), now = clock_mono_ms(), left = CLOCK_NEVER;

	if (c->pipe.count > 0 && c->settings->attempt_timeout_ms > 0) {
		if (c->attempt != c->pipe.left + 1)
			c->attempt_by_mono_ms = now + c->settings->attempt_timeout_ms;
		c->attempt = c->pipe.left + 1;
		left = c->attempt_by_mono_ms > now ? c->attempt_by_mono_ms - now : 0;
	}
	c->armed_for_attempt = left < wait;
	set_timer(c, left < wait ? left : wait);
}

void conn_watch_socket(struct upstream_conn *c)
{
	short events = (short)(EV_READ | EV_PERSIST | (c->write_blocked ? EV_WRITE : 0));

	if (event_get_events(c->io) != events) {
		event_del(c->io);
		event_assign(c->io, c->u->base, channel_socket(&c->channel), events, on_io, c);
		event_add(c->io, NULL);
	}
}

static void watch(struct upstream_conn *c)
{
	enum upstream_phase phase = pipeline_phase(&c->pipe);

	conn_watch_socket(c);
	if (c->progress || phase != c->armed_for) {
		arm(c, phase);
		c->armed_for = phase;
		c->progress = false;
	}
}

static void work(struct upstream_conn *c)
{
	enter(c);
	receive(c);
	transmit(c);
	if (!c->over)
		watch(c);
	leave(c);
}

static void on_io(evutil_socket_t fd, short events, void *ctx)
{
	struct upstream_conn *c = ctx;

	(void)fd;
	(void)events;
	if (c->state == CONN_UP) {
		work(c);
		return;
	}
	enter(c);
	conn_hello_work(c);
	leave(c);
}

/* ---- life -------------------------------------------------------------------------- */

void conn_end_session(struct upstream_conn *c, const struct upstream_outcome *why)
{
	c->why = *why;
	c->over = true;
}

static void start(struct upstream_conn *c, enum upstream_tls tls)
{
	struct channel_trace t = { .line = c->ops->trace, .wire = c->ops->wire, .ctx = c->ctx };
	struct upstream_outcome why = { .how = UPSTREAM_NO_ANSWER, .phase = UPSTREAM_RESOLVE };
	struct err e;

	if (channel_open(&c->channel, c->settings, tls, t, &c->transfer, &e) != 0) {
		smtp_reply_set(&why.reply, 0, "", "%s", e.text);
		conn_end_session(c, &why);
		return;
	}
	c->state = CONN_CONNECTING;
	c->in_multi = true;
	set_timer(c, c->settings->connect_timeout_ms);
	ASSERT(curl_multi_add_handle(c->u->multi, c->channel.easy) == CURLM_OK);
}

void conn_session_progress(struct upstream_conn *c)
{
	if (c->state != CONN_CONNECTING || !channel_is_connected(&c->channel))
		return;
	c->state = CONN_GREETING;
	set_timer(c, c->settings->greeting_timeout_ms);
}

static void leave_multi(struct upstream_conn *c)
{
	if (c->in_multi)
		curl_multi_remove_handle(c->u->multi, c->channel.easy);
	c->in_multi = false;
	channel_close(&c->channel);
}

static void session_failed(struct upstream_conn *c, const struct upstream_outcome *why)
{
	if (channel_may_go_plain(&c->channel, why)) {
		leave_multi(c);
		channel_release(&c->channel);
		start(c, UPSTREAM_TLS_NONE);
	} else {
		conn_end_session(c, why);
	}
}

void conn_begin_transactions(struct upstream_conn *c, const char *left, size_t len)
{
	c->state = CONN_UP;
	smtp_reply_parser_init(&c->parser);
	pipeline_init(&c->pipe, &c->channel.features, c->settings, &pipeline_ops, c);
	c->progress = true;
	take_replies(c, left, len);
	/* reading at once ties the connection to this handle: libcurl closes idle ones it takes for unused */
	receive(c);
	if (!c->over) {
		c->ever_ready = true;
		c->ops->ready(c, c->ctx);
		work(c);
	}
}

/* libcurl is done with the session's start. */
static void session_done(struct transfer *t, CURLcode result)
{
	struct upstream_conn *c = (struct upstream_conn *)t;
	struct upstream_outcome why;

	if (c->state != CONN_CONNECTING && c->state != CONN_GREETING)
		return;
	enter(c);
	if (channel_conclude(&c->channel, result, &why) != 0) {
		session_failed(c, &why);
		leave(c);
		return;
	}
	c->io = event_new(c->u->base, channel_socket(&c->channel), EV_READ | EV_PERSIST, on_io, c);
	ASSERT(c->io);
	event_add(c->io, NULL);
	if (c->settings->lmtp) {
		c->state = CONN_HELLO;
		hello_init(&c->hello, &c->channel.features, c->settings);
		set_timer(c, c->settings->greeting_timeout_ms);
		conn_hello_work(c);
	} else {
		conn_begin_transactions(c, "", 0);
	}
	leave(c);
}

static void timed_out(struct upstream_conn *c)
{
	enum upstream_phase phase = pipeline_phase(&c->pipe);
	char text[128];

	if (phase == UPSTREAM_IDLE && !c->pipe.quit_sent) {
		pipeline_quit(&c->pipe);
		work(c);
		return;
	}
	if (c->armed_for_attempt)
		snprintf(text, sizeof(text), "not done after %.3f s, in phase %s",
			 (double)c->settings->attempt_timeout_ms / 1000, upstream_phase_name(phase));
	else
		snprintf(text, sizeof(text), "timed out after %.3f s in phase %s",
			 (double)deadline_ms(c, phase) / 1000, upstream_phase_name(phase));
	lost(c, false, text);
}

static void on_timer(evutil_socket_t fd, short events, void *ctx)
{
	struct upstream_conn *c = ctx;
	struct upstream_outcome why;
	char text[128];

	(void)fd;
	(void)events;
	enter(c);
	switch (c->state) {
	case CONN_NEW:
		start(c, c->settings->tls);
		break;
	case CONN_CONNECTING:
	case CONN_GREETING:
		channel_timed_out(&c->channel,
				  c->state == CONN_CONNECTING ? c->settings->connect_timeout_ms
							      : c->settings->greeting_timeout_ms,
				  &why);
		conn_end_session(c, &why);
		break;
	case CONN_HELLO:
		snprintf(text, sizeof(text), "timed out after %.3f s waiting for: %s",
			 (double)c->settings->greeting_timeout_ms / 1000,
			 c->hello.greeted ? "the reply to LHLO" : "the greeting");
		conn_hello_failed(c, text);
		break;
	case CONN_UP:
		timed_out(c);
		break;
	case CONN_CLOSED:
		break;
	}
	leave(c);
}

/* The connection is over and nobody works on it: done() for all, closed(), and it is gone. */
static void finish(struct upstream_conn *c)
{
	enum conn_state was = c->state;

	c->state = CONN_CLOSED;
	c->depth++; /* the callbacks below must not finish it again */
	event_free(c->timer);
	if (c->io)
		event_free(c->io);
	if (was == CONN_UP) {
		pipeline_end(&c->pipe);
		c->why = c->pipe.why;
	}
	leave_multi(c);
	c->ops->closed(c, c->ctx, &c->why, c->ever_ready);
	if (was == CONN_UP)
		pipeline_release(&c->pipe);
	channel_release(&c->channel);
	LIST_REMOVE(c, link);
	free(c);
}

struct upstream_conn *upstream_conn_open(struct upstream *u, const struct upstream_settings *settings,
					 const struct upstream_conn_ops *ops, void *ctx)
{
	struct upstream_conn *c = mem_alloc(sizeof(*c));

	c->transfer.done = session_done;
	c->u = u;
	c->settings = settings;
	c->ops = ops;
	c->ctx = ctx;
	c->armed_for = UPSTREAM_IDLE;
	c->timer = event_new(u->base, -1, 0, on_timer, c);
	ASSERT(c->timer);
	LIST_INSERT_HEAD(&u->conns, c, link);
	set_timer(c, 0);
	return c;
}

void upstream_conn_kick(struct upstream_conn *c)
{
	/* from inside a callback: what called it fills the pipeline before it returns */
	if (c->state == CONN_UP && c->depth == 0)
		work(c);
}

void upstream_conn_quit(struct upstream_conn *c)
{
	if (c->state == CONN_CLOSED || c->over)
		return;
	if (c->state != CONN_UP) {
		upstream_conn_abort(c);
		return;
	}
	pipeline_quit(&c->pipe);
	upstream_conn_kick(c);
}

void upstream_conn_abort(struct upstream_conn *c)
{
	struct upstream_outcome why = { .how = UPSTREAM_NO_ANSWER, .phase = UPSTREAM_IDLE };

	if (c->state == CONN_CLOSED || c->over)
		return;
	enter(c);
	if (c->state == CONN_UP) {
		lost(c, true, "given up by this side");
	} else {
		smtp_reply_set(&why.reply, 0, "", "given up by this side");
		conn_end_session(c, &why);
	}
	leave(c);
}

const struct upstream_features *upstream_conn_features(const struct upstream_conn *c)
{
	return &c->channel.features;
}

const char *upstream_conn_remote(const struct upstream_conn *c)
{
	return c->channel.remote;
}

const char *upstream_conn_via(const struct upstream_conn *c)
{
	return c->channel.via;
}

bool upstream_conn_tls(const struct upstream_conn *c, struct upstream_tls_info *info)
{
	return tls_info(&c->channel.watch, info);
}

size_t upstream_conn_in_flight(const struct upstream_conn *c)
{
	return c->state == CONN_UP ? pipeline_in_flight(&c->pipe) : 0;
}

const char *upstream_verified_name(enum upstream_verified verified)
{
	switch (verified) {
	case UPSTREAM_NOT_VERIFIED:
		return "no";
	case UPSTREAM_VERIFIED_CA:
		return "yes";
	case UPSTREAM_VERIFIED_PIN:
		return "pin";
	}
	return "?";
}

const char *upstream_phase_name(enum upstream_phase phase)
{
	static const char *const names[] = {
		[UPSTREAM_RESOLVE] = "resolve",   [UPSTREAM_CONNECT] = "connect",
		[UPSTREAM_TLS_HANDSHAKE] = "tls", [UPSTREAM_GREETING] = "greeting",
		[UPSTREAM_AUTH] = "auth",         [UPSTREAM_MAIL] = "mail",
		[UPSTREAM_RCPT] = "rcpt",         [UPSTREAM_DATA] = "data",
		[UPSTREAM_CONTENT] = "content",   [UPSTREAM_FINAL_DOT] = "final-dot",
		[UPSTREAM_IDLE] = "idle",
	};

	return names[phase];
}
