/* SPDX-License-Identifier: ISC */
/* See send_load.h: the figures as a person and as a program reads them. */
#include <stdio.h>
#include <unistd.h>

#include "base/num.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/send_load.h"
#include "cli/term.h"

static const double percents[] = { 50, 90, 99 };
static const char *const percent_names[] = { "p50", "p90", "p99" };
#define PERCENTS (sizeof(percents) / sizeof(percents[0]))

struct phase {
	const char *name;
	const struct latency *latency;
};
#define PHASES 5

static void list_phases(const struct load_figures *f, struct phase phases[PHASES])
{
	const struct phase all[PHASES] = { { "connect", &f->connect },
					   { "envelope", &f->envelope },
					   { "content", &f->content },
					   { "transaction", &f->transaction },
					   { "behind", &f->behind } };

	for (size_t i = 0; i < PHASES; i++)
		phases[i] = all[i];
}

const char *send_load_time(uint64_t us, char out[LOAD_TIME_MAX])
{
	double value = (double)us / (us < 999500 ? 1e3 : 1e6);
	const char *unit = us < 999500 ? "ms" : "s";
	int digits = value < 0.9995 ? 3 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;

	snprintf(out, LOAD_TIME_MAX, "%.*f %s", digits, value, unit);
	return out;
}

static double per_second(uint64_t n, const struct load_figures *f)
{
	return f->elapsed_us > 0 ? (double)n * 1e6 / (double)f->elapsed_us : 0;
}

/* ---- for people ------------------------------------------------------------------- */

static void print_sum(const struct load_figures *f, const struct load *l)
{
	char count[COUNT_TEXT_MAX], of[COUNT_TEXT_MAX], rate[COUNT_TEXT_MAX], made[COUNT_TEXT_MAX];
	char took[LOAD_TIME_MAX], size[16];
	uint64_t left = l->total - f->accepted - f->failed;

	printf("%s of %s message%s accepted in %s: %s/s, %s/s; %zu connection%s at a time, %s in all\n",
	       count_text(f->accepted, count), count_text(l->total, of), l->total == 1 ? "" : "s",
	       send_load_time((uint64_t)f->elapsed_us, took),
	       count_text((uint64_t)(per_second(f->accepted, f) + 0.5), rate),
	       num_format_size((uint64_t)per_second(f->content_bytes, f), size, sizeof(size)), l->connections,
	       l->connections == 1 ? "" : "s", count_text(f->connections, made));
	if (left > 0)
		printf("%s: %s not sent%s.\n",
		       f->interrupted ? "Interrupted" : "Given up, as no connection could be made",
		       count_text(left, count), f->unfinished > 0 ? ", the last ones perhaps received" : "");
}

static void print_times(const struct load_figures *f)
{
	struct phase phases[PHASES];
	char text[LOAD_TIME_MAX];

	if (f->connect.count == 0)
		return;
	list_phases(f, phases);
	printf("\n%-11s", "");
	for (size_t i = 0; i < PERCENTS; i++)
		printf(" %9s", percent_names[i]);
	printf(" %9s\n", "max");
	for (size_t i = 0; i < PHASES; i++) {
		if (phases[i].latency->count == 0)
			continue;
		printf("%-11s", phases[i].name);
		for (size_t k = 0; k < PERCENTS; k++)
			printf(" %9s",
			       send_load_time(latency_percentile_us(phases[i].latency, percents[k]), text));
		printf(" %9s\n", send_load_time(phases[i].latency->max_us, text));
	}
}

static void reply_text(const struct smtp_reply *reply, struct buf *out)
{
	struct buf text;
	struct term term;

	term_init(&term, STDOUT_FILENO);
	buf_init(&text, 4096);
	if (reply->code != 0)
		smtp_reply_oneline(reply, &text);
	else
		buf_adds(&text, reply->text);
	term_escapes(&term, text.data, out);
	buf_release(&text);
}

static void print_errors(const struct load_figures *f)
{
	char count[COUNT_TEXT_MAX];

	if (f->error_count > 0)
		puts("");
	for (size_t i = 0; i < f->error_count; i++) {
		struct buf text;

		buf_init(&text, 16384);
		reply_text(&f->error[i].reply, &text);
		printf("%9s  %s: %s\n", count_text(f->error[i].count, count),
		       upstream_phase_name(f->error[i].phase), text.data);
		buf_release(&text);
	}
	if (f->other_errors > 0)
		printf("%9s  others\n", count_text(f->other_errors, count));
}

/* ---- for programs ------------------------------------------------------------------- */

static json_t *times_object(const struct latency *l)
{
	json_t *o = json_object();

	for (size_t i = 0; i < PERCENTS; i++)
		json_put_key(o, percent_names[i],
			     json_integer((json_int_t)latency_percentile_us(l, percents[i])));
	json_put_key(o, "max", json_integer((json_int_t)l->max_us));
	json_put_key(o, "mean", json_integer(l->count ? (json_int_t)(l->sum_us / l->count) : 0));
	json_put_key(o, "count", json_integer((json_int_t)l->count));
	return o;
}

static json_t *error_object(const struct load_error *e)
{
	json_t *o = json_object();

	json_put_key(o, "count", json_integer((json_int_t)e->count));
	json_put_key(o, "phase", json_string(upstream_phase_name(e->phase)));
	json_put_key(o, "code", e->reply.code ? json_integer(e->reply.code) : json_null());
	json_put_key(o, "enhanced", e->reply.enhanced[0] ? json_string(e->reply.enhanced) : json_null());
	json_put_key(o, "text", json_text_or_null(e->reply.text));
	return o;
}

static void print_json(const struct load_figures *f, const struct load *l)
{
	const struct {
		const char *name;
		uint64_t value;
	} counts[] = {
		{ "messages", l->total },
		{ "accepted", f->accepted },
		{ "failed", f->failed },
		{ "not_sent", l->total - f->accepted - f->failed },
		{ "uncertain", f->unfinished },
		{ "recipients_refused", f->rcpt_refused },
		{ "content_size", f->content_bytes },
		{ "connections", l->connections },
		{ "connections_made", f->connections },
		{ "connections_failed", f->connections_failed },
	};
	json_t *o = json_object(), *times = json_object(), *errors = json_array();
	struct phase phases[PHASES];

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		json_put_key(o, counts[i].name, json_integer((json_int_t)counts[i].value));
	json_put_key(o, "interrupted", json_boolean(f->interrupted));
	json_put_key(o, "elapsed_us", json_integer(f->elapsed_us));
	json_put_key(o, "per_second", json_integer((json_int_t)(per_second(f->accepted, f) + 0.5)));
	list_phases(f, phases);
	for (size_t i = 0; i < PHASES; i++)
		json_put_key(times, phases[i].name,
			     phases[i].latency->count ? times_object(phases[i].latency) : json_null());
	json_put_key(o, "latency_us", times);
	for (size_t i = 0; i < f->error_count; i++)
		json_array_append_new(errors, error_object(&f->error[i]));
	json_put_key(o, "errors", errors);
	json_put_key(o, "other_errors", json_integer((json_int_t)f->other_errors));
	json_put(o, JSON_ONE_LINE, stdout);
	json_decref(o);
}

void send_load_print(const struct load_figures *f, const struct load *l, bool json)
{
	if (json) {
		print_json(f, l);
		return;
	}
	print_sum(f, l);
	print_times(f);
	print_errors(f);
}

enum cli_status send_load_status(const struct load_figures *f)
{
	if (f->gave_up)
		return CLI_UNREACHABLE;
	if (f->failed == 0 && f->rcpt_refused == 0 && !f->interrupted)
		return CLI_DONE;
	return f->accepted > 0 || f->interrupted ? CLI_PARTLY : CLI_NOTHING;
}
