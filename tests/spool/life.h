/* SPDX-License-Identifier: ISC */
/*
 * The life of a few messages in a spool, and a ledger of what was promised
 * about each: the verbs do to the spool what worker and relay do, and write down
 * what they were answered; life_check goes through a spool after a crash and
 * holds it against the ledger.
 */
#ifndef TESTS_LIFE_H
#define TESTS_LIFE_H

#include <stdbool.h>
#include <stddef.h>

#include "smtp/envelope.h"
#include "spool/spool.h"
#include "sys_fault.h"

#define LIFE_MAILS 4
#define LIFE_RCPTS 2

struct life_mail {
	char id[ENVELOPE_ID_MAX]; /* "" until it was begun */
	const char *content;
	size_t len;
	/* what was answered before the end */
	bool acknowledged; /* commit said SPOOL_OK */
	bool refused; /* commit said something else */
	unsigned saves, saved; /* states begun to be saved; the last that was answered 0, counted from 1 */
	bool delivered[LIFE_RCPTS]; /* in a state whose saving was answered 0 */
	bool holding, held; /* a hold was begun; and it was in a state whose saving was answered 0 */
	bool born_held; /* its envelope says that it is held from its first moment */
	bool releasing, released; /* it was to be released of that; and that was answered 0 */
	bool leaving; /* spool_remove was called */
	bool left; /* and answered 0 */
	bool left_for_good; /* by a batch, which makes it durable */
	bool damaged; /* its content was spoilt, by something other than a crash */
	bool cornered; /* spool_quarantine answered 0 */
};

struct life {
	char path[256]; /* ends in /deep/spool */
	enum spool_sync sync;
	bool blind_worker; /* its directories can only be opened with O_PATH */
	bool remove_backwards; /* state first: wrong, to prove that it is seen */
	bool is_open;
	struct spool worker, relay;
	struct life_mail mail[LIFE_MAILS];
	struct fault_plan plan; /* that is under way, to judge answers by */
	unsigned foreign; /* entries that were put there and are not ours */
	char context[200]; /* scenario and setting */
	const char *shape; /* of the disk after a power cut; NULL: none */
	/* the verdict, over several lives */
	unsigned violations;
	char first[2048]; /* of them, in words */
	char fault[64]; /* what goes wrong, for these words */
};

void life_violation(struct life *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* prepare and open for a worker and a relay; false when that failed */
bool life_start(struct life *l);
void life_stop(struct life *l);

/* Each is a verb of worker or relay; a verb about a message that is not acknowledged does nothing. */
void life_accept(struct life *l, size_t i, size_t content_len);
/* The same, of one that comes held. */
void life_accept_held(struct life *l, size_t i, size_t content_len);
void life_abort(struct life *l, size_t i, size_t content_len);
void life_defer(struct life *l, size_t i);
void life_hold(struct life *l, size_t i);
void life_release(struct life *l, size_t i);
void life_deliver(struct life *l, size_t i, size_t rcpt); /* saves the state */
void life_remove(struct life *l, size_t i);
enum life_change { LIFE_DEFER, LIFE_HOLD, LIFE_DELIVER_FIRST, LIFE_DELIVER_SECOND, LIFE_REMOVE, LIFE_RELEASE };
/* change[i] for mail i, together (spool/batch.h); mail from.. on. */
void life_batch(struct life *l, size_t from, const enum life_change *change, size_t count);
void life_damage(struct life *l, size_t i);
void life_quarantine(struct life *l, size_t i);
/* Puts what does not belong there into folder. */
void life_put_foreign(struct life *l, const char *folder, const char *name);
/* Recovery, once; false and nothing else when it failed. */
bool life_recover(struct life *l);

enum life_crash {
	LIFE_NO_CRASH, /* some call failed, the process lives */
	LIFE_PROCESS_ENDED,
	LIFE_POWER_CUT
};

/* The spool of l as found now, below base: what a restart makes of it, and whether the promises were kept. */
void life_check(struct life *l, const char *base, enum life_crash crash);

/* What the ledger says, as a number, to tell equal situations. */
unsigned long life_ledger_hash(const struct life *l);

#endif
