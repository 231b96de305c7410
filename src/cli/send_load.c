/* SPDX-License-Identifier: ISC */
/* See send_load.h: the options, the messages, the run. */
#include "cli/send_load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/progress.h"
#include "cli/send_run.h"
#include "smtp/date.h"

enum {
	OPT_REPEAT = ARGS_LONG_ONLY + 150, /* this segment has the keys up to ARGS_LONG_ONLY + 169 */
	OPT_CONNECTIONS,
	OPT_RATE,
	OPT_PER_CONNECTION,
	OPT_MESSAGE_SIZE,
	OPT_JSON
};

const struct args_option send_load_options[] = {
	{ "repeat", OPT_REPEAT, "N", "send N messages, the given ones in turn" },
	{ "connections", OPT_CONNECTIONS, "N", "so many at a time" },
	{ "rate", OPT_RATE, "N", "messages a second at most" },
	{ "per-connection", OPT_PER_CONNECTION, "N", "messages before a connection is made anew" },
	{ "message-size", OPT_MESSAGE_SIZE, "SIZE", "of the one that is made when none is given" },
	{ "json", OPT_JSON, NULL, "the figures as a JSON object" },
	ARGS_OPTIONS_END,
};

#define MESSAGES_MAX 1000 /* different ones; each is an open file */
#define COUNT_MAX UINT64_C(1000000000000)
#define RATE_MAX 10000000.0
#define SIZE_DEFAULT 4096
#define FILES_BESIDE 64 /* descriptors for all but connections and messages */

/* ---- options -------------------------------------------------------------------- */

static bool parse_rate(const char *text, double *rate)
{
	char *end;

	if (text[0] == '\0' || strspn(text, "0123456789.") != strlen(text))
		return false;
	*rate = strtod(text, &end);
	return *end == '\0' && isfinite(*rate) && *rate >= 0.001 && *rate <= RATE_MAX;
}

bool send_load_take(struct send_load *l, struct cli *cli, int key, const char *value, enum cli_status *status)
{
	uint64_t n = 0;
	bool ok = true;

	switch (key) {
	case OPT_REPEAT:
		ok = num_parse_u64(value, strlen(value), COUNT_MAX, &l->repeat) && l->repeat > 0;
		break;
	case OPT_CONNECTIONS:
		ok = num_parse_u64(value, strlen(value), LOAD_CONNECTIONS_MAX, &n) && n > 0;
		l->connections = (size_t)n;
		break;
	case OPT_RATE:
		ok = parse_rate(value, &l->rate);
		break;
	case OPT_PER_CONNECTION:
		ok = num_parse_u64(value, strlen(value), COUNT_MAX, &l->per_connection) &&
		     l->per_connection > 0;
		break;
	case OPT_MESSAGE_SIZE:
		ok = num_parse_size(value, COMPOSE_TEXT_MAX, &l->size_bytes);
		l->has_size = true;
		break;
	case OPT_JSON:
		l->json = true;
		return true;
	default:
		return false;
	}
	l->asked = true;
	if (!ok)
		*status =
			cli_usage_error(cli, "%s: not a number for this option, or out of its bounds", value);
	return true;
}

/* ---- messages ------------------------------------------------------------------------ */

struct loaded {
	struct submission *submission; /* owned, as many as there is room for */
	size_t **rcpt;
	size_t count;
};

static void release(struct loaded *d)
{
	for (size_t i = 0; i < d->count; i++) {
		submission_release(&d->submission[i]);
		free(d->rcpt[i]);
	}
	free(d->submission);
	free(d->rcpt);
}

/* The present one leaves s->message, which goes on with the next. */
static void keep(struct loaded *d, struct send_message *m)
{
	d->submission = mem_resize(d->submission, d->count + 1, sizeof(*d->submission));
	d->rcpt = mem_resize(d->rcpt, d->count + 1, sizeof(*d->rcpt));
	d->submission[d->count] = m->submission;
	d->rcpt[d->count++] = m->rcpt;
	m->rcpt = NULL;
	m->is_read = false;
}

/* A message of that size, of nothing; its Message-IDs come with each copy. */
static void make_up(struct send *s)
{
	struct send_message *m = &s->message;
	uint64_t size = s->load.has_size ? s->load.size_bytes : SIZE_DEFAULT;
	char date[SMTP_DATE_MAX];

	send_source_free(m->source);
	m->source = NULL;
	m->compose_option = "message-size";
	m->options.add_headers = false;
	for (uint64_t i = 0; i < size; i++)
		buf_addc(&m->text, i % 72 == 71 ? '\n' : (char)('a' + i % 26));
	m->compose.text = (struct compose_text){ m->text.data, m->text.len };
	m->compose.from = m->from;
	m->compose.subject = "Load";
	m->date_field = mem_printf("Date: %s", smtp_date_format(clock_wall_us(), date));
	m->compose.fields = (struct compose_list){ &m->date_field, 1 };
}

static enum cli_status load_messages(struct send *s, struct loaded *d)
{
	while (send_take_message(s)) {
		if (d->count == MESSAGES_MAX) {
			cli_error("more than %d different messages: give fewer, and --repeat", MESSAGES_MAX);
			return CLI_USAGE;
		}
		keep(d, &s->message);
		s->count++;
	}
	if (d->count > 0)
		return CLI_DONE; /* of some that cannot be sent it was said */
	return s->worst;
}

/* ---- the run ---------------------------------------------------------------------------- */

static enum cli_status allow_files(size_t wanted)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= wanted)
		return CLI_DONE;
	if (files.rlim_max < wanted) {
		cli_error("%zu files would be open at a time, and %llu may be: fewer --connections, or "
			  "ulimit -n",
			  wanted, (unsigned long long)files.rlim_max);
		return CLI_UNREACHABLE;
	}
	files.rlim_cur = wanted;
	setrlimit(RLIMIT_NOFILE, &files);
	return CLI_DONE;
}

static void on_tick(void *ctx, const struct load_figures *f)
{
	progress_at(ctx, f->accepted + f->failed);
}

static enum cli_status run_load(struct send *s, const struct loaded *d, bool made_up)
{
	struct load_message *message = mem_array(d->count, sizeof(*message));
	struct load_figures *f = mem_alloc(sizeof(*f));
	struct progress progress;
	struct load l = {
		.settings = &s->session.settings,
		.more = &s->envelope.more,
		.message = message,
		.message_count = d->count,
		.message_id_host = made_up ? s->session.hostname : NULL,
		.total = s->load.repeat ? s->load.repeat : d->count,
		.connections = s->load.connections ? s->load.connections : 1,
		.per_connection = s->load.per_connection,
		.rate = s->load.rate,
		.tick = on_tick,
		.ctx = &progress,
	};
	enum cli_status status = allow_files(l.connections + d->count + FILES_BESIDE);
	struct err e;

	for (size_t i = 0; i < d->count; i++)
		message[i] = (struct load_message){ &d->submission[i], d->rcpt[i],
						    d->submission[i].env.rcpt_count };
	if (l.connections > l.total)
		l.connections = (size_t)l.total;
	if (status == CLI_DONE) {
		progress_begin(&progress, "sending", l.total);
		if (load_run(&l, f, &e) == 0) {
			progress_clear(&progress);
			send_load_print(f, &l, s->load.json);
			status = send_load_status(f);
		} else {
			cli_error("%s", e.text);
			status = CLI_UNREACHABLE;
		}
	}
	free(message);
	free(f);
	return status;
}

enum cli_status send_as_load(struct send *s)
{
	bool made_up = !s->message.compose_option && s->message.path_count == 0;
	struct loaded d = { 0 };
	enum cli_status status;

	if (s->load.has_size && !made_up)
		return cli_usage_error(s->cli, "--message-size: there is a message already");
	if (made_up)
		make_up(s);
	send_envelope_settle(&s->envelope);
	status = load_messages(s, &d);
	if (status == CLI_DONE)
		status = run_load(s, &d, made_up);
	release(&d);
	return status;
}
