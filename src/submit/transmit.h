/* SPDX-License-Identifier: ISC */
/*
 * A submission over SMTP to one server, with the client of the relay
 * (upstream/): one connection, one transaction for every so many recipients.
 * Blocks until the connection is over.
 */
#ifndef SUBMIT_TRANSMIT_H
#define SUBMIT_TRANSMIT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "submit/submit.h"
#include "upstream/upstream.h"

/* As in struct upstream_txn and upstream_conn_ops. */
struct transmit_ops {
	/* The reply to the RCPT of env.rcpt[i]. */
	void (*recipient)(void *ctx, size_t i, const struct smtp_reply *reply);
	/*
	 * LMTP: the answer to the content for env.rcpt[i], before done (upstream_txn.final). NULL where LMTP
	 * is not spoken.
	 */
	void (*final)(void *ctx, size_t i, const struct smtp_reply *reply);
	/* The end of the transaction for these recipients; remote is who was really connected to. */
	void (*done)(void *ctx, const size_t *rcpt, size_t count, const struct upstream_outcome *outcome,
		     const char *remote);
	void (*closed)(void *ctx, const struct upstream_outcome *why, bool ever_ready);
	void (*trace)(void *ctx, bool from_server, const char *text, size_t len); /* may be NULL */
	/*
	 * May be NULL. The session is up; and again, with ready false, when it is over: only for looking at
	 * it.
	 */
	void (*session)(void *ctx, const struct upstream_conn *c, bool ready);
	void (*wire)(void *ctx, bool from_server, const char *data, size_t len); /* may be NULL */
};

struct transmit {
	const struct submission *message;
	const struct upstream_settings *settings;
	const size_t *rcpt; /* which recipients of message->env, in order */
	size_t rcpt_count; /* 0: message may be NULL, nothing is sent, it ends as soon as the session is up */
	const struct upstream_more *more; /* said beside the envelope; NULL: nothing */
	/*
	 * In one transaction; 0: all. A server that takes fewer says so with 452 (RFC 5321 4.5.3.1.10): those
	 * it did not take then have a transaction of their own, and no op is told of that answer.
	 */
	size_t rcpt_most;
	/*
	 * May be NULL. All recipients of the message are through, and the session goes on: the next message,
	 * by setting message, rcpt and rcpt_count of t. False: there is none. What it set and no op was told
	 * of when closed is called was not begun.
	 */
	bool (*next)(void *ctx, struct transmit *t);
	const struct transmit_ops *ops;
	void *ctx;
};

/* -1 and e when it could not be begun; everything else is told to ops. */
int transmit_run(const struct transmit *t, struct err *e);

/* RFC 5321 4.5.3.2, but for the connect: a person, or a program that sends mail by the way, is waiting. */
void transmit_default_timeouts(struct upstream_settings *settings);

/* For upstream_txn.read: the content of a submission, and bytes of its temporary file. */
ssize_t submission_pread(const struct submission *s, uint64_t offset, void *data, size_t cap, struct err *e);

#endif
