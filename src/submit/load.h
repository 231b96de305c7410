/* SPDX-License-Identifier: ISC */
/*
 * Load on a server: many messages over many connections at a time, as fast as
 * it takes them or at a rate, and what it did with them. One process, one
 * event loop, over the relay's client (upstream/). A connection has one
 * transaction at a time, so what is measured is what a client sees.
 *
 * Blocks until all is sent, until SIGINT or SIGTERM, or until connections fail
 * and nothing else happens.
 */
#ifndef SUBMIT_LOAD_H
#define SUBMIT_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "submit/latency.h"
#include "submit/submit.h"
#include "upstream/upstream.h"

#define LOAD_CONNECTIONS_MAX 10000
#define LOAD_ERRORS_MAX 50 /* different ones that are told apart */
#define LOAD_FAILURES_MAX 10 /* connections that fail in a row, before it is given up */

/* What went wrong, and how often. */
struct load_error {
	uint64_t count;
	enum upstream_phase phase;
	struct smtp_reply reply; /* code 0: the text says how the connection ended */
};

struct load_figures {
	uint64_t accepted, failed; /* messages */
	uint64_t
		given_back; /* messages that a connection was to take and did not begin; they are sent by others */
	uint64_t unfinished; /* under way when it was broken off */
	uint64_t rcpt_refused; /* recipients */
	uint64_t content_bytes; /* of what was accepted */
	uint64_t connections,
		connections_failed; /* sessions that were up; attempts that did not come to that */
	/* microseconds; only of what succeeded */
	struct latency connect; /* until commands can follow: TCP, TLS, greeting, EHLO, AUTH */
	struct latency envelope; /* MAIL to the last recipient's reply */
	struct latency content; /* from there to the reply to the content */
	struct latency transaction; /* both */
	struct latency behind; /* with a rate: how late each was begun, measured by it */
	struct load_error error[LOAD_ERRORS_MAX];
	size_t error_count;
	uint64_t other_errors; /* behind the ceiling */
	int64_t elapsed_us; /* from the first connection's begin to the end of the last transaction */
	bool interrupted, gave_up;
};

struct load_message {
	const struct submission *submission;
	const size_t *rcpt; /* of submission->env */
	size_t rcpt_count;
};

struct load {
	const struct upstream_settings *settings;
	const struct upstream_more *more; /* as in struct transmit */
	const struct load_message *message; /* sent in turn */
	size_t message_count;
	const char *
		message_id_host; /* a Message-ID of its own for each message, with this behind the "@"; NULL: none */
	uint64_t total; /* messages to send */
	size_t connections; /* at a time */
	uint64_t per_connection; /* messages; 0: all */
	double rate; /* messages a second, 0: no limit */
	/* Some ten times a second. May be NULL. */
	void (*tick)(void *ctx, const struct load_figures *f);
	void *ctx;
};

/* *f is written in any case. -1 and e: it could not be begun. */
int load_run(const struct load *l, struct load_figures *f, struct err *e);

/* One more of such an error (exposed for the tests). */
void load_count_error(struct load_figures *f, enum upstream_phase phase, const struct smtp_reply *reply);

#endif
