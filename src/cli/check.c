/* SPDX-License-Identifier: ISC */
/*
 * posthouse check: one line and an exit status for a monitoring system, by
 * the guidelines of Nagios plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN,
 * and perfdata "'label'=value[unit];warn;crit" behind a bar. Asks the daemon,
 * which a member of view_group may; without one it counts the spool itself.
 */
#include "cli/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/ask.h"
#include "cli/json.h"
#include "cli/status_local.h"
#include "cli/verbs.h"

enum { OPT_NO_DAEMON = ARGS_LONG_ONLY + 50, OPT_TIMEOUT, OPT_JSON };

const struct args_option check_options[] = {
	{ "max-age", ARGS_LONG_ONLY + 0, "TIME", "WARNING when the oldest is older" },
	{ "critical-age", ARGS_LONG_ONLY + 1, "TIME", "CRITICAL when the oldest is older" },
	{ "max-count", ARGS_LONG_ONLY + 2, "N", "WARNING with more messages" },
	{ "critical-count", ARGS_LONG_ONLY + 3, "N", "CRITICAL with more messages" },
	{ "max-failed", ARGS_LONG_ONLY + 4, "N", "WARNING with more failed ones" },
	{ "critical-failed", ARGS_LONG_ONLY + 5, "N", "CRITICAL with more failed ones" },
	{ "max-held", ARGS_LONG_ONLY + 6, "N", "WARNING with more held ones" },
	{ "critical-held", ARGS_LONG_ONLY + 7, "N", "CRITICAL with more held ones" },
	{ "no-daemon", OPT_NO_DAEMON, NULL, "a daemon that does not run is fine" },
	{ "timeout", OPT_TIMEOUT, "TIME", "how long to wait for its answer (10s)" },
	{ "json", OPT_JSON, NULL, "the judgement as a JSON object" },
	ARGS_OPTIONS_END,
};

#define TIME_MAX_MS (INT64_C(1000) * 3600 * 24 * 3650)
#define TEXT_MAX 4096
#define UPSTREAMS_MAX 1000

static const char *const level_names[] = { "OK", "WARNING", "CRITICAL", "UNKNOWN" };

/* ---- judging: pure ----------------------------------------------------------------- */

static void worsen(struct check_result *r, enum check_level level)
{
	if (level > r->level)
		r->level = level;
}

static enum check_level held_against(const struct check_limit *limit, int64_t value)
{
	if (limit->critical >= 0 && value > limit->critical)
		return CHECK_CRITICAL;
	return limit->warning >= 0 && value > limit->warning ? CHECK_WARNING : CHECK_OK;
}

static void add(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct buf *out, const char *fmt, ...)
{
	va_list ap;

	if (out->len > 0)
		buf_adds(out, ", ");
	va_start(ap, fmt);
	buf_vaddf(out, fmt, ap);
	va_end(ap);
}

static void add_limit(struct buf *out, int64_t limit)
{
	buf_addc(out, ';');
	if (limit >= 0)
		buf_addf(out, "%" PRId64, limit);
}

static void add_perfdata(struct check_result *r, enum check_what what, int64_t value, const struct check_limit *limit)
{
	static const char *const labels[CHECK_WHAT_COUNT] = { "oldest", "messages", "failed", "held" };

	if (r->perfdata.len > 0)
		buf_addc(&r->perfdata, ' ');
	buf_addf(&r->perfdata, "%s=%" PRId64 "%s", labels[what], value, what == CHECK_AGE ? "s" : "");
	add_limit(&r->perfdata, limit->warning);
	add_limit(&r->perfdata, limit->critical);
}

static void judge_queue(struct check_result *r, const json_t *status, const struct check_limit *limit,
			int64_t now_wall_us)
{
	const json_t *queue = json_object_get(status, "queue");
	int64_t oldest = json_get_time_us(queue, "oldest_arrived");
	int64_t age_s = oldest > 0 && oldest < now_wall_us ? (now_wall_us - oldest) / 1000000 : 0;
	const int64_t value[CHECK_WHAT_COUNT] = {
		[CHECK_AGE] = age_s,
		[CHECK_MESSAGES] = json_get_int(queue, "messages", 0),
		[CHECK_FAILED] = json_get_int(queue, "failed", 0),
		[CHECK_HELD] = json_get_int(queue, "held", 0),
	};
	static const enum check_what order[CHECK_WHAT_COUNT] = { CHECK_MESSAGES, CHECK_AGE, CHECK_FAILED, CHECK_HELD };
	char age[16];

	if (!json_is_object(queue)) {
		worsen(r, CHECK_UNKNOWN);
		add(&r->text, "the daemon's answer has no queue");
		return;
	}
	for (size_t i = 0; i < CHECK_WHAT_COUNT; i++) {
		worsen(r, held_against(&limit[order[i]], value[order[i]]));
		add_perfdata(r, order[i], value[order[i]], &limit[order[i]]);
	}
	add(&r->text, "%" PRId64 " message%s", value[CHECK_MESSAGES], value[CHECK_MESSAGES] == 1 ? "" : "s");
	if (oldest > 0)
		add(&r->text, "oldest %s", num_format_age(age_s * 1000, age, sizeof(age)));
	if (value[CHECK_FAILED] > 0)
		add(&r->text, "%" PRId64 " failed", value[CHECK_FAILED]);
	if (value[CHECK_HELD] > 0)
		add(&r->text, "%" PRId64 " held", value[CHECK_HELD]);
	if (json_get_int(queue, "unsaved", 0) > 0) {
		worsen(r, CHECK_CRITICAL);
		add(&r->text, "%" PRId64 " cannot be saved", json_get_int(queue, "unsaved", 0));
	}
}

static void judge_upstreams(struct check_result *r, const json_t *status)
{
	const json_t *upstreams = json_get_array(status, "upstreams");

	if (json_is_object(json_object_get(status, "suspended")))
		add(&r->text, "all deliveries are suspended");
	for (size_t i = 0; i < json_array_size(upstreams) && i < UPSTREAMS_MAX; i++) {
		const json_t *u = json_array_get(upstreams, i);
		const char *name = json_get_text(u, "name"), *state = json_get_text(u, "state");

		if (!state)
			continue;
		if (strcmp(state, "suspended") == 0) {
			add(&r->text, "upstream %.200s suspended", name ? name : "?");
		} else if (strcmp(state, "paused") == 0 || strcmp(state, "probing") == 0) {
			worsen(r, CHECK_WARNING);
			add(&r->text, "upstream %.200s down", name ? name : "?");
		}
	}
}

void check_judge(struct check_result *r, const json_t *status, const struct check_limit limit[CHECK_WHAT_COUNT],
		 int64_t now_wall_us)
{
	r->level = CHECK_OK;
	buf_init(&r->text, TEXT_MAX);
	buf_init(&r->perfdata, TEXT_MAX);
	judge_queue(r, status, limit, now_wall_us);
	judge_upstreams(r, status);
	if (json_get_text(status, "suspensions_error")) {
		worsen(r, CHECK_CRITICAL);
		add(&r->text, "%.300s", json_get_text(status, "suspensions_error"));
	}
}

void check_release(struct check_result *r)
{
	buf_release(&r->text);
	buf_release(&r->perfdata);
}

/* ---- the verb ---------------------------------------------------------------------- */

struct check {
	struct cli *cli;
	struct check_limit limit[CHECK_WHAT_COUNT];
	bool no_daemon, json;
	int timeout_ms;
};

static enum cli_status put_json(enum check_level level, const char *text, const char *perfdata)
{
	json_t *o = json_object();

	json_put_key(o, "state", json_string(level_names[level]));
	json_put_key(o, "text", json_text_or_null(text));
	json_put_key(o, "perfdata", *perfdata ? json_string(perfdata) : json_null());
	json_put(o, JSON_ONE_LINE, stdout);
	json_decref(o);
	return cli_finish_output((enum cli_status)level);
}

/* One line; the bar and line ends mean something to who reads it. */
static enum cli_status put(const struct check *c, enum check_level level, const char *text, const char *perfdata)
{
	struct buf line;

	if (c->json)
		return put_json(level, text, perfdata);
	buf_init(&line, 8 * TEXT_MAX);
	term_escapes(&c->cli->out, text, &line);
	for (char *at = line.data; *at; at++)
		if (*at == '|')
			*at = '!';
	printf("POSTHOUSE %s - %s%s%s\n", level_names[level], line.data, *perfdata ? " | " : "", perfdata);
	buf_release(&line);
	return cli_finish_output((enum cli_status)level);
}

static enum cli_status judge(const struct check *c, const json_t *status, const char *absent)
{
	enum cli_status result;
	struct check_result r;

	check_judge(&r, status, c->limit, clock_wall_us());
	if (absent) {
		worsen(&r, CHECK_CRITICAL);
		add(&r.text, "%s", absent);
	}
	result = put(c, r.level, r.text.data, r.perfdata.data);
	check_release(&r);
	return result;
}

static enum cli_status count_spool(const struct check *c)
{
	enum cli_status result;
	char *handler = cli_spoolless(c->cli);
	struct spool spool;
	json_t *status;
	struct err e;

	if (handler) {
		free(handler);
		return put(c, CHECK_UNKNOWN,
			   "the handler has no relay that could be asked: watch its port instead", "");
	}
	if (cli_open_spool(c->cli, &spool) < 0)
		return put(c, c->no_daemon ? CHECK_UNKNOWN : CHECK_CRITICAL,
			   "the daemon does not run, and the spool cannot be read", "");
	status = status_local(&spool, clock_wall_us(), &e);
	spool_close(&spool);
	if (!status)
		return put(c, CHECK_UNKNOWN, e.text, "");
	result = judge(c, status, c->no_daemon ? NULL : "the daemon does not run");
	json_decref(status);
	return result;
}

static enum cli_status check(const struct check *c)
{
	enum cli_status result = CLI_UNREACHABLE;
	enum daemon_found found;
	json_t *status;
	struct err e;
	char *path;

	if (cli_spool_path(c->cli, &path) < 0)
		return put(c, CHECK_UNKNOWN, "the spool is not known", "");
	found = ask_daemon(path, "status", c->timeout_ms, &status, &e);
	free(path);
	switch (found) {
	case DAEMON_CONNECTED:
		result = judge(c, status, NULL);
		json_decref(status);
		break;
	case DAEMON_ABSENT:
		result = count_spool(c);
		break;
	case DAEMON_DENIED:
		result = put(c, CHECK_UNKNOWN, e.text, "");
		break;
	case DAEMON_FAILED:
		result = put(c, CHECK_CRITICAL, e.text, "");
		break;
	}
	return result;
}

static int take_option(struct check *c, int key)
{
	const char *value = c->cli->args.value;
	struct check_limit *limit;
	int64_t *field, ms;
	uint64_t n;

	if (key == OPT_NO_DAEMON) {
		c->no_daemon = true;
		return 0;
	}
	if (key == OPT_JSON) {
		c->json = true;
		return 0;
	}
	if (key == OPT_TIMEOUT) {
		if (!num_parse_duration(value, 3600000, &ms))
			goto bad;
		c->timeout_ms = (int)ms;
		return 0;
	}
	limit = &c->limit[(key - ARGS_LONG_ONLY) / 2];
	field = (key - ARGS_LONG_ONLY) % 2 ? &limit->critical : &limit->warning;
	if (limit == &c->limit[CHECK_AGE]) {
		if (!num_parse_duration(value, TIME_MAX_MS, &ms))
			goto bad;
		*field = ms / 1000;
		return 0;
	}
	if (!num_parse_u64(value, strlen(value), INT64_MAX, &n))
		goto bad;
	*field = (int64_t)n;
	return 0;
bad:
	(void)cli_usage_error(c->cli, "%s: not a number, or a time like 30m", value);
	return -1;
}

enum cli_status verb_check(struct cli *cli)
{
	struct check c = { .cli = cli, .timeout_ms = ASK_TIMEOUT_MS };
	int key, count;

	for (size_t i = 0; i < CHECK_WHAT_COUNT; i++)
		c.limit[i] = (struct check_limit){ -1, -1 };
	while ((key = cli_option(cli)) != ARGS_END) {
		/* a wrong command line is UNKNOWN: 2 would be CRITICAL */
		if (key == ARGS_BAD)
			return cli->ended == CLI_USAGE ? (enum cli_status)CHECK_UNKNOWN : cli->ended;
		if (take_option(&c, key) < 0)
			return (enum cli_status)CHECK_UNKNOWN;
	}
	(void)args_operands(&cli->args, &count);
	if (count > 0) {
		(void)cli_usage_error(cli, "it takes no argument");
		return (enum cli_status)CHECK_UNKNOWN;
	}
	return check(&c);
}
