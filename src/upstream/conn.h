/* SPDX-License-Identifier: ISC */
/*
 * What conn.c (one connection), conn_hello.c (LMTP's beginning) and glue.c
 * (libcurl's events on libevent's base) share.
 */
#ifndef UPSTREAM_CONN_H
#define UPSTREAM_CONN_H

#include <curl/curl.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "smtp/reply.h"
#include "upstream/pipeline.h"
#include "upstream/channel.h"
#include "upstream/hello.h"
#include "upstream/transfer.h"
#include "upstream/upstream.h"

struct event;

enum conn_state {
	CONN_NEW, /* nothing happened yet; the timer starts it */
	CONN_CONNECTING, /* libcurl's: until TCP (and implicit TLS) is up */
	CONN_GREETING, /* libcurl's: greeting, EHLO, STARTTLS, AUTH */
	CONN_HELLO, /* ours, with LMTP: greeting and LHLO */
	CONN_UP, /* ours: transactions */
	CONN_CLOSED /* the callback closed() runs */
};

struct upstream_conn {
	struct transfer transfer; /* first */
	struct upstream *u;
	LIST_ENTRY(upstream_conn) link;
	const struct upstream_settings *settings;
	const struct upstream_conn_ops *ops;
	void *ctx;
	enum conn_state state;
	bool in_multi;
	bool ever_ready;
	bool over; /* to be finished as soon as no function of ours is on the stack */
	struct upstream_outcome why; /* when over before the pipeline began */
	unsigned depth; /* functions of ours on the stack, for this connection */
	struct channel channel;
	struct hello hello; /* in CONN_HELLO */
	struct pipeline pipe; /* from CONN_UP on */
	struct smtp_reply_parser parser;
	struct event *timer, *io;
	bool write_blocked;
	enum upstream_phase armed_for; /* what the timer's deadline is for */
	bool progress; /* since the timer was armed */
	uint64_t attempt; /* the flight that attempt_by_mono_ms is about (pipeline's left), + 1 */
	int64_t attempt_by_mono_ms; /* it must be over by then */
	bool armed_for_attempt; /* the timer's deadline is that one */
};

struct upstream {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	LIST_HEAD(upstream_conns, upstream_conn) conns;
};

/* ---- conn.c ---- */

void conn_end_session(struct upstream_conn *c, const struct upstream_outcome *why);
/* Everything is there for transactions; what was received behind the session's start is left. */
void conn_begin_transactions(struct upstream_conn *c, const char *left, size_t len);
/* Its events are those that are waited for. */
void conn_watch_socket(struct upstream_conn *c);

/* ---- conn_hello.c ---- */

/* In CONN_HELLO: takes what came and sends what is due. */
void conn_hello_work(struct upstream_conn *c);
/* The session did not come about, and no answer says why. */
void conn_hello_failed(struct upstream_conn *c, const char *text);

/* ---- for glue.c ---- */

/* libcurl worked on some connections: did one get through? Called outside libcurl. */
void conn_session_progress(struct upstream_conn *c);

#endif
