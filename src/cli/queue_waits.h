/* SPDX-License-Identifier: ISC */
/* Why mail waits that nothing is wrong with: what the relay is sending, what is suspended or down. */
#ifndef CLI_QUEUE_WAITS_H
#define CLI_QUEUE_WAITS_H

#include "cli/cli.h"
#include "cli/lookup.h"

/* The messages being sent now, sorted, into an initialised list; none without a daemon. */
void queue_flight(const char *spool_path, struct id_list *ids);

/*
 * A line on standard output for each suspension, and each upstream that is down. Without a daemon (s is open
 * then) only of what is suspended.
 */
void queue_put_waits(const struct cli *cli, const struct spool *s, int64_t now_wall_us);

/* Files in SPOOL/corrupt, reasons not counted; 0 when they cannot be listed. */
size_t queue_count_corrupt(const struct spool *s);

#endif
