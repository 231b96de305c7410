/* SPDX-License-Identifier: ISC */
/*
 * SPOOL/lists (mailman/directory.h has the format): what is known of Mailman's lists, for a restart and for
 * the operator's command.
 */
#ifndef MAILMAN_SNAPSHOT_H
#define MAILMAN_SNAPSHOT_H

#include "base/err.h"
#include "mailman/lists.h"
#include "spool/spool.h"

#define SNAPSHOT_NAME "lists"

/* Not durable: what is lost is asked for again. */
int snapshot_save(const struct lists *l, int64_t asked_wall_us, const struct spool *s, struct err *e);

enum snapshot_found { SNAPSHOT_OK, SNAPSHOT_MISSING, SNAPSHOT_BAD };
/* A sealed set, the caller's, of that kind. BAD: e says why. */
enum snapshot_found snapshot_load(struct lists **l, enum lists_kind kind, int64_t *asked_wall_us,
				  const struct spool *s, struct err *e);
/* The same from an open descriptor, which stays open; of s only the path is used. */
enum snapshot_found snapshot_load_from(struct lists **l, enum lists_kind kind, int64_t *asked_wall_us,
				       const struct spool *s, int fd, struct err *e);

#endif
