/* SPDX-License-Identifier: ISC */
/*
 * A message moves from one spool to another, with all that happened to it:
 * file and state byte for byte where the id is free. Used by `posthouse export`
 * and `import`; the lock of the spool it leaves, or of the one it enters, is
 * the caller's business. The order of its system calls:
 *
 *   write and fsync incoming/NEW   a leftover, removed at the next start
 *   write, fsync, rename state/ID  an orphan state, removed at the next start
 *   rename to queue/ID, fsync      it is there with its state: never without, or who has it would get it again
 */
#ifndef SPOOL_ADOPT_H
#define SPOOL_ADOPT_H

#include <stdbool.h>

#include "base/err.h"
#include "spool/id.h"
#include "spool/message.h"
#include "spool/spool.h"

/* Makes a spool with the owners of another one, as far as we may. */
int spool_prepare_like(const struct spool *model, const char *path, struct err *e);

enum adopt_result {
	ADOPT_DONE, /* durable, as *as */
	ADOPT_SAME, /* this very message, with the same state, is there already */
	ADOPT_TAKEN, /* another one is there under its id, or the same in another state: e says which */
	ADOPT_GONE, /* there is no such message (any more) to be taken */
	ADOPT_CORRUPT, /* it is damaged: e */
	ADOPT_FAILED /* e */
};

/*
 * For reading a spool that may be a remainder: queue/ must be there, state/ may be missing. Close with
 * spool_close.
 */
int spool_open_remains(struct spool *s, const char *path, struct err *e);

/*
 * Copies a message of `from` into `to`. new_id_if_taken: when its id has been taken by another message it gets a
 * new one instead of ADOPT_TAKEN. Blocks on the disk.
 */
enum adopt_result spool_adopt(struct spool *to, const struct spool *from, const char *id, bool new_id_if_taken,
			      struct spool_id *as, struct err *e);

#endif
