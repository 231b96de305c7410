/* SPDX-License-Identifier: ISC */
/*
 * export --remove: what is durable elsewhere leaves the queue, as with
 * `posthouse remove`: by the running relay, or with the spool lock.
 */
#ifndef CLI_EXPORT_REMOVE_H
#define CLI_EXPORT_REMOVE_H

#include "cli/change.h"
#include "cli/cli.h"
#include "cli/lookup.h"
#include "spool/spool.h"

struct removal {
	struct spool *from;
	/* where the copies are; NULL: in files. In another spool both could be sent: what the relay delivered
	 * meanwhile is taken out there */
	struct spool *other;
	struct changer *changer;
	size_t removed;
};

/* -1: it cannot be done (said). */
int removal_open(struct removal *r, struct cli *cli);
void removal_close(struct removal *r);
/* CLI_NOTHING: some could not be removed (said), or were being sent. */
enum cli_status removal_run(struct removal *r, const struct id_list *ids);

#endif
