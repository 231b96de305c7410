/* SPDX-License-Identifier: ISC */
/* posthouse watch: the events of all processes of the daemon as they happen, until it ends or we are told to. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/daemon.h"
#include "cli/event_print.h"
#include "cli/json.h"
#include "cli/lookup.h"
#include "cli/verbs.h"

enum { OPT_EVENT = ARGS_LONG_ONLY, OPT_ID, OPT_FOLLOW, OPT_JSON };

const struct args_option watch_options[] = {
	{ "event", OPT_EVENT, "NAME", "only these events; may be given several times" },
	{ "id", OPT_ID, "ID", "only about messages whose id begins so" },
	{ "follow", OPT_FOLLOW, NULL, "wait for the daemon when it does not run" },
	{ "json", OPT_JSON, NULL, "JSON lines, as the daemon gives them" },
	ARGS_OPTIONS_END,
};

#define NAMES_MAX 32
#define RECONNECT_MS 500

struct watch {
	struct cli *cli;
	const char *event[NAMES_MAX];
	size_t event_count;
	struct id_prefix id[NAMES_MAX];
	size_t id_count;
	bool follow, json;
	char *path;
};

/* All that was written is flushed line by line, so there is nothing to lose. */
static void interrupted(int number)
{
	(void)number;
	_exit(CLI_DONE);
}

static bool wanted(const struct watch *w, const json_t *o)
{
	const char *event = json_get_text(o, "event"), *id = json_get_text(o, "id");
	bool of_event = w->event_count == 0, of_id = w->id_count == 0;

	if (!event)
		return false; /* {"watching":true} */
	for (size_t i = 0; i < w->event_count; i++)
		of_event = of_event || strcmp(event, w->event[i]) == 0;
	for (size_t i = 0; id && i < w->id_count; i++)
		of_id = of_id || (strlen(id) == SPOOL_ID_LEN && id_prefix_matches(&w->id[i], id));
	return of_event && of_id;
}

static void put_event(const struct watch *w, const json_t *o)
{
	if (w->json)
		json_put(o, JSON_ONE_LINE, stdout);
	else
		event_print(&w->cli->out, o, false);
}

/* Until the daemon goes, or nobody reads any more. */
static void show_events(const struct watch *w, struct daemon *d, struct err *e)
{
	json_t *request = json_object(), *o;

	json_put_key(request, "ask", json_string("watch"));
	if (daemon_send(d, request, e) < 0)
		return;
	while (cli_output_is_open() && (o = daemon_receive(d, -1, e))) {
		if (wanted(w, o)) {
			put_event(w, o);
			fflush(stdout);
		}
		json_decref(o);
	}
}

static enum cli_status watch(const struct watch *w)
{
	struct timespec pause = { .tv_nsec = RECONNECT_MS * 1000000L };
	bool waiting = false;

	while (cli_output_is_open()) {
		struct daemon *d = NULL;
		enum daemon_found found;
		struct err e;

		found = daemon_connect(&d, w->path, DAEMON_VIEW, &e);
		if (found == DAEMON_CONNECTED) {
			waiting = false;
			show_events(w, d, &e);
			daemon_close(d);
			if (!cli_output_is_open())
				break;
		}
		if (!w->follow || found == DAEMON_DENIED) {
			cli_error("%s", e.text);
			return CLI_UNREACHABLE;
		}
		if (!waiting)
			cli_error("%s: waiting for it", e.text);
		waiting = true;
		nanosleep(&pause, NULL);
	}
	return CLI_DONE;
}

static int take_option(struct watch *w, int key)
{
	bool is_event = key == OPT_EVENT;
	size_t *count = is_event ? &w->event_count : &w->id_count;

	switch (key) {
	case OPT_EVENT:
	case OPT_ID:
		if (*count == NAMES_MAX) {
			w->cli->ended = cli_usage_error(w->cli, "at most %d of --%s", NAMES_MAX, is_event ? "event" : "id");
			return -1;
		}
		if (is_event)
			w->event[*count] = w->cli->args.value;
		else if (!id_prefix_parse(w->cli->args.value, &w->id[*count])) {
			w->cli->ended = cli_usage_error(w->cli, "--id: %s: not (the beginning of) a queue id",
							w->cli->args.value);
			return -1;
		}
		++*count;
		return 0;
	case OPT_FOLLOW:
		w->follow = true;
		return 0;
	default:
		w->json = true;
		return 0;
	}
}

enum cli_status verb_watch(struct cli *cli)
{
	struct watch w = { .cli = cli };
	struct sigaction act = { .sa_handler = interrupted };
	enum cli_status status;
	char **operands;
	int key, count;

	while ((key = cli_option(cli)) != ARGS_END)
		if (key == ARGS_BAD || take_option(&w, key) < 0)
			return cli->ended;
	operands = args_operands(&cli->args, &count);
	if (count > 0)
		return cli_usage_error(cli, "%s: it takes no argument; is it an --id?", operands[0]);
	if (cli_spool_path(cli, &w.path) < 0)
		return CLI_UNREACHABLE;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	status = watch(&w);
	free(w.path);
	return cli_finish_output(status);
}
