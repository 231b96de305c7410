/* SPDX-License-Identifier: ISC */
/*
 * How the looking verbs come to the messages: they read the spool's files
 * themselves, or, where they may not and the relay lets them look (view_group),
 * it hands them the descriptors.
 */
#ifndef CLI_ACCESS_H
#define CLI_ACCESS_H

#include "base/err.h"
#include "cli/cli.h"
#include "cli/listing.h"
#include "cli/lookup.h"
#include "spool/spool.h"

/*
 * As cli_open_spool. When the relay must read for us, cli->view is the connection and s knows only its path:
 * then messages come by access_ids and access_files alone.
 */
int access_open(struct cli *cli, struct spool *s);
void access_close(struct cli *cli, struct spool *s);

/* All ids of the queue, sorted, into an initialised list. */
int access_ids(struct cli *cli, const struct spool *s, struct id_list *ids, struct err *e);
/*
 * cli->view only: descriptors of up to PROTOCOL_OPEN_MAX messages from the i-th on, and of their states; -1 where
 * there is none. The caller's.
 */
int access_files(struct cli *cli, const struct id_list *ids, size_t i, size_t count, int *message_fd, int *state_fd,
		 struct err *e);
/* One message with its state, as listing_open; -1: it could not be asked for (e). 0: it is not there, 1: l. */
int access_listing(struct cli *cli, const struct spool *s, const char *id, struct listing *l, struct err *e);

#endif
