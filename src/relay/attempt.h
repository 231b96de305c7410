/* SPDX-License-Identifier: ISC */
/*
 * One attempt to deliver one message to those of its recipients that are due
 * and go to one upstream: from its file and state, through an upstream
 * transaction, to its new state. The owner of this unit of work: it logs what
 * became of each recipient.
 */
#ifndef RELAY_ATTEMPT_H
#define RELAY_ATTEMPT_H

#include <stdbool.h>

#include "base/err.h"
#include "manage/bounce.h"
#include "manage/route.h"
#include "relay/rates.h"
#include "spool/message.h"
#include "spool/spool.h"
#include "spool/state.h"
#include "upstream/outcome.h"
#include "upstream/retry.h"
#include "upstream/upstream.h"

/* What all attempts go by; outlives them. */
struct attempt_rules {
	struct spool *spool;
	const struct routes *routes;
	const struct bounce_settings *bounce;
	struct retry_limits retry; /* of a recipient */
	int64_t expire_after_ms; /* of the message's age */
	struct rates *rates; /* NULL: nobody counts */
};

struct attempt_rcpt {
	bool answered; /* it has a reply of its own: a negative one to RCPT, or LMTP's to the content */
	struct decision decision; /* of that reply */
	char *reply; /* on one line; owned, NULL unless answered */
	bool too_many; /* it was 452 "too many recipients" (RFC 5321 4.5.3.1.10) */
};

struct attempt_order;

struct attempt {
	struct upstream_txn txn; /* hand this to the upstream; first member */
	const struct attempt_rules *rules;
	struct spool_message message;
	struct spool_state state;
	size_t *rcpt; /* which recipients are sent to; owned */
	struct attempt_rcpt *answer; /* same order; owned */
	size_t upstream; /* index in the routes */
	const char *remote_name; /* address as configured, of the connection that took it; outlives the attempt */
	char remote[ENDPOINT_TEXT_MAX]; /* address and port really connected to, or behind a proxy asked for */
	char via[80]; /* the proxy's; "": none */
	char tls_version[16]; /* "TLSv1.3"; "": not encrypted */
	enum upstream_verified verified;
	bool upstream_does_dsn; /* it tells of success itself (RFC 3461) */
	bool upstream_does_deliverby; /* it keeps the time that the sender named (RFC 2852), or delivers (LMTP) */
	bool upstream_is_final; /* it delivers, and does not relay: LMTP */
	bool is_removed; /* an operator took it out of the spool meanwhile: nothing is saved, nobody is told */
	bool is_changed; /* the state is not what the disk has */
	bool tell_success; /* a report on who was delivered to may be due */
	bool tell_relayed; /* also to who did not ask for one (BY= of MAIL) */
	struct spool_id report[2]; /* made by attempt_save, to be queued; "" for none */
	int64_t since_wall_us; /* handed to an upstream */
	/* the relay's */
	void *owner;
	struct attempt *next, *prev; /* of those under way, or unsaved */
	struct attempt_order *orders; /* what operators want done at its end */
};

enum attempt_open {
	ATTEMPT_READY, /* *out is what was asked for */
	ATTEMPT_ELSEWHERE, /* *out is loaded, but nobody is due for this upstream (or it is held, or all are done) */
	ATTEMPT_GONE, /* no such message any more */
	ATTEMPT_QUARANTINED, /* it was corrupt and has been moved (logged) */
	ATTEMPT_LATER /* the system refused (logged): try again later */
};

/* Reads message and state; verify: the content too. */
enum attempt_open attempt_load(struct attempt **out, const struct attempt_rules *rules, const char *id, bool verify);
/* How many recipients a transaction may have; 0: any number. */
struct attempt_limits {
	unsigned recipients;
	unsigned domains; /* of these, different ones (RFC 9422 RCPTDOMAINMAX) */
};

/*
 * Loads, verifies, and picks recipients: pending, due, routed to this upstream, within the limits. done is
 * called at the end of the transaction, see upstream.h.
 */
enum attempt_open attempt_open(struct attempt **out, const struct attempt_rules *rules, const char *id, size_t upstream,
			       const struct attempt_limits *limits,
			       void (*done)(struct upstream_txn *t, const struct upstream_outcome *o));
void attempt_free(struct attempt *a);

struct attempt_result {
	bool touched; /* it counted as a try */
	bool answered; /* the upstream answered for it: it is alive */
	bool upstream_trouble; /* the upstream should pause */
	bool delivered; /* it took the message for somebody */
};

/* The recipient() of its transaction: notes a refusal. */
void attempt_take_reply(struct upstream_txn *t, size_t i, const struct smtp_reply *reply);
/* The final() of its transaction: what became of one recipient. */
void attempt_take_final(struct upstream_txn *t, size_t i, const struct smtp_reply *reply);

/* Decides for each recipient what the outcome means, writes it into the state in memory, logs it. */
struct attempt_result attempt_conclude(struct attempt *a, const struct upstream_outcome *outcome, double luck);

/*
 * Gives up whoever is pending, if the message is too old, for upstreams that cannot be reached: trouble[] has
 * why, by index, NULL for those that can be, and behind them why it is undecided which it is
 * (manage/route.h). Changes the state in memory and logs; false when nobody was.
 */
bool attempt_give_up(struct attempt *a, const char *const *trouble);

/* The time that the sender named is over (BY= with R): whoever is pending is given up. In memory, logged. */
bool attempt_return(struct attempt *a);

enum attempt_saved {
	ATTEMPT_COMPLETED, /* nobody is left to be tried or told of: it has left the spool (logged) */
	ATTEMPT_AGAIN, /* saved; somebody is pending */
	ATTEMPT_PARKED, /* saved; held, or nothing pending, but failed recipients keep it visible */
	ATTEMPT_UNSAVED /* the disk refused (e): call again later; the attempt holds the truth until then */
};

/*
 * Makes what is in memory durable, and queues the reports that follow from it (manage/bounce.h). May be
 * called again after ATTEMPT_UNSAVED.
 */
enum attempt_saved attempt_save(struct attempt *a, struct err *e);

#endif
