/* SPDX-License-Identifier: ISC */
/*
 * The selector language, one for all verbs (DESIGN 8): options that narrow the
 * queue down, ids and beginnings of ids as operands, "-" for ids on standard
 * input. All that is said must hold (AND); the same option again widens (OR).
 * A verb whose row says so gets the options; cli_option() deals with them.
 */
#ifndef CLI_SELECT_H
#define CLI_SELECT_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "cli/listing.h"

enum select_default {
	SELECT_ALL, /* verbs that look: nothing said means all */
	SELECT_NOTHING /* verbs that change: nothing said is an error, --all must be spelled */
};

/* After the options: reads the operands. -1: cli->ended, all is said. */
int select_finish(struct cli *cli, enum select_default otherwise);

/*
 * Calls each for every selected message, oldest first, until it returns false. The listing is the selection's
 * and valid inside each. What was named and is not there is said. CLI_DONE; CLI_NOTHING: nothing matched;
 * CLI_UNREACHABLE: the spool cannot be read (said).
 */
enum cli_status select_each(struct cli *cli, const struct spool *spool, bool (*each)(void *ctx, struct listing *l),
			    void *ctx);

#endif
