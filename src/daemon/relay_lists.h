/* SPDX-License-Identifier: ISC */
/*
 * Handler "mailman" in the relay: made of the configuration, and of
 * mailman/directory.h what relay/lists.h and manage/route.h ask for. relay/
 * and mailman/ know nothing of each other.
 */
#ifndef DAEMON_RELAY_LISTS_H
#define DAEMON_RELAY_LISTS_H

#include "config/config.h"
#include "manage/route.h"
#include "relay/lists.h"
#include "relay/program_conn.h"
#include "spool/spool.h"

struct relay_mailman;

/*
 * As root, before the rights are dropped: reads the password. NULL and no error text: the handler is another.
 */
int relay_mailman_new(struct relay_mailman **m, const struct config *cfg, struct err *e);
/* With the spool open: what is known. m NULL: nothing. */
void relay_mailman_open(struct relay_mailman *m, const struct spool *spool);
void relay_mailman_free(struct relay_mailman *m); /* NULL is allowed */

/*
 * What is run for recipients of an upstream program:mailman. request_fd: the line to the process that runs
 * programs.
 */
const struct relay_program *relay_mailman_program(struct relay_mailman *m, int request_fd);

/* NULL of NULL. */
const struct route_lists *relay_mailman_routes(const struct relay_mailman *m);
const struct relay_lists *relay_mailman_lists(const struct relay_mailman *m);

#endif
