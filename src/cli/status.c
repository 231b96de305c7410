/* SPDX-License-Identifier: ISC */
/*
 * posthouse status: what the daemon does now, as it says itself over the view
 * socket; without one, what the spool tells.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "cli/ask.h"
#include "cli/json.h"
#include "cli/status_local.h"
#include "cli/status_print.h"
#include "cli/verbs.h"

enum { OPT_JSON = ARGS_LONG_ONLY };

const struct args_option status_options[] = {
	{ "json", OPT_JSON, NULL, "the object as the daemon gave it" },
	ARGS_OPTIONS_END,
};

static enum cli_status without_daemon(struct cli *cli, json_t **status)
{
	struct spool spool;
	char *handler;
	struct err e;

	if (cli_open_spool(cli, &spool) < 0)
		return CLI_UNREACHABLE;
	*status = status_local(&spool, clock_wall_us(), &e);
	spool_close(&spool);
	if (*status) {
		handler = cli_spoolless(cli);
		json_put_key(*status, "handler", json_text_or_null(handler));
		free(handler);
		return CLI_NOTHING;
	}
	cli_error("%s", e.text);
	return CLI_UNREACHABLE;
}

static enum cli_status get(struct cli *cli, json_t **status)
{
	enum daemon_found found;
	struct err e;
	char *path;

	if (cli_spool_path(cli, &path) < 0)
		return CLI_UNREACHABLE;
	found = ask_daemon(path, "status", ASK_TIMEOUT_MS, status, &e);
	free(path);
	switch (found) {
	case DAEMON_CONNECTED:
		json_put_key(*status, "running", json_true());
		(void)json_object_del(*status, "end"); /* of the protocol, not of the status */
		return CLI_DONE;
	case DAEMON_ABSENT:
		return without_daemon(cli, status);
	case DAEMON_DENIED:
	case DAEMON_FAILED:
		break;
	}
	cli_error("%s", e.text);
	return CLI_UNREACHABLE;
}

enum cli_status verb_status(struct cli *cli)
{
	enum cli_status result;
	json_t *status = NULL;
	bool json = false;
	char **operands;
	int key, count;

	while ((key = cli_option(cli)) != ARGS_END) {
		if (key == ARGS_BAD)
			return cli->ended;
		json = true;
	}
	operands = args_operands(&cli->args, &count);
	if (count > 0)
		return cli_usage_error(cli, "%s: it takes no argument", operands[0]);
	result = get(cli, &status);
	if (status && json)
		json_put(status, JSON_READABLE, stdout);
	else if (status)
		status_print(status, &cli->out, STATUS_SORT_NAME, clock_wall_us(), stdout);
	json_decref(status);
	return cli_finish_output(result);
}
