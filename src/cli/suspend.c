/* SPDX-License-Identifier: ISC */
/*
 * posthouse suspend, resume: stops and starts deliveries, to one upstream or
 * all. The relay is asked, or the file is changed under the spool's lock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/access.h"
#include "cli/ask.h"
#include "cli/change.h"
#include "cli/json.h"
#include "cli/verbs.h"
#include "manage/protocol.h"
#include "manage/suspend.h"

enum { OPT_UPSTREAM = ARGS_LONG_ONLY, OPT_FOR, OPT_REASON, OPT_ALL, OPT_JSON };

#define FOR_MAX_MS INT64_C(31557600000) /* a year */

const struct args_option suspend_options[] = {
	{ "upstream", OPT_UPSTREAM, "NAME", "only deliveries to this upstream" },
	{ "for", OPT_FOR, "TIME", "so long, then it ends by itself: 30m, 2h, 1d" },
	{ "reason", OPT_REASON, "TEXT", "why; shown by queue and status" },
	{ "json", OPT_JSON, NULL, "what was done as a JSON object" },
	ARGS_OPTIONS_END,
};

const struct args_option resume_options[] = {
	{ "upstream", OPT_UPSTREAM, "NAME", "deliveries to this upstream" },
	{ "all", OPT_ALL, NULL, "every suspension, of whatever upstream" },
	{ "json", OPT_JSON, NULL, "what was done as JSON objects, one a line" },
	ARGS_OPTIONS_END,
};

struct request {
	struct cli *cli;
	struct suspension one; /* strings are argv's */
	int64_t for_ms; /* 0: until resumed */
	bool all;
	bool json;
};

static int take_text(struct request *r, const char *option, size_t max, char **field)
{
	char *value = (char *)(uintptr_t)r->cli->args.value;

	*field = value;
	if (value[0] && strlen(value) <= max)
		return 0;
	r->cli->ended = cli_usage_error(r->cli, "--%s: a text of 1 to %zu octets", option, max);
	return -1;
}

static int take_option(struct request *r, int key)
{
	const char *value = r->cli->args.value;

	switch (key) {
	case OPT_UPSTREAM:
		return take_text(r, "upstream", PROTOCOL_UPSTREAM_MAX, &r->one.upstream);
	case OPT_REASON:
		return take_text(r, "reason", PROTOCOL_REASON_MAX, &r->one.reason);
	case OPT_FOR:
		if (num_parse_duration(value, FOR_MAX_MS, &r->for_ms) && r->for_ms > 0)
			return 0;
		r->cli->ended = cli_usage_error(r->cli, "--for: \"%s\": not a time like 30m, 2h or 1d", value);
		return -1;
	case OPT_JSON:
		r->json = true;
		return 0;
	default:
		r->all = true;
		return 0;
	}
}

static int read_arguments(struct request *r)
{
	char **operands;
	int key, count;

	while ((key = cli_option(r->cli)) != ARGS_END)
		if (key == ARGS_BAD || take_option(r, key) < 0)
			return -1;
	operands = args_operands(&r->cli->args, &count);
	if (count > 0) {
		r->cli->ended = cli_usage_error(r->cli, "%s: it takes no argument (an upstream is named by --upstream)",
						operands[0]);
		return -1;
	}
	if (r->all && r->one.upstream) {
		r->cli->ended = cli_usage_error(r->cli, "--all and --upstream exclude each other");
		return -1;
	}
	return 0;
}

/* "deliveries to main", "all deliveries" on standard output, escaped. */
static void put_subject(const struct request *r, const char *upstream)
{
	struct buf name;

	buf_init(&name, 4 * PROTOCOL_UPSTREAM_MAX + 1);
	if (upstream)
		term_escapes(&r->cli->out, upstream, &name);
	printf("%s%s", upstream ? "deliveries to " : "all deliveries", name.data);
	buf_release(&name);
}

static void put_json(const char *result, const struct suspension *one)
{
	json_t *o = json_object();

	json_put_key(o, "upstream", json_text_or_null(one->upstream));
	json_put_key(o, "result", json_string(result));
	json_put_key(o, "until", json_of_time(one->until_wall_us));
	json_put_key(o, "reason", json_text_or_null(one->reason));
	json_put(o, JSON_ONE_LINE, stdout);
	json_decref(o);
}

static void put_suspended(const struct request *r)
{
	char until[CLOCK_UTC_MAX];

	if (r->json) {
		put_json("suspended", &r->one);
		return;
	}
	fputs("suspended ", stdout);
	put_subject(r, r->one.upstream);
	if (r->one.until_wall_us)
		printf(" until %.19sZ\n", clock_format_utc(r->one.until_wall_us, until));
	else
		puts(" until they are resumed");
}

static void put_resumed(const struct request *r, const char *upstream)
{
	if (r->json) {
		put_json("resumed", &(struct suspension){ .upstream = (char *)(uintptr_t)upstream });
		return;
	}
	fputs("resumed ", stdout);
	put_subject(r, upstream);
	putchar('\n');
}

/* A handler without a relay goes on as if nobody had said anything. */
static bool has_no_relay(const struct cli *cli)
{
	char *handler = cli_spoolless(cli);

	if (!handler)
		return false;
	cli_error("handler \"%s\" delivers while the client waits: there is no relay that could be told to "
		  "stop",
		  handler);
	free(handler);
	return true;
}

static enum cli_status fail(const struct err *e)
{
	cli_error("%s", e->text);
	return CLI_NOTHING;
}

enum cli_status verb_suspend(struct cli *cli)
{
	struct request r = { .cli = cli };
	enum cli_status status = CLI_DONE;
	struct changer *changer;
	struct err e;

	if (read_arguments(&r) < 0)
		return cli->ended;
	if (has_no_relay(cli))
		return CLI_UNREACHABLE;
	changer = change_open(cli, NULL);
	if (!changer)
		return CLI_UNREACHABLE;
	/* whole seconds, as the relay is told */
	r.one.until_wall_us = r.for_ms ? (clock_wall_us() / 1000000 + (r.for_ms + 999) / 1000) * 1000000 : 0;
	if (change_suspend(changer, &r.one, &e) < 0)
		status = fail(&e);
	else
		put_suspended(&r);
	change_close(changer);
	return cli_finish_output(status);
}

static enum cli_status resume_one(const struct request *r, struct changer *changer, const char *upstream)
{
	struct err e;

	if (change_resume(changer, upstream, &e) < 0)
		return fail(&e);
	put_resumed(r, upstream);
	return CLI_DONE;
}

static void add_suspension(struct suspensions *all, const char *upstream)
{
	struct suspension one = { .upstream = (char *)(uintptr_t)upstream };

	suspensions_set(all, &one);
}

/*
 * For who may not read the file. The relay shows for each upstream the suspension that is in effect, which is
 * that of all deliveries for those that have none of their own: they are told apart by when they were made.
 */
static int ask_suspensions(const char *spool_path, struct suspensions *all, struct err *e)
{
	const json_t *of_all, *own, *upstream;
	json_t *status;
	size_t i;

	if (ask_daemon(spool_path, "status", ASK_TIMEOUT_MS, &status, e) != DAEMON_CONNECTED)
		return -1;
	of_all = json_object_get(status, "suspended");
	if (json_is_object(of_all))
		add_suspension(all, NULL);
	json_array_foreach(json_get_array(status, "upstreams"), i, upstream) {
		own = json_object_get(upstream, "suspension");
		if (json_is_object(own) && !json_equal(own, of_all) && json_get_text(upstream, "name"))
			add_suspension(all, json_get_text(upstream, "name"));
	}
	json_decref(status);
	return 0;
}

/* Which suspensions there are, by SPOOL/suspended or by the relay. */
static int find_suspensions(struct cli *cli, struct suspensions *all, struct err *e)
{
	struct spool spool;
	int r;

	if (access_open(cli, &spool) < 0)
		return -1;
	r = cli->view ? ask_suspensions(spool.path, all, e) : suspensions_load(all, &spool, e);
	if (r < 0)
		cli_error("%s", e->text);
	access_close(cli, &spool);
	suspensions_expire(all, clock_wall_us());
	return r;
}

static enum cli_status resume_all(const struct request *r, struct changer *changer)
{
	enum cli_status status = CLI_DONE;
	struct suspensions all;
	struct err e;

	suspensions_init(&all);
	if (find_suspensions(r->cli, &all, &e) < 0) {
		status = CLI_UNREACHABLE;
	} else if (all.count == 0) {
		cli_error("nothing is suspended");
		status = CLI_NOTHING;
	}
	for (size_t i = 0; status != CLI_UNREACHABLE && i < all.count; i++)
		if (resume_one(r, changer, all.item[i].upstream) != CLI_DONE)
			status = CLI_NOTHING;
	suspensions_release(&all);
	return status;
}

enum cli_status verb_resume(struct cli *cli)
{
	struct request r = { .cli = cli };
	struct changer *changer;
	enum cli_status status;

	if (read_arguments(&r) < 0)
		return cli->ended;
	changer = change_open(cli, NULL);
	if (!changer)
		return CLI_UNREACHABLE;
	status = r.all ? resume_all(&r, changer) : resume_one(&r, changer, r.one.upstream);
	change_close(changer);
	return cli_finish_output(status);
}
