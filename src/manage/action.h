/* SPDX-License-Identifier: ISC */
/*
 * What an operator does to queued messages, on disk: the same code in the
 * relay (for messages that are not being sent) and in a command that holds
 * the spool lock. Each action is a row of a table: its name, whom it needs,
 * what it does to the state.
 *
 *   retry    pending recipients are due now (their tries stay)
 *   hold     not attempted until released; a reason may be given
 *   release  undoes hold; due now
 *   expire   pending recipients are given up as if their time was over: a report goes to the sender
 *   bounce   pending recipients fail with the operator's reason: a report goes to the sender
 *   remove   the message is gone, nobody is told
 *   requeue  all that is not delivered is pending again, never tried, due now, by the rules or to the named upstream
 *   reroute  goes to the named upstream, due now; without a name by the rules again
 */
#ifndef MANAGE_ACTION_H
#define MANAGE_ACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "manage/bounce.h"
#include "spool/id.h"
#include "spool/spool.h"

enum action {
	ACTION_RETRY,
	ACTION_HOLD,
	ACTION_RELEASE,
	ACTION_EXPIRE,
	ACTION_BOUNCE,
	ACTION_REMOVE,
	ACTION_REQUEUE,
	ACTION_REROUTE
};
#define ACTION_COUNT (ACTION_REROUTE + 1)
const char *action_name(enum action a); /* "retry": the verb */
const char *action_done_name(enum action a); /* "held": the log event, the word in the history */
int action_find(const char *name, enum action *out); /* -1: there is none */

struct action_order {
	enum action action;
	const char *reason; /* NULL: none given */
	const char *route; /* REROUTE, REQUEUE: upstream, NULL: by the rules */
	const char *by; /* "uid=1000" */
};

enum action_result {
	ACTION_DONE,
	ACTION_NO_CHANGE, /* nothing to do: already held, nobody pending ... */
	ACTION_PENDING, /* by the relay: an attempt is under way, done when it ends */
	ACTION_GONE, /* no such message (any more) */
	ACTION_CORRUPT, /* it cannot be read: e says how */
	ACTION_FAILED /* the system refused: e */
};
#define ACTION_RESULTS (ACTION_FAILED + 1)
const char *action_result_name(enum action_result r); /* "done", "no_change", ... */
int action_result_find(const char *name, enum action_result *out);

struct action_item {
	struct spool_id id; /* in */
	enum action_result result;
	bool in_flight; /* an attempt was under way: REMOVE is done, but that attempt may still deliver */
	/*
	 * DONE, NO_CHANGE: when it is due (also for a report that could not be queued now), CLOCK_NEVER: held,
	 * removed, or nobody pending
	 */
	int64_t due_wall_ms;
	struct spool_id report_id; /* a report that was queued for it, "": none */
	bool report_failed; /* DONE, but its report, or that it was made, did not get to the disk: e; tried again when due */
	struct err e; /* CORRUPT, FAILED, report_failed */
};

#define ACTION_BATCH_MAX 500
#define ACTION_BOUNCE_REPLY "550 5.7.0 returned by the operator" /* what begins the reply that BOUNCE writes */

/*
 * Does the order to each item and makes it durable: when it returns, all of those DONE outlive a power cut
 * (a retry need not). An id stands in it once. A few syncs for the batch, not some a message. Blocks on the disk.
 */
void action_run(const struct action_order *order, struct spool *s, const struct bounce_settings *bounce,
		struct action_item *items, size_t count);

/* For who ran it: one line of the log about what was done, or failed; nothing for the other results. */
void action_log(const struct action_order *order, const struct action_item *item);

#endif
