/* SPDX-License-Identifier: ISC */
/* posthouse log: what the log has of a message, or of all that are selected, wherever it is kept. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/event_print.h"
#include "cli/json.h"
#include "cli/log_entry.h"
#include "cli/log_filter.h"
#include "cli/log_source.h"
#include "cli/settings.h"
#include "cli/verbs.h"

enum {
	OPT_EVENT = ARGS_LONG_ONLY,
	OPT_FROM,
	OPT_TO,
	OPT_DOMAIN,
	OPT_UPSTREAM,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_FILE,
	OPT_JOURNAL,
	OPT_DIRECTORY,
	OPT_FOLLOW,
	OPT_JSON
};

const struct args_option log_options[] = {
	{ "from", OPT_FROM, "PATTERN", "messages of this sender: address, domain, <>, a*z" },
	{ "to", OPT_TO, "PATTERN", "messages to this recipient" },
	{ "domain", OPT_DOMAIN, "DOMAIN", "messages to a recipient there" },
	{ "upstream", OPT_UPSTREAM, "NAME", "messages that went, or tried to go, there" },
	{ "event", OPT_EVENT, "NAME", "only these events; may be given several times" },
	{ "since", OPT_SINCE, "TIME", "not before: 2h (ago), 2026-11-23, 14:30" },
	{ "until", OPT_UNTIL, "TIME", "only before" },
	{ "file", OPT_FILE, "FILE", "read FILE and what was rotated from it; -: stdin" },
	{ "journal", OPT_JOURNAL, NULL, "read the journal" },
	{ "directory", OPT_DIRECTORY, "DIR", "read the journal's files in DIR" },
	{ "follow", OPT_FOLLOW, NULL, "go on with what comes" },
	{ "json", OPT_JSON, NULL, "JSON lines" },
	ARGS_OPTIONS_END,
};

#define FILES_MAX 32
#define AGE_MAX_MS INT64_C(3155760000000) /* a hundred years */

struct log_verb {
	struct cli *cli;
	struct log_filter filter;
	struct log_source source;
	const char *file[FILES_MAX];
	size_t file_count;
	bool journal, json;
	bool learning; /* the first of two passes */
	size_t shown;
};

/* ---- lines ------------------------------------------------------------------------------- */

static bool on_line(void *ctx, char *line, size_t len, int64_t latest_wall_us)
{
	struct log_verb *v = ctx;
	json_t *event;

	if (!line) {
		fflush(stdout);
		return cli_output_is_open();
	}
	if (log_filter_rules_out(&v->filter, line))
		return true;
	event = log_entry_parse(line, len, latest_wall_us);
	if (!event)
		return true;
	if (v->learning) {
		log_filter_learn(&v->filter, event);
	} else if (log_filter_passes(&v->filter, event)) {
		v->shown++;
		if (v->json)
			json_put(event, JSON_ONE_LINE, stdout);
		else
			event_print(&v->cli->out, event, true);
		if (v->source.follow)
			fflush(stdout);
	}
	json_decref(event);
	return v->learning || cli_output_is_open();
}

/* What could be read is shown, whatever could not. */
static enum cli_status read_log(struct log_verb *v)
{
	bool reads_stdin =
		v->source.file_count > 0 && strcmp(v->source.file[v->source.file_count - 1], "-") == 0;
	struct log_source first = v->source;
	struct err e;

	first.follow = false;
	v->learning = true;
	/* of standard input there is one pass: lines before the one that selects their message are not shown */
	if (log_filter_wants_two_passes(&v->filter) && !reads_stdin &&
	    log_source_read(&first, on_line, v, &e) < 0) {
		/* the second time says it, too */
	}
	v->learning = false;
	if (log_source_read(&v->source, on_line, v, &e) == 0)
		return v->shown > 0 ? CLI_DONE : CLI_NOTHING;
	cli_error("%s", e.text);
	return CLI_UNREACHABLE;
}

/* ---- where it is --------------------------------------------------------------------------- */

/* Where syslog's daemons put what is said by mail systems. */
static const char *find_syslog_file(void)
{
	static const char *const places[] = { "/var/log/mail.log", "/var/log/maillog",
					      "/var/log/mail/mail.log", "/var/log/syslog",
					      "/var/log/messages" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], F_OK) == 0)
			return places[i];
	return NULL;
}

/* By the configuration, unless it was said. The path belongs to cfg. */
static enum cli_status find_log(struct log_verb *v, const struct config *cfg)
{
	if (v->journal || v->file_count > 0)
		return CLI_DONE;
	if (cfg->log[0] == '/')
		v->file[v->file_count++] = cfg->log;
	/* the journal also gets what is said to syslog, and what its services write to standard error */
	else if (strcmp(cfg->log, "journal") != 0 && access("/run/systemd/journal", F_OK) < 0) {
		const char *file = find_syslog_file();

		if (!file) {
			cli_error("log = %s: no file in /var/log and no journal has it: say --file FILE",
				  cfg->log);
			return CLI_UNREACHABLE;
		}
		v->file[v->file_count++] = file;
	}
	return CLI_DONE;
}

static enum cli_status run(struct log_verb *v)
{
	enum cli_status status;
	struct config cfg;
	struct err e;

	if (!v->journal && v->file_count == 0) {
		if (settings_config(v->cli->config_file, &cfg, &e) < 0) {
			cli_error("%s", e.text);
			return CLI_UNREACHABLE;
		}
	} else {
		config_init(&cfg);
	}
	status = find_log(v, &cfg);
	v->source.file = v->file;
	v->source.file_count = v->journal ? 0 : v->file_count;
	v->source.since_wall_us = v->filter.since_wall_us;
	if (status == CLI_DONE)
		status = read_log(v);
	config_release(&cfg);
	return status;
}

/* ---- options --------------------------------------------------------------------------------- */

/* "2h": so long ago; else a moment, local unless it ends with Z. */
static bool parse_time(const char *text, int64_t now_wall_us, int64_t *wall_us)
{
	static const char *const formats[] = {
		"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
		"%Y-%m-%d",          "%H:%M:%S",          "%H:%M"
	};
	time_t now = (time_t)(now_wall_us / 1000000);
	struct tm today;
	int64_t ms;

	if (num_parse_duration(text, AGE_MAX_MS, &ms)) {
		*wall_us = now_wall_us - ms * 1000;
		return true;
	}
	if (clock_parse_utc(text, wall_us))
		return true;
	if (!localtime_r(&now, &today))
		return false;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct tm tm = { .tm_year = today.tm_year, .tm_mon = today.tm_mon, .tm_mday = today.tm_mday };
		const char *end = strptime(text, formats[i], &tm);

		if (!end || *end)
			continue;
		tm.tm_isdst = -1;
		*wall_us = (int64_t)mktime(&tm) * 1000000;
		return true;
	}
	return false;
}

static int take_time(struct log_verb *v, int key)
{
	int64_t *at = key == OPT_SINCE ? &v->filter.since_wall_us : &v->filter.until_wall_us;
	const char *text = v->cli->args.value;

	if (parse_time(text, clock_wall_us(), at))
		return 0;
	v->cli->ended = cli_usage_error(
		v->cli, "--%s: %s: not a time like 2h (ago), 2026-11-23, \"2026-11-23 14:30\" or 14:30",
		key == OPT_SINCE ? "since" : "until", text);
	return -1;
}

static int take_criterion(struct log_verb *v, int key)
{
	static const enum criterion_kind kinds[] = { CRITERION_FROM, CRITERION_TO, CRITERION_DOMAIN,
						     CRITERION_UPSTREAM };
	static const char *const names[] = { "from", "to", "domain", "upstream" };
	struct err e;

	if (criteria_add(&v->filter.criteria, kinds[key - OPT_FROM], v->cli->args.value, &e) == 0)
		return 0;
	v->cli->ended = cli_usage_error(v->cli, "--%s: %s", names[key - OPT_FROM], e.text);
	return -1;
}

/* Another name of a list that has a ceiling. */
static int add_name(struct log_verb *v, const char **list, size_t *count, size_t most, const char *option)
{
	if (*count == most) {
		v->cli->ended = cli_usage_error(v->cli, "at most %zu of --%s", most, option);
		return -1;
	}
	list[(*count)++] = v->cli->args.value;
	return 0;
}

static int take_option(struct log_verb *v, int key)
{
	switch (key) {
	case OPT_FROM:
	case OPT_TO:
	case OPT_DOMAIN:
	case OPT_UPSTREAM:
		return take_criterion(v, key);
	case OPT_EVENT:
		return add_name(v, v->filter.event, &v->filter.event_count, LOG_FILTER_NAMES_MAX, "event");
	case OPT_FILE:
		return add_name(v, v->file, &v->file_count, FILES_MAX, "file");
	case OPT_SINCE:
	case OPT_UNTIL:
		return take_time(v, key);
	case OPT_DIRECTORY:
		v->source.journal_directory = v->cli->args.value;
		v->journal = true;
		return 0;
	case OPT_JOURNAL:
		v->journal = true;
		return 0;
	case OPT_FOLLOW:
		v->source.follow = true;
		return 0;
	default:
		v->json = true;
		return 0;
	}
}

static int take_arguments(struct log_verb *v)
{
	char **operands;
	int count, key;

	while ((key = cli_option(v->cli)) != ARGS_END)
		if (key == ARGS_BAD || take_option(v, key) < 0)
			return -1;
	operands = args_operands(&v->cli->args, &count);
	if (count > LOG_FILTER_NAMES_MAX) {
		v->cli->ended = cli_usage_error(v->cli, "at most %d ids", LOG_FILTER_NAMES_MAX);
		return -1;
	}
	for (int i = 0; i < count; i++) {
		if (id_prefix_parse(operands[i], &v->filter.id[v->filter.id_count++]))
			continue;
		v->cli->ended = cli_usage_error(v->cli, "%s: not (the beginning of) a queue id", operands[i]);
		return -1;
	}
	return 0;
}

enum cli_status verb_log(struct cli *cli)
{
	struct log_verb v = { .cli = cli };
	enum cli_status status;

	log_filter_init(&v.filter);
	if (take_arguments(&v) < 0)
		status = cli->ended;
	else if (v.journal && v.file_count > 0)
		status = cli_usage_error(cli, "--file and the journal exclude each other");
	else
		status = cli_finish_output(run(&v));
	log_filter_release(&v.filter);
	return status;
}
