/* SPDX-License-Identifier: ISC */
/*
 * Who is told of what failed, and that exactly one report is queued for it,
 * whatever crashes. Runs in the relay, or in a command that holds the lock.
 *
 *   1. bounce_prepare decides in memory: recipients nobody is to be told of (NOTIFY without FAILURE,
 *      RFC 3461 4.1) become `reported`; for the others, if there is somebody to tell, st->report_id is set.
 *   2. The caller saves the state (durable: failures, and the id the report is going to have).
 *   3. bounce_commit queues the report under that id, unless it is there already, and marks the recipients
 *      `reported` in memory.
 *   4. The caller saves the state again, or removes the message when spool_state_is_finished.
 * A crash behind 2 repeats 3 under the same id; behind 3 it finds the report there.
 *
 * Never a report about a message from <> to its sender: it goes to `postmaster` if there is one, and else
 * its recipients stay failed and visible. Nor one about a message from <> that went to postmaster.
 */
#ifndef MANAGE_BOUNCE_H
#define MANAGE_BOUNCE_H

#include <stdbool.h>

#include "base/err.h"
#include "manage/report.h"
#include "spool/spool.h"

struct bounce_settings {
	const char *hostname;
	const char *postmaster; /* NULL: none */
	uint64_t return_limit_bytes;
	int64_t expire_after_ms; /* for Will-Retry-Until */
};

/*
 * Is there a report to be made (st->report_id)? Sets `reported` where nobody is to be told. A report that was
 * begun (st->report_id is set already) keeps its id; should more recipients have failed since, they are in
 * it.
 */
bool bounce_prepare(const struct bounce_settings *settings, const struct envelope *env, struct spool_state *st);

/*
 * Queues the report st->report_id stands for. m's file is opened when it is not, and closed again. 0: it is
 * durable, st is changed as said above, st->report_id is "" again (copy it before, the queue has a new
 * message of that id) and to (if not NULL) is who gets it, m's string or settings'; NULL when there is nobody
 * any more, as the settings have changed. -1 and e: try again later; st is as it was, or has another
 * report_id and was saved with it.
 */
int bounce_commit(const struct bounce_settings *settings, struct spool *s, struct spool_message *m,
		  struct spool_state *st, const char **to, struct err *e);

/*
 * The sender wants to know of a delay (RFC 3461 NOTIFY=DELAY, or no NOTIFY): queues a delay report about the
 * pending recipients, once, and sets st->warned, also when nobody is to be told: then *id is "", else the
 * report's.
 */
int bounce_warn(const struct bounce_settings *settings, struct spool *s, struct spool_message *m,
		struct spool_state *st, struct spool_id *id, struct err *e);

/*
 * Whether a report "relayed" is to name this recipient. on_success: the upstream does not do DSN, so who
 * asked for NOTIFY=SUCCESS is told (RFC 3461 5.2.2). on_relay: BY= wants it (RFC 2852), of all but
 * NOTIFY=NEVER.
 */
bool bounce_tells_relayed(const struct envelope_rcpt *rcpt, bool on_success, bool on_relay);
/*
 * Queues a report "relayed" about these recipients. *id is "" when there is nobody to tell.
 */
int bounce_relayed(const struct bounce_settings *settings, struct spool *s, struct spool_message *m,
		   const struct spool_state *st, const size_t *rcpt, size_t rcpt_count, struct spool_id *id,
		   struct err *e);

#endif
