/* SPDX-License-Identifier: ISC */
/*
 * Messages that a verb put into the spool itself: a relay learns of new mail
 * from who commits it. That it is told to try them is how it learns of these.
 */
#ifndef CLI_NEWS_H
#define CLI_NEWS_H

#include <stdbool.h>

#include "cli/cli.h"
#include "cli/lookup.h"

struct news {
	struct cli *cli;
	const char *spool_path;
	struct id_list ids; /* that it is to be told of */
	bool failed; /* a relay that runs could not be told; it is said */
};

/* spool_path outlives it. */
void news_init(struct news *n, struct cli *cli, const char *spool_path);
void news_release(struct news *n);
/*
 * One more, durable already. The relay is told after each so many, not only at the end: what an interrupted
 * run has brought is in the queue, and shall not wait there.
 */
void news_add(struct news *n, const char *id);
/* Of all that it was not told of. A daemon that does not run finds them when it starts. */
void news_tell(struct news *n);

#endif
