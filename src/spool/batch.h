/* SPDX-License-Identifier: ISC */
/*
 * Many states replaced, and many messages removed, with a few syncs together
 * instead of some for each. By the relay, or a command that holds the lock.
 * batch.c has the order of system calls and why nothing is forgotten.
 */
#ifndef SPOOL_BATCH_H
#define SPOOL_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "spool/id.h"
#include "spool/spool.h"
#include "spool/state.h"

enum spool_change_kind { SPOOL_SAVE, SPOOL_REMOVE };

enum spool_change_result {
	SPOOL_CHANGE_NONE, /* not staged: commit leaves it alone */
	SPOOL_CHANGE_STAGED,
	SPOOL_CHANGE_DONE, /* and, if it must last, durable */
	SPOOL_CHANGE_GONE, /* REMOVE: there was no such message */
	SPOOL_CHANGE_FAILED /* *e; the old, or (when the last sync failed) perhaps the new */
};

struct spool_change {
	struct spool_id id;
	enum spool_change_kind kind;
	bool must_last; /* what was done must outlive a power cut; also set by the state (spool_state_must_last) */
	enum spool_change_result result;
	struct err *e; /* the caller's */
};

/* The message is going to have this state; st is not needed any more. Sets result. */
void spool_change_save(const struct spool *s, struct spool_change *c, const struct spool_state *st);
/* It is going to be removed, with its state. */
void spool_change_remove(struct spool_change *c);
/* Does what was staged, and sets each result. An id stands in it once. */
void spool_changes_commit(const struct spool *s, struct spool_change *changes, size_t count);

#endif
