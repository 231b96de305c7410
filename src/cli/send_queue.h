/* SPDX-License-Identifier: ISC */
/*
 * `posthouse send --queue`: a message straight into the spool, durable as a
 * worker makes it, and the relay told. For who may write to the spool.
 */
#ifndef CLI_SEND_QUEUE_H
#define CLI_SEND_QUEUE_H

#include <stdint.h>

#include "cli/cli.h"
#include "cli/news.h"
#include "spool/spool.h"
#include "submit/submit.h"

struct send_queue {
	struct spool spool;
	struct news news;
	/* what a session would ask for */
	uint64_t size_limit_bytes, min_free_bytes;
	unsigned max_received;
	char *hostname; /* owned */
};

/* The spool that --spool or the configuration names. Not DONE: it is said why. */
enum cli_status send_queue_open(struct send_queue *q, struct cli *cli);
/*
 * One message; name: where there are several, else NULL. Said with its id when it is queued, else why it is
 * not.
 */
enum cli_status send_queue_message(struct send_queue *q, struct submission *s, const char *name);
/* Tells the relay. DONE, or UNREACHABLE when it could not be told of what is queued. */
enum cli_status send_queue_close(struct send_queue *q);

#endif
