/* SPDX-License-Identifier: ISC */
/*
 * The selector language, one for all verbs (DESIGN 8): options that narrow the
 * queue down (criteria.h), ids and beginnings of ids as operands, "-" for ids
 * on standard input. All that is said must hold (AND); the same option again
 * widens (OR), and so does each further id. A verb whose row says `selects`
 * gets the options; cli_option() deals with them.
 */
#ifndef CLI_SELECT_H
#define CLI_SELECT_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "cli/listing.h"
#include "cli/lookup.h"

struct select; /* what was asked for: cli->select */

enum select_default {
	SELECT_ALL, /* verbs that look: nothing said means all */
	SELECT_NOTHING /* verbs that change: nothing said is an error, --all must be spelled */
};

/* For cli.c: the options (those of verbs that change have some more), and one that was met. */
extern const struct args_option select_options[], select_change_options[];
#define SELECT_KEY_FIRST (ARGS_LONG_ONLY + 800)
#define SELECT_KEY_END (ARGS_LONG_ONLY + 900)
struct select *select_new(void);
void select_free(struct select *sel); /* NULL is allowed */
/* -1: cli->ended, all is said. */
int select_take_option(struct cli *cli, int key);

/* After the options: reads the operands, and standard input when "-" is one. -1: cli->ended, all is said. */
int select_finish(struct cli *cli, enum select_default otherwise);

/* Something was said that narrows; false: it is all messages. */
bool select_narrows(const struct select *sel);
bool select_has_all(const struct select *sel); /* --all was said */
bool select_is_dry_run(const struct select *sel);
/* The i-th upstream that --upstream named; NULL: there are no more. */
const char *select_upstream(const struct select *sel, size_t i);
/* Every message was named by its id, on the command line: the operator knows what is meant. */
bool select_is_by_name(const struct select *sel);

/*
 * Every selected message, oldest first, until each returns false. prepare runs in several threads at once, on
 * messages in no order, and each then in one, in order, with what prepare returned: one allocated block, or NULL,
 * freed behind each. NULL prepare: none. The message's file is closed when each is called; where something was
 * prepared all that the listing points to is released by then, and its id, condition, why, left and
 * msg.content_bytes are left. What was named and is not there is said. CLI_DONE; CLI_NOTHING: nothing matched
 * although something was asked for (said), or something named is not there; CLI_UNREACHABLE: the spool cannot be
 * read (said).
 */
struct select_work {
	void *(*prepare)(void *ctx, struct listing *l);
	bool (*each)(void *ctx, struct listing *l, void *prepared);
	void *ctx;
};
enum cli_status select_run(struct cli *cli, const struct spool *spool, const struct select_work *work);

/* The ids alone, of an initialised list; no file is opened when it can be told without. */
enum cli_status select_ids(struct cli *cli, const struct spool *spool, struct id_list *ids);

#endif
