/* SPDX-License-Identifier: ISC */
/*
 * Changing the queue, whoever is there to do it: the relay, asked over
 * SPOOL/control, or, when there is no daemon, ourselves with the spool's lock.
 */
#ifndef CLI_CHANGE_H
#define CLI_CHANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "cli/cli.h"
#include "manage/action.h"
#include "manage/suspend.h"

struct changer;

/*
 * spool_path: NULL: found as cli_open_spool does. NULL and said on failure (CLI_UNREACHABLE): no right to,
 * a daemon that does not answer, a lock held by somebody who does not listen.
 */
struct changer *change_open(struct cli *cli, const char *spool_path);
void change_close(struct changer *c); /* NULL is allowed; gives the lock back */
/* There is no daemon: we hold the lock. */
bool change_is_direct(const struct changer *c);

/*
 * Fills in each item's result; any count, in batches of ACTION_BATCH_MAX inside (call it with one batch at a time
 * to show progress). order->by is set here. -1 and e: the daemon went away or did not understand; the items not
 * answered for are ACTION_FAILED with that e, and what became of them is not known.
 */
int change_run(struct changer *c, const struct action_order *order, struct action_item *items, size_t count,
	       struct err *e);

/* one->by and since are set here. */
int change_suspend(struct changer *c, const struct suspension *one, struct err *e);
int change_resume(struct changer *c, const char *upstream, struct err *e); /* NULL: that of all deliveries */
/* Only a running relay can: without one, -1 and e says so. */
int change_probe(struct changer *c, const char *upstream, struct err *e);

#endif
