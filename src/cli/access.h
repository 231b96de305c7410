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
#include "spool/message.h"
#include "spool/spool.h"
#include "spool/state.h"

/*
 * As cli_open_spool. When the relay must read for us, cli->view is the connection and s knows only its path:
 * then messages come by what is below alone, and corrupt/ is out of reach.
 */
int access_open(struct cli *cli, struct spool *s);
void access_close(struct cli *cli, struct spool *s);

/*
 * The ids of the queue that match any of the prefixes (all of them when count is 0), sorted, into an initialised
 * list; the prefixes' matches are counted.
 */
int access_ids(struct cli *cli, const struct spool *s, struct id_prefix *prefix, size_t count, struct id_list *ids,
	       struct err *e);
/* Leaves of a list those that are in the queue, each asked for by itself: for a few of a long queue. */
int access_keep_present(struct cli *cli, const struct spool *s, struct id_list *ids, struct err *e);

/* One message, as listing_open; UNREADABLE also when the relay does not answer. */
bool access_message(struct cli *cli, const struct spool *s, const char *id, struct listing *l);
/* One message, its content verified, and its state. Both are the caller's to release when it is OK. */
enum spool_read access_verified(struct cli *cli, const struct spool *s, const char *id, struct spool_message *m,
				struct spool_state *st, struct err *e);
/*
 * cli->view only: descriptors of up to PROTOCOL_OPEN_MAX messages from the i-th on, and of their states; -1 where
 * there is none. The caller's.
 */
int access_files(struct cli *cli, const struct id_list *ids, size_t i, size_t count, int *message_fd,
		 int *state_fd, struct err *e);

#endif
