/* SPDX-License-Identifier: ISC */
/*
 * posthouse retry, hold, release, expire, remove, bounce, requeue, reroute:
 * one way through all of them, and a table for where they differ. Selects,
 * asks when it cannot be undone, then works in batches: between two of them
 * an interruption is obeyed, and what was done is said. A kill leaves whole
 * batches, or within one whole messages (manage/action.h).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/access.h"
#include "cli/change.h"
#include "cli/change_report.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/routing.h"
#include "cli/select.h"
#include "cli/verbs.h"
#include "manage/json.h"
#include "manage/protocol.h"

enum { OPT_REASON = ARGS_LONG_ONLY, OPT_VIA, OPT_BY_RULES, OPT_JSON };

#define COMMON_TO_ALL \
	{ "yes", 'y', NULL, "do not ask, also for many at a terminal" }, \
	{ "verbose", 'v', NULL, "a line for each message" }, \
	{ "json", OPT_JSON, NULL, "a JSON object a line for each message" }, ARGS_OPTIONS_END

const struct args_option change_options[] = { COMMON_TO_ALL };
const struct args_option change_reason_options[] = {
	{ "reason", OPT_REASON, "TEXT", "why; shown with the message" },
	COMMON_TO_ALL,
};
const struct args_option requeue_options[] = {
	{ "via", OPT_VIA, "UPSTREAM", "to this upstream, whatever the rules say" },
	COMMON_TO_ALL,
};
const struct args_option reroute_options[] = {
	{ "via", OPT_VIA, "UPSTREAM", "to this upstream, whatever the rules say" },
	{ "by-rules", OPT_BY_RULES, NULL, "to where the rules of the configuration send it" },
	COMMON_TO_ALL,
};

/* Mail is lost, or somebody is told that it was. */
static bool cannot_be_undone(enum action a)
{
	switch (a) {
	case ACTION_REMOVE:
	case ACTION_EXPIRE:
	case ACTION_BOUNCE:
		return true;
	case ACTION_RETRY:
	case ACTION_HOLD:
	case ACTION_RELEASE:
	case ACTION_REQUEUE:
	case ACTION_REROUTE:
		return false;
	}
	return true;
}

struct change {
	struct cli *cli;
	struct action_order order;
	bool by_rules, yes;
	struct change_report report;
	struct id_list ids;
};

/* ---- the command line -------------------------------------------------------------- */

/* A name that is in no configuration would leave the message waiting for nobody. */
static int check_via(struct cli *cli, const char *via)
{
	struct routing routing;
	bool found = false;

	if (routing_load(&routing, cli) < 0) {
		cli->ended = CLI_UNREACHABLE;
		return -1;
	}
	for (size_t i = 0; i < routing.routes.upstream_count; i++)
		found = found || strcmp(routing.routes.upstream_name[i], via) == 0;
	found = found || !routing.known;
	routing_release(&routing);
	if (found)
		return 0;
	cli->ended = cli_usage_error(cli, "--via: there is no upstream \"%s\" in the configuration", via);
	return -1;
}

static int take_option(struct change *c, int key)
{
	const char *value = c->cli->args.value;

	switch (key) {
	case OPT_REASON:
		c->order.reason = value;
		if (value[0] && strlen(value) <= PROTOCOL_REASON_MAX)
			return 0;
		c->cli->ended = cli_usage_error(c->cli, "--reason: a text of 1 to %d octets", PROTOCOL_REASON_MAX);
		return -1;
	case OPT_VIA:
		c->order.route = value;
		if (value[0] && strlen(value) <= PROTOCOL_UPSTREAM_MAX)
			return 0;
		c->cli->ended = cli_usage_error(c->cli, "--via: \"%.60s\": not the name of an upstream", value);
		return -1;
	case OPT_BY_RULES:
		c->by_rules = true;
		return 0;
	case 'y':
		c->yes = true;
		return 0;
	case 'v':
		c->report.verbose = true;
		return 0;
	default:
		c->report.json = true;
		return 0;
	}
}

static int read_arguments(struct change *c)
{
	int key;

	while ((key = cli_option(c->cli)) != ARGS_END)
		if (key == ARGS_BAD || take_option(c, key) < 0)
			return -1;
	if (c->order.action == ACTION_REROUTE && !c->order.route == !c->by_rules) {
		c->cli->ended = cli_usage_error(c->cli, "where to? One of --via UPSTREAM and --by-rules");
		return -1;
	}
	if (c->report.json && c->report.verbose) {
		c->cli->ended = cli_usage_error(c->cli, "--json and --verbose exclude each other");
		return -1;
	}
	if (select_finish(c->cli, SELECT_NOTHING) < 0)
		return -1;
	return c->order.route ? check_via(c->cli, c->order.route) : 0;
}

/* ---- asking, and only saying --------------------------------------------------------- */

/* Only between two people: a person at a terminal, who chose more than one and did not name them. */
static bool is_confirmed(const struct change *c)
{
	char answer[16] = "", text[MESSAGES_TEXT_MAX];

	if (c->yes || c->ids.count < 2 || !cannot_be_undone(c->order.action) || select_is_by_name(c->cli->select) ||
	    isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1)
		return true;
	fprintf(stderr, "%s %s? [y/N] ", action_name(c->order.action), messages_text(c->ids.count, text));
	fflush(stderr);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static void say_dry_run(const struct change *c)
{
	char text[MESSAGES_TEXT_MAX];
	struct spool_id id;

	for (size_t i = 0; i < c->ids.count && cli_output_is_open(); i++) {
		id_list_get(&c->ids, i, &id);
		if (c->report.json)
			printf("{\"id\":\"%s\",\"result\":\"dry_run\"}\n", id.text);
		else if (c->report.verbose)
			printf("%s: would %s\n", id.text, action_name(c->order.action));
	}
	if (!c->report.json)
		printf("would %s %s\n", action_name(c->order.action), messages_text(c->ids.count, text));
}

/* ---- doing --------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void note_signal(int number)
{
	interrupted = number;
}

/* The first one lets the batch end; a second one ends us at once. */
static void watch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction old, mine = { .sa_handler = note_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND };

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &mine, NULL);
}

static enum cli_status run_batches(struct change *c, struct changer *changer)
{
	struct action_item *items = mem_array(ACTION_BATCH_MAX, sizeof(*items));
	struct progress progress;
	size_t at = 0;
	struct err e;
	int r = 0;
	enum cli_status status;

	progress_begin(&progress, change_words[c->order.action].doing, c->ids.count);
	while (r == 0 && at < c->ids.count && !interrupted) {
		size_t n = c->ids.count - at < ACTION_BATCH_MAX ? c->ids.count - at : ACTION_BATCH_MAX;

		memset(items, 0, n * sizeof(*items));
		for (size_t i = 0; i < n; i++)
			id_list_get(&c->ids, at + i, &items[i].id);
		r = change_run(changer, &c->order, items, n, &e);
		if (r == 0 && (c->report.verbose || c->report.json))
			progress_clear(&progress);
		for (size_t i = 0; r == 0 && i < n; i++)
			change_report_add(&c->report, &items[i]);
		at += r == 0 ? n : 0;
		progress_at(&progress, at);
	}
	progress_clear(&progress);
	free(items);
	status = change_report_end(&c->report, c->ids.count - at);
	if (r == 0)
		return status;
	cli_error("%s: what became of the %zu messages behind those is not known for certain: look at them and repeat it",
		  e.text, c->ids.count - at);
	return CLI_UNREACHABLE;
}

/* `retry --upstream X` and `retry --all` mean the relay's own pause of an upstream that is down, too. */
static enum cli_status probe(const struct change *c, struct changer *changer, enum cli_status status)
{
	const char *upstream;
	struct err e;

	if (c->order.action != ACTION_RETRY || change_is_direct(changer))
		return status;
	if (select_has_all(c->cli->select) && change_probe(changer, NULL, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	for (size_t i = 0; (upstream = select_upstream(c->cli->select, i)); i++) {
		if (change_probe(changer, upstream, &e) == 0)
			continue;
		cli_error("%s", e.text);
		status = status == CLI_DONE ? CLI_NOTHING : status;
	}
	return status;
}

static enum cli_status select_messages(struct change *c)
{
	struct spool spool;
	enum cli_status status;

	if (access_open(c->cli, &spool) < 0)
		return CLI_UNREACHABLE;
	status = select_ids(c->cli, &spool, &c->ids);
	access_close(c->cli, &spool);
	return status;
}

static enum cli_status work(struct change *c)
{
	enum cli_status found = select_messages(c), status;
	struct changer *changer;

	if (found == CLI_USAGE || found == CLI_UNREACHABLE || (c->ids.count == 0 && found != CLI_DONE))
		return found;
	if (select_is_dry_run(c->cli->select)) {
		say_dry_run(c);
		return found;
	}
	if (!is_confirmed(c)) {
		cli_error("nothing was done");
		return CLI_NOTHING;
	}
	changer = change_open(c->cli, NULL);
	if (!changer)
		return CLI_UNREACHABLE;
	watch_signals();
	status = c->ids.count > 0 ? run_batches(c, changer) : CLI_DONE;
	if (c->ids.count == 0)
		puts("The queue is empty.");
	if (!interrupted && status != CLI_UNREACHABLE)
		status = probe(c, changer, status);
	change_close(changer);
	return status == CLI_DONE ? found : status;
}

static enum cli_status change_verb(struct cli *cli, enum action action)
{
	struct change c = { .cli = cli, .order = { .action = action }, .report = { .action = action } };
	enum cli_status status;

	if (read_arguments(&c) < 0)
		return cli->ended;
	id_list_init(&c.ids);
	status = cli_finish_output(work(&c));
	id_list_release(&c.ids);
	if (interrupted) /* all is said: end as who was not asked would, so that a loop of the shell ends too */
		raise(interrupted);
	return status;
}

#define VERB(name, action)                              \
	enum cli_status verb_##name(struct cli *cli)    \
	{                                               \
		return change_verb(cli, action);        \
	}

VERB(retry, ACTION_RETRY)
VERB(hold, ACTION_HOLD)
VERB(release, ACTION_RELEASE)
VERB(expire, ACTION_EXPIRE)
VERB(bounce, ACTION_BOUNCE)
VERB(remove, ACTION_REMOVE)
VERB(requeue, ACTION_REQUEUE)
VERB(reroute, ACTION_REROUTE)
