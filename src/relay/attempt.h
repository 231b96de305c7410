/* SPDX-License-Identifier: ISC */
/*
 * One attempt to deliver one message: from its file and state, through an
 * upstream transaction, to its new state. The owner of this unit of work: it
 * logs what became of each recipient.
 */
#ifndef RELAY_ATTEMPT_H
#define RELAY_ATTEMPT_H

#include <stdbool.h>

#include "base/err.h"
#include "relay/outcome.h"
#include "relay/retry.h"
#include "spool/message.h"
#include "spool/spool.h"
#include "spool/state.h"
#include "upstream/upstream.h"

struct attempt_rcpt {
	bool refused; /* RCPT got a negative reply */
	struct decision decision; /* of that reply */
	char *reply; /* on one line; owned, NULL unless refused */
	bool too_many; /* it was 452 "too many recipients" (RFC 5321 4.5.3.1.10) */
};

struct attempt {
	struct upstream_txn txn; /* hand this to the upstream; first member */
	struct spool_message message;
	struct spool_state state;
	size_t *rcpt; /* which recipients are sent to; owned */
	struct attempt_rcpt *answer; /* same order; owned */
	const char *upstream; /* its name, for log and state; outlives the attempt */
	char remote[80]; /* address and port of the connection that took it */
	int64_t due_wall_ms; /* after attempt_conclude: when it is due again */
	void *owner; /* the relay's */
	struct attempt *next_unsaved; /* the relay's list */
};

enum attempt_open {
	ATTEMPT_READY, /* *out is an attempt to be handed to an upstream */
	ATTEMPT_GONE, /* no such message any more */
	ATTEMPT_NOTHING_TO_DO, /* held, or no recipient is pending: it stays visible in the spool */
	ATTEMPT_QUARANTINED, /* it was corrupt and has been moved (logged) */
	ATTEMPT_LATER /* the system refused (logged): try again later */
};

/* Reads, verifies and prepares. done is called at the end of the transaction, see upstream.h. */
enum attempt_open attempt_open(struct attempt **out, const struct spool *s, const char *id, const char *upstream,
			       void (*done)(struct upstream_txn *t, const struct upstream_outcome *o));
void attempt_free(struct attempt *a);

struct attempt_result {
	bool touched; /* it counted as a try */
	bool answered; /* the upstream answered for it: it is alive */
	bool upstream_trouble; /* the upstream should pause */
};

/* Decides for each recipient what the outcome means, writes it into the state in memory, logs it. */
struct attempt_result attempt_conclude(struct attempt *a, const struct upstream_outcome *outcome,
				       const struct retry_limits *limits, double luck);

enum attempt_saved {
	ATTEMPT_COMPLETED, /* every recipient was delivered: it has left the spool (logged) */
	ATTEMPT_AGAIN, /* saved; due again at due_wall_ms */
	ATTEMPT_PARKED, /* saved; nothing pending, but failed recipients keep it visible */
	ATTEMPT_UNSAVED /* the disk refused (e): call again later; the attempt holds the truth until then */
};

/* Makes what attempt_conclude decided durable. May be called again after ATTEMPT_UNSAVED. */
enum attempt_saved attempt_save(struct attempt *a, const struct spool *s, struct err *e);

#endif
