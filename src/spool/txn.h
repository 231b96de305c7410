/* SPDX-License-Identifier: ISC */
/*
 * Writing one message into the spool: begin, write, then commit or abort.
 * Used by workers (handler/spool) and by the CLI. Blocks on the disk.
 *
 * THE PROMISE: when spool_txn_commit returns SPOOL_OK the content and its
 * name in queue/ are on stable storage. On every other result the message is
 * not there for the relay, or (only if the machine dies right then) there
 * whole: a duplicate is possible, a loss is not.
 */
#ifndef SPOOL_TXN_H
#define SPOOL_TXN_H

#include <stddef.h>

#include "base/err.h"
#include "smtp/envelope.h"
#include "spool/id.h"
#include "spool/spool.h"

enum spool_result {
	SPOOL_OK,
	SPOOL_FULL, /* no space, no inodes, over quota: 452 4.3.1 */
	SPOOL_FAILED /* anything else: 451 4.3.0 */
};

struct spool_txn;

/* Gives the message its ID (env->id is set). Does not touch the disk yet: a small message costs one write. */
struct spool_txn *spool_txn_begin(struct spool *s, struct envelope *env);
/*
 * The same under an ID that was chosen before (a report that is made again after a crash, or was never made).
 * Only for who holds the lock. When queue/ID is there already and about the same (its peer is env's), or torn, commit
 * replaces it; another message fails it, with EEXIST in e.
 */
struct spool_txn *spool_txn_begin_as(struct spool *s, struct envelope *env, const struct spool_id *id);
/* Content in order, canonical CRLF. Once a call failed the later ones, and commit, return the same. */
enum spool_result spool_txn_write(struct spool_txn *t, const char *data, size_t len, struct err *e);
/* Makes it durable. Frees t in every case. */
enum spool_result spool_txn_commit(struct spool_txn *t, struct err *e);
/* Leaves nothing behind. Frees t; NULL is allowed. */
void spool_txn_abort(struct spool_txn *t);

/*
 * Whether a message could be begun now: makes a file in incoming/, writes an envelope into it and removes it.
 * Nothing is synced, so it costs next to nothing and does not prove that the disk keeps what it takes.
 */
enum spool_result spool_try(struct spool *s, struct err *e);

#endif
