/* SPDX-License-Identifier: ISC */
/*
 * The connection that the handler "proxy" has to one upstream: made when it
 * is needed, kept between messages and sessions, replaced when it died, to
 * the next address when one fails. One a worker and upstream; blocking.
 * Logs what becomes of addresses, in the relay's words.
 */
#ifndef HANDLER_PROXY_LINE_H
#define HANDLER_PROXY_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handler/proxy_handler.h"
#include "upstream/remotes.h"
#include "upstream/talk.h"

struct proxy_line {
	const struct proxy_setup *setup;
	const struct proxy_upstream *upstream;
	struct remote *remote; /* how each address is; owned */
	bool *quick; /* by address: its last failure cost no time, so it can be asked again at once; owned */
	struct talk *talk; /* NULL: none */
	size_t at; /* the address of talk */
	bool reused; /* talk was good for something before: when it fails now it may just have grown old */
	bool dirty; /* a transaction may be open there */
	unsigned messages; /* begun on this connection */
	int64_t opened_mono_ms, used_mono_ms, asked_mono_ms; /* asked: the last proxy_line_ready */
	/* what it last announced, for who only wants to know; seen_mono_ms CLOCK_NEVER: nothing yet */
	struct upstream_features seen;
	int64_t seen_mono_ms;
	struct upstream_outcome trouble; /* the last failure, for who comes while an address is left alone */
};

/* Points into setup. */
void proxy_line_init(struct proxy_line *l, const struct proxy_setup *setup, const struct proxy_upstream *u);
/* QUITs an open connection. */
void proxy_line_release(struct proxy_line *l);

/*
 * There is a connection, and no transaction on it. -1: none could be made, *why is the last address's; the
 * log knows.
 */
int proxy_line_ready(struct proxy_line *l, struct upstream_outcome *why);
/* What the upstream announces, connecting if need be; NULL: that is not known now. */
const struct upstream_features *proxy_line_features(struct proxy_line *l);

/*
 * It is of no more use: closed without a word. by_upstream: *why is held against its address; may be NULL
 * else.
 */
void proxy_line_drop(struct proxy_line *l, const struct upstream_outcome *by_upstream);
/* A transaction on it is over; dirty: for us, but the upstream was not told yet. */
void proxy_line_rest(struct proxy_line *l, bool dirty);
/* MAIL was accepted: its address works. */
void proxy_line_worked(struct proxy_line *l);
/*
 * Ends it if it has been unused for too long; when to ask again (monotonic), CLOCK_NEVER: it need not be
 * asked.
 */
int64_t proxy_line_idle(struct proxy_line *l);

#endif
