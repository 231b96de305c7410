/* SPDX-License-Identifier: ISC */
/*
 * posthouse health: whether the service does its work, found out from outside and without its monitor
 * (posthouse-metrics(7), HEALTH): the relay answers on its socket, a worker answers EHLO and would begin a
 * message, there is room in the spool. For liveness probes, cron and people; `posthouse check` watches the
 * queue, `posthouse doctor` tells why and what to do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/buf.h"
#include "base/num.h"
#include "cli/ask.h"
#include "cli/json.h"
#include "cli/settings.h"
#include "cli/verbs.h"
#include "config/config.h"
#include "submit/transmit.h"
#include "upstream/talk.h"

enum { OPT_TIMEOUT = ARGS_LONG_ONLY, OPT_JSON };

const struct args_option health_options[] = {
	{ "timeout", OPT_TIMEOUT, "TIME", "longest wait of each step (5s)" },
	{ "json", OPT_JSON, NULL, "one object instead of a line" },
	ARGS_OPTIONS_END,
};

#define TIMEOUT_MS 5000
#define TIMEOUT_MAX_MS (600 * INT64_C(1000))

enum state { STATE_OK, STATE_FAILED, STATE_SKIPPED };
static const char *const state_names[] = {
	[STATE_OK] = "ok", [STATE_FAILED] = "failed", [STATE_SKIPPED] = "skipped"
};

enum { CHECK_RELAY, CHECK_WORKER, CHECK_SPOOL, CHECKS };
/* As health_check_name (daemon/health.h) has them. */
static const char *const check_names[CHECKS] = { "relay", "worker", "spool" };

struct finding {
	enum state state;
	char text[600];
};

struct health {
	struct cli *cli;
	struct config cfg;
	bool spools; /* there is a spool, and a relay */
	char *spool; /* its path */
	int timeout_ms;
	struct finding finding[CHECKS];
};

static void note(struct health *h, int check, enum state state, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void note(struct health *h, int check, enum state state, const char *fmt, ...)
{
	struct finding *f = &h->finding[check];
	va_list ap;

	f->state = state;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

/* ---- the relay ------------------------------------------------------------------------ */

static void check_relay(struct health *h)
{
	json_t *status = NULL;
	struct err e;

	if (!h->spools) {
		note(h, CHECK_RELAY, STATE_OK, "handler %s has none", h->cfg.handler);
		return;
	}
	switch (ask_daemon(h->spool, "status", h->timeout_ms, &status, &e)) {
	case DAEMON_CONNECTED:
		note(h, CHECK_RELAY, STATE_OK, "it answers");
		break;
	case DAEMON_DENIED:
		note(h, CHECK_RELAY, STATE_SKIPPED, "%s", e.text);
		break;
	case DAEMON_ABSENT:
	case DAEMON_FAILED:
		note(h, CHECK_RELAY, STATE_FAILED, "%s", e.text);
		break;
	}
	json_decref(status);
}

/* ---- a worker --------------------------------------------------------------------------- */

/*
 * How well an address does for a question: 0, not at all. Where TLS comes first its certificate would have to
 * be judged, and behind a proxy's header somebody else would be asked about.
 */
static int fitness(const struct config_listener *l, const struct endpoint *ep)
{
	if (ep->kind == ENDPOINT_UNIX)
		return 2;
	return ep->port != 0 && l->tls != SESSION_TLS_IMPLICIT && l->proxy_protocol_count == 0;
}

static bool choose(const struct config *cfg, struct endpoint *out)
{
	int best = 0;

	for (size_t i = 0; i < cfg->listener_count; i++)
		for (size_t k = 0; k < cfg->listener[i].localaddr_count; k++) {
			const struct endpoint *ep = &cfg->listener[i].localaddr[k];

			if (fitness(&cfg->listener[i], ep) <= best)
				continue;
			best = fitness(&cfg->listener[i], ep);
			*out = *ep;
		}
	endpoint_make_reachable(out);
	return best > 0;
}

/* What may be wrong with the spool is said by the worker as well. */
static void ask_to_begin(struct health *h, struct talk *talk)
{
	struct upstream_outcome o;

	if (!h->spools || talk_commandf(talk, UPSTREAM_MAIL, &o, "MAIL FROM:<>") < 0)
		return;
	/* 4.3.x is trouble with storage (RFC 3463 3.4); whom else it would let in is not the question here */
	if (o.reply.code / 100 == 4 && strncmp(o.reply.enhanced, "4.3.", 4) == 0)
		note(h, CHECK_SPOOL, STATE_FAILED, "a worker answers MAIL with %d %s %s", o.reply.code,
		     o.reply.enhanced, o.reply.text);
}

static void converse(struct health *h, struct talk *talk, const char *at)
{
	struct upstream_outcome why;

	if (talk_connect(talk, &why) == 0) {
		note(h, CHECK_WORKER, STATE_OK, "one answers at %s", at);
		ask_to_begin(h, talk);
		(void)talk_quit(talk, NULL);
	} else if (why.how == UPSTREAM_ANSWERED && why.reply.code >= 500) {
		/* a rule against this machine (client_access): whoever says so is alive */
		note(h, CHECK_WORKER, STATE_OK, "one answers at %s with %d", at, why.reply.code);
	} else if (why.how == UPSTREAM_ANSWERED) {
		note(h, CHECK_WORKER, STATE_FAILED, "one answers at %s with %d %s", at, why.reply.code,
		     why.reply.text);
	} else {
		note(h, CHECK_WORKER, STATE_FAILED, "none answers at %s: %s", at, why.reply.text);
	}
}

static void check_worker(struct health *h)
{
	struct upstream_settings settings = { .tls = UPSTREAM_TLS_NONE, .hostname = h->cfg.hostname };
	const struct talk_options options = { .ctx = NULL };
	char at[ENDPOINT_TEXT_MAX];
	struct endpoint ep = { 0 };
	struct talk *talk;

	if (!choose(&h->cfg, &ep)) {
		note(h, CHECK_WORKER, STATE_SKIPPED,
		     "no listener takes SMTP in the clear from this machine: give one a unix socket");
		return;
	}
	settings.name = endpoint_format(&ep, at);
	settings.remote = ep;
	transmit_default_timeouts(&settings);
	settings.connect_timeout_ms = settings.greeting_timeout_ms = settings.command_timeout_ms =
		h->timeout_ms;
	talk = talk_new(&settings, &options);
	converse(h, talk, at);
	talk_free(talk);
}

/* ---- the spool ------------------------------------------------------------------------------ */

static void check_spool(struct health *h)
{
	uint64_t free_bytes;
	struct statvfs fs;

	if (!h->spools) {
		note(h, CHECK_SPOOL, STATE_OK, "handler %s has none", h->cfg.handler);
		return;
	}
	if (statvfs(h->spool, &fs) != 0) {
		note(h, CHECK_SPOOL, errno == EACCES ? STATE_SKIPPED : STATE_FAILED, "%s: %s", h->spool,
		     strerror(errno));
		return;
	}
	free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (fs.f_flag & ST_RDONLY)
		note(h, CHECK_SPOOL, STATE_FAILED, "%s: its file system is mounted read-only", h->spool);
	else if (free_bytes < h->cfg.min_free_bytes)
		note(h, CHECK_SPOOL, STATE_FAILED, "%s: %llu MB are free, less than min_free (%llu MB)",
		     h->spool, (unsigned long long)free_bytes >> 20,
		     (unsigned long long)h->cfg.min_free_bytes >> 20);
	else if (fs.f_files > 0 && fs.f_favail == 0)
		note(h, CHECK_SPOOL, STATE_FAILED, "%s: no inode is free", h->spool);
	else
		note(h, CHECK_SPOOL, STATE_OK, "%llu MB are free", (unsigned long long)free_bytes >> 20);
}

/* ---- all -------------------------------------------------------------------------------------- */

static enum cli_status result_of(const struct health *h)
{
	bool any = false;

	for (int i = 0; i < CHECKS; i++) {
		if (h->finding[i].state == STATE_FAILED)
			return CLI_NOTHING;
		any = any || (h->finding[i].state == STATE_OK && (h->spools || i == CHECK_WORKER));
	}
	return any ? CLI_DONE : CLI_UNREACHABLE;
}

static const char *word_of(enum cli_status result)
{
	return result == CLI_DONE ? "ok" : result == CLI_NOTHING ? "failed" : "unknown";
}

static void print_json(const struct health *h, enum cli_status result)
{
	json_t *o = json_object(), *checks = json_array();

	for (int i = 0; i < CHECKS; i++) {
		json_t *one = json_object();

		json_put_key(one, "check", json_string(check_names[i]));
		json_put_key(one, "state", json_string(state_names[h->finding[i].state]));
		json_put_key(one, "text", json_text_or_null(h->finding[i].text));
		json_append_new(checks, one);
	}
	json_put_key(o, "healthy",
		     result == CLI_UNREACHABLE ? json_null() : json_boolean(result == CLI_DONE));
	json_put_key(o, "checks", checks);
	json_put(o, JSON_ONE_LINE, stdout);
	json_decref(o);
}

/* What failed stands first, and alone if there is something: the reasons, on one line. */
static void print_line(struct health *h, enum cli_status result)
{
	const char *before = ": ";
	struct buf line;

	buf_init(&line, 8192);
	buf_adds(&line, word_of(result));
	for (int i = 0; i < CHECKS; i++) {
		const struct finding *f = &h->finding[i];

		if (result == CLI_NOTHING && f->state != STATE_FAILED)
			continue;
		buf_addf(&line, "%s%s: %s", before, check_names[i],
			 f->state == STATE_SKIPPED ? "not known: " : "");
		term_escapes(&h->cli->out, f->text, &line);
		before = "; ";
	}
	puts(line.data);
	buf_release(&line);
}

static int read_options(struct cli *cli, struct health *h, bool *json)
{
	char **operands;
	int key, count;
	int64_t ms;

	while ((key = cli_option(cli)) != ARGS_END) {
		if (key == ARGS_BAD)
			return -1;
		if (key == OPT_JSON) {
			*json = true;
		} else if (num_parse_duration(cli->args.value, TIMEOUT_MAX_MS, &ms) && ms > 0) {
			h->timeout_ms = (int)ms;
		} else {
			cli->ended = cli_usage_error(cli, "--timeout %s: not a time such as 5s or 1m",
						     cli->args.value);
			return -1;
		}
	}
	operands = args_operands(&cli->args, &count);
	if (count == 0)
		return 0;
	cli->ended = cli_usage_error(cli, "%s: it takes no argument", operands[0]);
	return -1;
}

enum cli_status verb_health(struct cli *cli)
{
	struct health h = { .cli = cli, .timeout_ms = TIMEOUT_MS };
	enum cli_status result;
	bool json = false;
	char *spoolless;
	struct err e;

	if (read_options(cli, &h, &json) < 0)
		return cli->ended;
	if (settings_config(cli->config_file, &h.cfg, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	spoolless = cli_spoolless(cli);
	h.spools = !spoolless;
	if (h.spools && cli_spool_path(cli, &h.spool) < 0) {
		config_release(&h.cfg);
		return CLI_UNREACHABLE;
	}
	check_relay(&h);
	check_spool(&h);
	check_worker(&h); /* behind the spool: what the worker says of it counts more */
	result = result_of(&h);
	if (json)
		print_json(&h, result);
	else
		print_line(&h, result);
	free(spoolless);
	free(h.spool);
	config_release(&h.cfg);
	return cli_finish_output(result);
}
