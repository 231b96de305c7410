/* SPDX-License-Identifier: ISC */
/* The one message that an operator named, for the verbs that look at one. */
#ifndef CLI_ONE_H
#define CLI_ONE_H

#include "cli/cli.h"
#include "spool/id.h"
#include "spool/spool.h"

/* After the options: the operand. CLI_DONE, or what to return (it is said). */
enum cli_status one_operand(struct cli *cli, const char **typed);
/*
 * Completes what was typed with what is in queue/, and where that has none in
 * corrupt/; a whole id is taken as it is. CLI_DONE, or what to return (it is said).
 */
enum cli_status one_find(struct cli *cli, const struct spool *s, const char *typed, int64_t now_wall_us,
			 struct spool_id *out);

#endif
