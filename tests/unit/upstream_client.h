/* SPDX-License-Identifier: ISC */
/*
 * One upstream connection with a few messages, run on an event base until it
 * is closed, and the pieces of which the server's scripts are made.
 */
#ifndef TESTS_UPSTREAM_CLIENT_H
#define TESTS_UPSTREAM_CLIENT_H

#include <check.h>
#include <event2/event.h>

#include "base/buf.h"
#include "fake_txn.h"
#include "script_server.h"

#define GUARD_MS 20000

struct client {
	struct event_base *base;
	struct upstream *u;
	struct upstream_settings settings;
	struct upstream_conn *conn;
	struct fake_txn *txn[10];
	size_t count, given;
	bool keep_open; /* no QUIT when there is nothing more */
	bool ready, closed, ever_ready;
	struct upstream_features features;
	char remote[300], via[100];
	struct upstream_tls_info tls, tls_at_end;
	bool has_tls;
	struct upstream_outcome why;
	struct buf trace;
	/* what to do to the connection from inside a callback */
	void (*in_ready)(struct upstream_conn *c), (*in_next)(struct upstream_conn *c);
};

static inline void on_ready(struct upstream_conn *conn, void *ctx)
{
	struct client *c = ctx;

	ck_assert(!c->ready && !c->closed);
	c->ready = true;
	c->features = *upstream_conn_features(conn);
	snprintf(c->remote, sizeof(c->remote), "%s", upstream_conn_remote(conn));
	snprintf(c->via, sizeof(c->via), "%s", upstream_conn_via(conn));
	c->has_tls = upstream_conn_tls(conn, &c->tls);
	if (c->in_ready)
		c->in_ready(conn);
}

static inline struct upstream_txn *on_next(struct upstream_conn *conn, void *ctx)
{
	struct client *c = ctx;

	ck_assert(c->ready && !c->closed);
	if (c->in_next)
		c->in_next(conn);
	if (c->given < c->count)
		return &c->txn[c->given++]->txn;
	if (!c->keep_open)
		upstream_conn_quit(conn);
	return NULL;
}

static inline void on_closed(struct upstream_conn *conn, void *ctx, const struct upstream_outcome *why,
			     bool ever_ready)
{
	struct client *c = ctx;

	ck_assert(!c->closed);
	ck_assert_uint_eq(upstream_conn_in_flight(conn), 0);
	upstream_conn_kick(conn); /* nothing happens any more, and nothing breaks */
	upstream_conn_quit(conn);
	upstream_conn_abort(conn);
	c->closed = true;
	c->why = *why;
	c->ever_ready = ever_ready;
	upstream_conn_tls(conn, &c->tls_at_end);
	ck_assert(ever_ready == c->ready);
	event_base_loopbreak(c->base);
}

static inline void on_trace(void *ctx, bool from_upstream, const char *text, size_t len)
{
	struct client *c = ctx;

	buf_addf(&c->trace, "%s %.*s\n", from_upstream ? "<" : ">", (int)len, text);
}

static const struct upstream_conn_ops ops = { on_ready, on_next, on_closed, on_trace, NULL };

static inline void client_init(struct client *c, uint16_t port)
{
	struct err e;

	memset(c, 0, sizeof(*c));
	c->settings = (struct upstream_settings){
		.name = "test",
		.remote = { .kind = ENDPOINT_TCP, .host = "127.0.0.1", .port = port },
		.hostname = "client.example",
		.pipelining = true,
		.connect_timeout_ms = GUARD_MS,
		.greeting_timeout_ms = GUARD_MS,
		.command_timeout_ms = GUARD_MS,
		.data_timeout_ms = GUARD_MS,
		.block_timeout_ms = GUARD_MS,
		.final_timeout_ms = GUARD_MS,
		.idle_timeout_ms = GUARD_MS,
	};
	buf_init(&c->trace, 1 << 20);
	c->base = event_base_new();
	ck_assert_int_eq(upstream_open(&c->u, c->base, &e), 0);
}

static inline struct fake_txn *add(struct client *c, const char *name, size_t rcpts, const char *content,
				   size_t len)
{
	return c->txn[c->count++] = fake_new(name, rcpts, content, len);
}

static inline void client_run(struct client *c)
{
	struct timeval guard = { 2 * GUARD_MS / 1000, 0 };

	c->conn = upstream_conn_open(c->u, &c->settings, &ops, c);
	ck_assert_str_eq(upstream_conn_remote(c->conn), "");
	event_base_loopexit(c->base, &guard);
	event_base_dispatch(c->base);
	ck_assert(c->closed);
}

static inline void client_release(struct client *c)
{
	for (size_t i = 0; i < c->count; i++)
		fake_free(c->txn[i]);
	buf_release(&c->trace);
	upstream_close(c->u);
	event_base_free(c->base);
}

static inline void ended(const struct fake_txn *t, enum upstream_how how, enum upstream_phase phase, int code)
{
	ck_assert_uint_eq(t->done, 1);
	ck_assert_msg(t->outcome.how == how && t->outcome.phase == phase && t->outcome.reply.code == code,
		      "how %d phase %s code %d: %s", t->outcome.how, upstream_phase_name(t->outcome.phase),
		      t->outcome.reply.code, t->outcome.reply.text);
}

static inline void why(const struct client *c, enum upstream_how how, enum upstream_phase phase, int code,
		       const char *text)
{
	ck_assert_msg(c->why.how == how && c->why.phase == phase && c->why.reply.code == code &&
			      strstr(c->why.reply.text, text),
		      "how %d phase %s code %d: %s", c->why.how, upstream_phase_name(c->why.phase),
		      c->why.reply.code, c->why.reply.text);
}

#define SCRIPT(...)                                                                                          \
	(const char *const[])                                                                                \
	{                                                                                                    \
		__VA_ARGS__, NULL                                                                            \
	}
#define STARTTLS_OFFERED                                                                                     \
	"> 220 hi", "< EHLO client.example", "> 250-me", "> 250 STARTTLS", "< STARTTLS", "> 220 go"
/* RFC 3207 4.2: what was known before is forgotten */
#define AFTER_TLS "< EHLO client.example", "> 250-me", "> 250 SIZE 1000"
#define QUIT "< QUIT", "> 221 bye", "eof"
#define PLAIN_EHLO(...) "> 220 hi", "< EHLO client.example", "> 250-me", __VA_ARGS__
#define GROUP(name) "< MAIL FROM:<" name "@from>", "< RCPT TO:<" name "-0@to>", "< DATA"
#define TAKEN "> 250 ok", "> 250 ok", "> 354 go"

#endif
