/* SPDX-License-Identifier: ISC */
/* See select.h: what was said on the command line, and on standard input. */
#include "cli/select.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/num.h"
#include "cli/select_impl.h"
#include "cli/verbs.h"

enum { OPT_LIMIT = CRITERION_KEY + CRITERION_COUNT, OPT_ALL, OPT_DRY_RUN };

_Static_assert(CRITERION_KEY == SELECT_KEY_FIRST && OPT_DRY_RUN < SELECT_KEY_END, "keys are in their range");

/* Behind those of criteria.h. */
const struct args_option select_options[] = {
	{ "limit", OPT_LIMIT, "N", "not more than the N oldest of them" },
	ARGS_OPTIONS_END,
};

const struct args_option select_change_options[] = {
	{ "all", OPT_ALL, NULL, "all messages, when nothing else is said" },
	{ "dry-run", OPT_DRY_RUN, NULL, "say what would be done, and do nothing" },
	ARGS_OPTIONS_END,
};

struct select *select_new(void)
{
	struct select *sel = mem_alloc(sizeof(*sel));

	criteria_init(&sel->criteria);
	id_list_init(&sel->listed);
	return sel;
}

void select_free(struct select *sel)
{
	if (!sel)
		return;
	criteria_release(&sel->criteria);
	id_list_release(&sel->listed);
	if (sel->has_routing)
		routing_release(&sel->routing);
	free(sel->prefix);
	free(sel);
}

/* ---- options ------------------------------------------------------------------- */

static int take_criterion(struct cli *cli, int key)
{
	enum criterion_kind kind = (enum criterion_kind)(key - CRITERION_KEY);
	struct err e;

	if (criteria_add(&cli->select->criteria, kind, cli->args.value, &e) == 0)
		return 0;
	cli->ended = cli_usage_error(cli, "--%s: %s", criterion_options[kind].name, e.text);
	return -1;
}

int select_take_option(struct cli *cli, int key)
{
	struct select *sel = cli->select;
	const char *value = cli->args.value;

	if (key < CRITERION_KEY + CRITERION_COUNT)
		return take_criterion(cli, key);
	switch (key) {
	case OPT_LIMIT:
		if (num_parse_u64(value, strlen(value), UINT32_MAX, &sel->limit) && sel->limit > 0)
			return 0;
		cli->ended = cli_usage_error(cli, "--limit: \"%s\": not a number from 1 to %u", value, UINT32_MAX);
		return -1;
	case OPT_ALL:
		sel->all = true;
		return 0;
	case OPT_DRY_RUN:
		sel->dry_run = true;
		return 0;
	default:
		assert_failed("an option nobody knows", __FILE__, __LINE__);
	}
}

/* ---- operands ------------------------------------------------------------------ */

/* The next word of a stream into text[SPOOL_ID_LEN + 1]: 1, 0 at the end, -1 when it is longer than an id. */
static int read_word(FILE *in, char text[SPOOL_ID_LEN + 1], uint64_t *line)
{
	size_t len = 0;
	int c;

	while ((c = getc(in)) != EOF) {
		bool space = c == ' ' || (c >= '\t' && c <= '\r');

		if (space && len > 0) {
			ungetc(c, in); /* so that an error names the line of the word */
			break;
		}
		*line += c == '\n';
		if (space)
			continue;
		if (len == SPOOL_ID_LEN)
			return -1;
		text[len++] = (char)c;
	}
	text[len] = '\0';
	return len > 0;
}

/* Whole ids only: here they come from a program. */
static int read_list(struct cli *cli)
{
	struct select *sel = cli->select;
	char word[SPOOL_ID_LEN + 1];
	struct id_prefix id;
	uint64_t line = 1;
	int r;

	while ((r = read_word(stdin, word, &line)) > 0) {
		if (!id_prefix_parse(word, &id) || id.len != SPOOL_ID_LEN) {
			r = -1;
			break;
		}
		id_list_add(&sel->listed, id.text);
	}
	if (r < 0) {
		cli->ended = cli_usage_error(cli, "standard input, line %llu: not a (whole) queue id",
					     (unsigned long long)line);
		return -1;
	}
	if (ferror(stdin)) {
		cli_error("standard input: %s", strerror(errno));
		cli->ended = CLI_UNREACHABLE;
		return -1;
	}
	id_list_sort(&sel->listed);
	return 0;
}

static int read_operands(struct cli *cli)
{
	struct select *sel = cli->select;
	char **operands;
	int count;

	operands = args_operands(&cli->args, &count);
	sel->prefix = mem_array((size_t)count + 1, sizeof(*sel->prefix));
	for (int i = 0; i < count; i++) {
		if (strcmp(operands[i], "-") == 0) {
			sel->has_list = true;
			continue;
		}
		if (id_prefix_parse(operands[i], &sel->prefix[sel->prefix_count++]))
			continue;
		cli->ended = cli_usage_error(cli, "%s: not (the beginning of) a queue id", operands[i]);
		return -1;
	}
	return sel->has_list ? read_list(cli) : 0;
}

int select_finish(struct cli *cli, enum select_default otherwise)
{
	struct select *sel = cli->select;

	ASSERT(sel);
	sel->otherwise = otherwise;
	if (read_operands(cli) < 0)
		return -1;
	if (sel->all && select_narrows(sel)) {
		cli->ended = cli_usage_error(cli, "--all means every message: leave it out where others narrow it down");
		return -1;
	}
	if (otherwise == SELECT_NOTHING && !sel->all && !select_narrows(sel)) {
		cli->ended = cli_usage_error(cli, "no message is named: give ids or selectors, or --all for every one");
		return -1;
	}
	if (criteria_has(&sel->criteria, CRITERION_UPSTREAM)) {
		if (routing_load(&sel->routing, cli) < 0) {
			cli->ended = CLI_UNREACHABLE;
			return -1;
		}
		sel->has_routing = true;
		sel->criteria.routes = sel->routing.routes.upstream_count > 0 ? &sel->routing.routes : NULL;
	}
	return 0;
}

bool select_narrows(const struct select *sel)
{
	return sel->criteria.count > 0 || sel->prefix_count > 0 || sel->has_list;
}

bool select_has_all(const struct select *sel)
{
	return sel->all;
}

bool select_is_dry_run(const struct select *sel)
{
	return sel->dry_run;
}

bool select_is_by_name(const struct select *sel)
{
	return sel->criteria.count == 0 && !sel->has_list && sel->prefix_count > 0;
}

const char *select_upstream(const struct select *sel, size_t i)
{
	for (size_t k = 0; k < sel->criteria.count; k++)
		if (sel->criteria.item[k].kind == CRITERION_UPSTREAM && i-- == 0)
			return sel->criteria.item[k].text;
	return NULL;
}
