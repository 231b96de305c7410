/* SPDX-License-Identifier: ISC */
/* See cli.h. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/select.h"
#include "cli/settings.h"
#include "cli/verbs.h"

#define ERROR_TEXT_MAX 4096

enum { OPT_CONFIG = ARGS_LONG_ONLY + 900, OPT_SPOOL, OPT_COLOR };

const struct args_option cli_common_options[] = {
	{ "config", OPT_CONFIG, "FILE", "configuration file, to find the spool" },
	{ "spool", OPT_SPOOL, "DIR", "spool directory, instead of the configuration's" },
	{ "color", OPT_COLOR, "WHEN", "auto (on a terminal), always or never" },
	{ "help", 'h', NULL, "how to use it, and end" },
	{ "version", 'V', NULL, "the version, and end" },
	ARGS_OPTIONS_END,
};

static void say(const char *text, const char *more)
{
	struct term err;
	struct buf line;

	term_init(&err, STDERR_FILENO);
	buf_init(&line, 2 * ERROR_TEXT_MAX);
	buf_adds(&line, "posthouse: ");
	term_escapes(&err, text, &line);
	buf_adds(&line, more);
	buf_addc(&line, '\n');
	fflush(stdout); /* so that both keep their order on one terminal */
	fputs(line.data, stderr);
	buf_release(&line);
}

void cli_error(const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(text, "");
}

enum cli_status cli_usage_error(const struct cli *cli, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX], more[80];
	va_list ap;
	int n = 0;

	if (cli->verb)
		n = snprintf(text, sizeof(text), "%s: ", cli->verb->name);
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	if (cli->verb)
		snprintf(more, sizeof(more), ": try 'posthouse %s --help'", cli->verb->name);
	else
		snprintf(more, sizeof(more), ": try 'posthouse help'");
	say(text, more);
	return CLI_USAGE;
}

static int color_option(struct cli *cli)
{
	enum term_color when;

	if (!term_color_parse(cli->args.value, &when)) {
		cli->ended = cli_usage_error(cli, "--color: %s: not auto, always or never", cli->args.value);
		return -1;
	}
	term_choose_color(&cli->out, when);
	return 0;
}

/* Deals with a common option: 0 go on, -1 the program ends with cli->ended. */
static int common_option(struct cli *cli, int key, const struct err *e)
{
	switch (key) {
	case OPT_CONFIG:
		cli->config_file = cli->args.value;
		return 0;
	case OPT_SPOOL:
		cli->spool_path = cli->args.value;
		return 0;
	case OPT_COLOR:
		return color_option(cli);
	case 'h':
		if (cli->verb)
			verb_help(cli->verb, stdout);
		else
			verbs_help(stdout);
		cli->ended = cli_finish_output(CLI_DONE);
		return -1;
	case 'V':
		puts(PACKAGE_STRING);
		cli->ended = cli_finish_output(CLI_DONE);
		return -1;
	default:
		cli->ended = cli_usage_error(cli, "%s", e->text);
		return -1;
	}
}

static bool is_common(int key)
{
	for (const struct args_option *o = cli_common_options; o->name; o++)
		if (o->key == key)
			return true;
	return false;
}

int cli_option(struct cli *cli)
{
	struct err e;

	for (;;) {
		int key = args_next(&cli->args, &e);

		if (key >= SELECT_KEY_FIRST && key < SELECT_KEY_END && cli->select) {
			if (select_take_option(cli, key) < 0)
				return ARGS_BAD;
			continue;
		}
		if (key != ARGS_BAD && !is_common(key))
			return key;
		if (common_option(cli, key, &e) < 0)
			return ARGS_BAD;
	}
}

char *cli_spoolless(const struct cli *cli)
{
	return cli->spool_path ? NULL : settings_spoolless(cli->config_file);
}

int cli_spool_path(const struct cli *cli, char **path)
{
	struct err e;

	if (cli->spool_path) {
		*path = mem_strdup(cli->spool_path);
	} else if (settings_spool(cli->config_file, path, &e) < 0) {
		cli_error("%s: name the spool with --spool", e.text);
		return -1;
	}
	return 0;
}

int cli_open_spool(struct cli *cli, struct spool *s)
{
	struct err e;
	char *path;

	if (cli_spool_path(cli, &path) < 0)
		return -1;
	if (spool_open(s, path, SPOOL_READ, SPOOL_SYNC_AUTO, &e) < 0) {
		const char *hint = e.os_error == EACCES || e.os_error == EPERM
					   ? "run it as root"
					   : "name another one with --spool or --config";

		cli_error("%s: %s", e.text, hint);
		free(path);
		return -1;
	}
	free(path);
	return 0;
}

bool cli_output_is_open(void)
{
	return !ferror(stdout);
}

enum cli_status cli_finish_output(enum cli_status status)
{
	int failed = 0;

	if (fflush(stdout) < 0)
		failed = errno;
	else if (!ferror(stdout))
		return status;
	/* it failed some time ago: the reason is that of the next attempt */
	if (failed == 0 && write(STDOUT_FILENO, "\n", 1) < 0)
		failed = errno;
	/* a reader that has seen enough (`| head`) is nothing to complain about */
	if (failed != EPIPE)
		cli_error("standard output: %s", failed ? strerror(failed) : "it could not be written");
	return CLI_UNREACHABLE;
}
