/* SPDX-License-Identifier: ISC */
/*
 * Putting a spool in order at start, and listing it. Nothing found here is
 * ever fatal: what cannot be read goes to corrupt/ with its reason.
 */
#ifndef SPOOL_RECOVER_H
#define SPOOL_RECOVER_H

#include <stddef.h>

#include "base/err.h"
#include "spool/spool.h"

struct spool_recovery {
	size_t unfinished; /* leftovers of incoming/ and half-written states removed: never acknowledged */
	size_t orphans; /* states without a message removed */
	size_t quarantined; /* foreign or unreadable entries moved to corrupt/ */
};

/*
 * Run by the relay at start, under the spool lock, before workers commit new
 * mail or beside them: only entries of incoming/ older than started_wall_us,
 * clock_file_us() at the start of the service, are taken for leftovers.
 */
int spool_recover(const struct spool *s, int64_t started_wall_us, struct spool_recovery *out, struct err *e);

/*
 * Calls each(ctx, id) for every valid ID in queue/, in the directory's order
 * (sort when order matters). Foreign names are skipped and reported to
 * foreign(ctx, name) if not NULL.
 */
int spool_scan(const struct spool *s, void (*each)(void *ctx, const char *id),
	       void (*foreign)(void *ctx, const char *name), void *ctx, struct err *e);
/* The same for state/. */
int spool_scan_states(const struct spool *s, void (*each)(void *ctx, const char *id), void *ctx, struct err *e);

/*
 * The same a piece at a time, for who must not be busy with a million of them: valid IDs of queue/ or state/.
 * open: NULL and e on failure. next: 1 and *id (until the next call), 0 at the end, -1 and e.
 */
struct spool_listing;
struct spool_listing *spool_listing_open(const struct spool *s, bool states, struct err *e);
int spool_listing_next(struct spool_listing *l, const char **id, struct err *e);
void spool_listing_close(struct spool_listing *l);

/* Moves queue/NAME (and state/NAME) to corrupt/ and writes corrupt/NAME.reason. */
int spool_quarantine(const struct spool *s, const char *name, const char *reason, struct err *e);
/* Moves a state that cannot be read to corrupt/ID.state; the message itself stays, all pending again. */
int spool_quarantine_state(const struct spool *s, const char *id, const char *reason, struct err *e);
/* Moves a file of the spool's root that cannot be read to corrupt/. */
int spool_quarantine_root(const struct spool *s, const char *name, const char *reason, struct err *e);
/* Writes corrupt/NAME.reason for what is there already. */
int spool_write_reason(const struct spool *s, const char *moved_name, const char *reason, struct err *e);

#endif
