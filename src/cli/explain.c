/* SPDX-License-Identifier: ISC */
/*
 * posthouse explain: what happened to a message, what will happen next, and
 * what the operator can do. Gathers; explain_print.c words it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/access.h"
#include "cli/explain_facts.h"
#include "cli/json.h"
#include "cli/one.h"
#include "cli/status_local.h"
#include "cli/verbs.h"

enum { OPT_JSON = ARGS_LONG_ONLY };

const struct args_option explain_options[] = {
	{ "json", OPT_JSON, NULL, "the facts as a JSON object" },
	ARGS_OPTIONS_END,
};

#define FLIGHT_TIMEOUT_MS 3000

static void ask(struct explain *x, const struct spool *s)
{
	struct err ignored;
	const json_t *one;
	size_t i;

	x->found = ask_daemon(s->path, "status", ASK_TIMEOUT_MS, &x->status, &x->daemon_error);
	if (x->found != DAEMON_CONNECTED) {
		x->status = status_local(s, x->now_wall_us, &ignored);
		return;
	}
	(void)ask_daemon(s->path, "flight", FLIGHT_TIMEOUT_MS, &x->flight, &ignored);
	json_array_foreach(json_get_array(x->flight, "flight"), i, one) {
		const char *id = json_get_text(one, "id");

		if (id && strcmp(id, x->id.text) == 0)
			x->in_flight = one;
	}
}

/* The message is read first: one that leaves meanwhile is then still told as it was. */
static void look(struct cli *cli, struct explain *x, const struct spool *s)
{
	if (access_message(cli, s, x->id.text, &x->listing))
		x->kind = listing_is_readable(&x->listing) ? EXPLAIN_QUEUED : EXPLAIN_UNREADABLE;
	else if (corrupt_open(&x->corrupt, s, x->id.text))
		x->kind = EXPLAIN_CORRUPT;
	else
		x->kind = EXPLAIN_GONE;
}

static void release(struct explain *x)
{
	if (x->kind == EXPLAIN_QUEUED)
		listing_close(&x->listing);
	if (x->kind == EXPLAIN_CORRUPT)
		corrupt_close(&x->corrupt);
	json_decref(x->status);
	json_decref(x->flight);
	routing_release(&x->routing);
}

static enum cli_status explain(struct cli *cli, struct explain *x, const struct spool *s, bool json)
{
	json_t *o;

	if (routing_load(&x->routing, cli) < 0)
		return CLI_UNREACHABLE;
	x->by_relay = cli->view != NULL;
	look(cli, x, s);
	ask(x, s);
	if (json) {
		o = explain_json(x);
		json_put(o, JSON_READABLE, stdout);
		json_decref(o);
	} else {
		explain_print(x, stdout);
	}
	release(x);
	switch (x->kind) {
	case EXPLAIN_QUEUED:
		return CLI_DONE;
	case EXPLAIN_UNREADABLE:
		return x->listing.condition == CONDITION_CORRUPT ? CLI_NOTHING : CLI_UNREACHABLE;
	case EXPLAIN_CORRUPT:
	case EXPLAIN_GONE:
		break;
	}
	return CLI_NOTHING;
}

enum cli_status verb_explain(struct cli *cli)
{
	struct explain x = { .term = &cli->out, .now_wall_us = clock_wall_us() };
	enum cli_status status;
	struct spool spool;
	const char *typed;
	bool json = false;
	int key;

	while ((key = cli_option(cli)) != ARGS_END) {
		if (key == ARGS_BAD)
			return cli->ended;
		json = true;
	}
	status = one_operand(cli, &typed);
	if (status != CLI_DONE)
		return status;
	if (access_open(cli, &spool) < 0)
		return CLI_UNREACHABLE;
	status = one_find(cli, &spool, typed, x.now_wall_us, &x.id);
	if (status == CLI_DONE)
		status = explain(cli, &x, &spool, json);
	access_close(cli, &spool);
	return cli_finish_output(status);
}
