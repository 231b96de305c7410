/* SPDX-License-Identifier: ISC */
/* See status_print.h. */
#include "cli/status_print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "cli/json.h"
#include "cli/status_mailman.h"
#include "cli/style.h"
#include "cli/table.h"

#define TEXT_MAX 4096
#define LIST_MAX 2000 /* upstreams, addresses of one, workers that are shown */
#define OLD_MS (INT64_C(3600) * 1000)

struct printer {
	const json_t *status;
	const struct term *term;
	enum status_sort sort;
	int64_t now_wall_us;
	FILE *out;
};

const char *status_sort_name(enum status_sort sort)
{
	static const char *const names[STATUS_SORT_COUNT] = { "name", "waiting", "busy" };

	return names[sort];
}

/* ---- lines ----------------------------------------------------------------------- */

static void put_line(const struct printer *p, const char *label, const struct buf *text)
{
	struct buf line, cut;

	buf_init(&line, 4 * TEXT_MAX);
	buf_init(&cut, 4 * TEXT_MAX);
	buf_addf(&line, "%-13s", label);
	buf_adds(&line, text->data);
	term_cut(p->term, line.data, p->term->width, &cut);
	fprintf(p->out, "%s\n", cut.data);
	buf_release(&line);
	buf_release(&cut);
}

static void add_text(const struct printer *p, const char *text, struct buf *out)
{
	term_escapes(p->term, text ? text : "?", out);
}

static void add_count(const struct printer *p, struct buf *out, int64_t n, const char *what,
		      enum term_style style)
{
	char text[64];

	snprintf(text, sizeof(text), "%" PRId64 " %s", n, what);
	if (out->len > 0)
		buf_adds(out, ", ");
	term_paint(p->term, n > 0 ? style : TERM_PLAIN, text, out);
}

static void put_head(const struct printer *p)
{
	int64_t started = json_get_time_us(p->status, "started");
	const char *spool = json_get_text(p->status, "spool"), *handler = json_get_text(p->status, "handler");
	char up[16];
	struct buf text;

	buf_init(&text, TEXT_MAX);
	if (handler) { /* without a spool */
		buf_addf(&text,
			 "handler \"%s\" has no relay that could be asked, and takes nothing from the spool: "
			 "posthouse doctor",
			 handler);
	} else if (json_is_false(json_object_get(p->status, "running"))) {
		term_paint(p->term, TERM_BAD, "does not run", &text);
	} else {
		term_paint(p->term, TERM_GOOD, "runs", &text);
		buf_adds(&text, ", version ");
		add_text(p, json_get_text(p->status, "version"), &text);
		if (json_get_int(p->status, "master_pid", 0) > 0)
			buf_addf(&text, ", pid %" PRId64, json_get_int(p->status, "master_pid", 0));
		if (started > 0)
			buf_addf(&text, ", for %s", term_age(started, p->now_wall_us, up, sizeof(up)));
		if (json_get_text(p->status, "hostname")) {
			buf_adds(&text, ", as ");
			add_text(p, json_get_text(p->status, "hostname"), &text);
		}
	}
	put_line(p, "Daemon", &text);
	buf_clear(&text);
	if (spool) {
		add_text(p, spool, &text);
		put_line(p, "Spool", &text);
	}
	buf_release(&text);
}

static void put_queue(const struct printer *p)
{
	static const struct {
		const char *key, *word;
		enum term_style style;
		bool always;
	} rows[] = {
		{ "messages", "messages", TERM_STRONG, true }, { "waiting", "waiting", TERM_PLAIN, true },
		{ "due", "of them due", TERM_PLAIN, true },    { "in_flight", "in flight", TERM_GOOD, false },
		{ "held", "held", TERM_WARN, false },	       { "failed", "failed", TERM_BAD, false },
		{ "unsaved", "not saved yet: the disk refuses", TERM_BAD, false },
	};
	const json_t *queue = json_object_get(p->status, "queue");
	int64_t oldest = json_get_time_us(queue, "oldest_arrived"), n;
	int64_t age_ms = (p->now_wall_us - oldest) / 1000;
	char age[16];
	struct buf text;

	buf_init(&text, TEXT_MAX);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		n = json_get_int(queue, rows[i].key, 0);
		if (rows[i].always || n > 0)
			add_count(p, &text, n, rows[i].word, rows[i].style);
	}
	if (oldest > 0) {
		buf_adds(&text, ", the oldest ");
		term_paint(p->term, age_ms > OLD_MS ? TERM_WARN : TERM_PLAIN,
			   num_format_age(age_ms, age, sizeof(age)), &text);
	}
	put_line(p, "Queue", &text);
	buf_release(&text);
}

static void put_rates(const struct printer *p)
{
	static const char *const names[] = { "queued", "delivered", "deferred",
					     "failed", "expired",   "uncertain" };
	const json_t *rates = json_object_get(p->status, "rates");

	if (!json_is_object(rates))
		return;
	for (unsigned total = 0; total < 2; total++) {
		struct buf text;

		buf_init(&text, TEXT_MAX);
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			const json_t *one = json_object_get(rates, names[i]);

			add_count(p, &text, json_get_int(one, total ? "total" : "minute", 0), names[i],
				  total ? TERM_PLAIN : style_of_word(names[i]));
		}
		put_line(p, total ? "Since start" : "In a minute", &text);
		buf_release(&text);
	}
}

static void put_mailman(const struct printer *p)
{
	struct buf text;

	buf_init(&text, TEXT_MAX);
	status_add_mailman(p->term, json_object_get(p->status, "mailman"), p->now_wall_us, &text);
	if (text.len > 0)
		put_line(p, "Mailman", &text);
	buf_release(&text);
}

static void add_suspension(const struct printer *p, const json_t *one, struct buf *out)
{
	int64_t since = json_get_time_us(one, "since"), until = json_get_time_us(one, "until");
	const char *by = json_get_text(one, "by"), *reason = json_get_text(one, "reason");
	char text[32];

	if (since > 0)
		buf_addf(out, ", since %s", term_age(since, p->now_wall_us, text, sizeof(text)));
	if (by) {
		buf_adds(out, ", by ");
		add_text(p, by, out);
	}
	buf_addf(out, ", %s", until > 0 ? "ends " : "until it is resumed");
	if (until > 0)
		buf_adds(out, term_until(until, p->now_wall_us, text, sizeof(text)));
	if (reason) {
		buf_adds(out, ": ");
		add_text(p, reason, out);
	}
}

static void put_suspension(const struct printer *p, const json_t *one, const char *upstream)
{
	struct buf text, name;

	if (!json_is_object(one))
		return;
	buf_init(&text, TEXT_MAX);
	buf_init(&name, TEXT_MAX);
	if (upstream) {
		buf_adds(&name, "upstream ");
		add_text(p, upstream, &name);
	} else {
		buf_adds(&name, "all deliveries");
	}
	term_paint(p->term, TERM_WARN, name.data, &text);
	add_suspension(p, one, &text);
	put_line(p, "Suspended", &text);
	buf_release(&text);
	buf_release(&name);
}

/* What an upstream has is that of all deliveries where it has none of its own. */
static void put_own_suspension(const struct printer *p, const json_t *upstream)
{
	const json_t *own = json_object_get(upstream, "suspension"),
		     *of_all = json_object_get(p->status, "suspended");

	if (!json_is_object(of_all) || !json_equal(own, of_all))
		put_suspension(p, own, json_get_text(upstream, "name"));
}

static void put_suspensions(const struct printer *p)
{
	const char *error = json_get_text(p->status, "suspensions_error");
	const json_t *one;
	struct buf text;
	size_t i;

	put_suspension(p, json_object_get(p->status, "suspended"), NULL);
	json_array_foreach(json_get_array(p->status, "suspensions"), i, one)
		if (i < LIST_MAX)
			put_suspension(p, one, json_get_text(one, "upstream"));
	json_array_foreach(json_get_array(p->status, "upstreams"), i, one)
		if (i < LIST_MAX)
			put_own_suspension(p, one);
	if (!error)
		return;
	buf_init(&text, TEXT_MAX);
	add_text(p, error, &text);
	put_line(p, "Suspended", &text);
	buf_release(&text);
}

/* {"master":PID,"relay":PID,"workers":N,"workers_idle":N ...} */
static void add_process_counts(const json_t *counts, struct buf *out)
{
	static const struct {
		const char *key, *before, *behind;
	} rows[] = {
		{ "master", "master ", "" },	     { "relay", "relay ", "" },
		{ "workers", "", " workers" },	     { "workers_busy", "", " busy" },
		{ "workers_idle", "", " idle" },     { "workers_starting", "", " starting" },
		{ "workers_leaving", "", " leaving" },
	};

	const json_t *keys = json_object_get(counts, "keys");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t n = json_get_int(counts, rows[i].key, 0);

		if (n != 0)
			buf_addf(out, "%s%s%" PRId64 "%s", out->len > 0 ? ", " : "", rows[i].before, n,
				 rows[i].behind);
	}
	if (json_is_boolean(keys))
		buf_addf(out, "%skeys %s", out->len > 0 ? ", " : "",
			 json_is_true(keys) ? "ready" : "missing: TLS waits for them");
}

static void put_processes(const struct printer *p)
{
	const json_t *one;
	struct buf text;
	size_t i;

	buf_init(&text, TEXT_MAX);
	if (json_is_object(json_object_get(p->status, "processes")))
		add_process_counts(json_object_get(p->status, "processes"), &text);
	json_array_foreach(json_get_array(p->status, "processes"), i, one) {
		if (i >= LIST_MAX)
			break;
		if (text.len > 0)
			buf_adds(&text, ", ");
		add_text(p, json_get_text(one, "role"), &text);
		buf_addf(&text, " %" PRId64, json_get_int(one, "pid", 0));
	}
	if (text.len > 0)
		put_line(p, "Processes", &text);
	buf_release(&text);
}

/* ---- upstreams -------------------------------------------------------------------- */

enum { UP_NAME, UP_STATE, UP_CONN, UP_FLIGHT, UP_DUE, UP_WAITING, UP_RATE, UP_LAST, UP_TROUBLE, UP_COUNT };

static const struct table_column upstream_columns[UP_COUNT] = {
	[UP_NAME] = { "UPSTREAM", TABLE_LEFT, 8 },  [UP_STATE] = { "STATE", TABLE_LEFT, 0 },
	[UP_CONN] = { "CONN", TABLE_RIGHT, 0 },	    [UP_FLIGHT] = { "SENDING", TABLE_RIGHT, 0 },
	[UP_DUE] = { "DUE", TABLE_RIGHT, 0 },	    [UP_WAITING] = { "WAITING", TABLE_RIGHT, 0 },
	[UP_RATE] = { "LIMIT", TABLE_LEFT, 0 },	    [UP_LAST] = { "DELIVERED", TABLE_RIGHT, 0 },
	[UP_TROUBLE] = { "LAST TROUBLE", TABLE_LEFT, 12 },
};

/* The members of an array, sorted; *count of them, at most LIST_MAX. The caller's. */
static const json_t **sorted(const json_t *array, int (*compare)(const void *, const void *), size_t *count)
{
	const json_t **all;

	*count = json_array_size(array) < LIST_MAX ? json_array_size(array) : LIST_MAX;
	all = mem_array(*count + 1, sizeof(*all));
	for (size_t i = 0; i < *count; i++)
		all[i] = json_array_get(array, i);
	if (compare)
		qsort(all, *count, sizeof(*all), compare);
	return all;
}

static int more_first(const void *a, const void *b, const char *key, const char *key2)
{
	const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
	double n = (double)json_get_int(x, key, 0) + (key2 ? (double)json_get_int(x, key2, 0) : 0);
	double m = (double)json_get_int(y, key, 0) + (key2 ? (double)json_get_int(y, key2, 0) : 0);

	return n == m ? 0 : n < m ? 1 : -1;
}

static int by_name(const void *a, const void *b)
{
	const char *x = json_get_text(*(const json_t *const *)a, "name");
	const char *y = json_get_text(*(const json_t *const *)b, "name");

	return strcmp(x ? x : "", y ? y : "");
}

static int by_waiting(const void *a, const void *b)
{
	return more_first(a, b, "waiting", "due");
}

static int by_in_flight(const void *a, const void *b)
{
	return more_first(a, b, "in_flight", "connections");
}

static void add_state(const struct printer *p, const json_t *o, struct buf *out)
{
	const char *state = json_get_text(o, "state");
	int64_t until = json_get_time_us(o, "paused_until");
	struct buf text;
	char when[32];

	buf_init(&text, TEXT_MAX);
	add_text(p, state, &text);
	term_paint(p->term, style_of_word(state ? state : ""), text.data, out);
	if (until > p->now_wall_us)
		buf_addf(out, " for %s", term_age(p->now_wall_us, until, when, sizeof(when)));
	buf_release(&text);
}

static void add_since(const struct printer *p, int64_t when_us, struct buf *out)
{
	char age[16];

	if (when_us > 0)
		buf_addf(out, "%s ago", term_age(when_us, p->now_wall_us, age, sizeof(age)));
}

/* Cells of one line of the table; buffers so that each may be painted. */
static void put_cells(struct table *t, struct buf *cell, size_t count)
{
	const char *text[TABLE_COLUMNS_MAX];

	for (size_t i = 0; i < count; i++)
		text[i] = cell[i].data;
	table_row(t, text);
	for (size_t i = 0; i < count; i++)
		buf_clear(&cell[i]);
}

static void put_number(struct buf *out, const json_t *o, const char *key)
{
	if (json_object_get(o, key))
		buf_addf(out, "%" PRId64, json_get_int(o, key, 0));
}

static void put_remote(const struct printer *p, struct table *t, const json_t *r, struct buf *cell)
{
	buf_adds(&cell[UP_NAME], "  ");
	add_text(p, json_get_text(r, "remoteaddr"), &cell[UP_NAME]);
	add_state(p, r, &cell[UP_STATE]);
	put_number(&cell[UP_CONN], r, "connections");
	if (json_get_text(r, "last_trouble")) {
		add_since(p, json_get_time_us(r, "last_trouble_at"), &cell[UP_TROUBLE]);
		if (cell[UP_TROUBLE].len > 0)
			buf_adds(&cell[UP_TROUBLE], ": ");
		add_text(p, json_get_text(r, "last_trouble"), &cell[UP_TROUBLE]);
	}
	put_cells(t, cell, UP_COUNT);
}

/* The token with which it logs in: for how long it is good, and why there is no newer one. */
static void put_token(const struct printer *p, struct table *t, const json_t *token, struct buf *cell)
{
	int64_t until_us = json_get_time_us(token, "valid_until");
	char text[48], left[16];

	if (until_us > p->now_wall_us) {
		snprintf(text, sizeof(text), "valid for %s",
			 num_format_age((until_us - p->now_wall_us) / 1000, left, sizeof(left)));
		term_paint(p->term, TERM_GOOD, text, &cell[UP_STATE]);
	} else {
		term_paint(p->term, TERM_BAD, until_us ? "over" : "none", &cell[UP_STATE]);
	}
	buf_adds(&cell[UP_NAME], "  token");
	if (json_get_text(token, "last_error")) {
		add_since(p, json_get_time_us(token, "last_error_at"), &cell[UP_TROUBLE]);
		if (cell[UP_TROUBLE].len > 0)
			buf_adds(&cell[UP_TROUBLE], ": ");
		add_text(p, json_get_text(token, "last_error"), &cell[UP_TROUBLE]);
	}
	put_cells(t, cell, UP_COUNT);
}

static void put_upstream(const struct printer *p, struct table *t, const json_t *u, struct buf *cell)
{
	const json_t *remotes = json_get_array(u, "remotes"), *slowed = json_object_get(u, "slowed");
	int64_t most = json_get_int(u, "max_connections", 0),
		now = json_get_int(u, "connections_allowed", most);

	add_text(p, json_get_text(u, "name"), &cell[UP_NAME]);
	add_state(p, u, &cell[UP_STATE]);
	buf_addf(&cell[UP_CONN], "%" PRId64 "/%" PRId64, json_get_int(u, "connections", 0), now);
	put_number(&cell[UP_FLIGHT], u, "in_flight");
	put_number(&cell[UP_DUE], u, "due");
	put_number(&cell[UP_WAITING], u, "waiting");
	if (json_get_int(u, "messages_per_minute", 0) > 0)
		buf_addf(&cell[UP_RATE], "%" PRId64 "/min", json_get_int(u, "messages_per_minute", 0));
	if (json_is_true(slowed) || json_number_value(slowed) > 0) {
		if (cell[UP_RATE].len > 0)
			buf_addc(&cell[UP_RATE], ' ');
		term_paint(p->term, TERM_WARN, "slowed", &cell[UP_RATE]);
	}
	add_since(p, json_get_time_us(u, "last_delivered"), &cell[UP_LAST]);
	if (json_get_text(u, "last_trouble"))
		add_text(p, json_get_text(u, "last_trouble"), &cell[UP_TROUBLE]);
	put_cells(t, cell, UP_COUNT);
	for (size_t i = 0; i < json_array_size(remotes) && i < LIST_MAX; i++)
		put_remote(p, t, json_array_get(remotes, i), cell);
	if (json_is_object(json_object_get(u, "token")))
		put_token(p, t, json_object_get(u, "token"), cell);
}

/* A table, with an empty line before it, unless there is nothing in it. */
static void put_table(const struct printer *p, const json_t *array,
		      int (*compare)(const void *, const void *), const struct table_column *columns,
		      size_t column_count,
		      void (*put_row)(const struct printer *p, struct table *t, const json_t *one,
				      struct buf *cell))
{
	struct table *t = mem_alloc(sizeof(*t));
	struct buf cell[TABLE_COLUMNS_MAX];
	const json_t **all;
	size_t count;

	all = sorted(array, compare, &count);
	for (size_t i = 0; i < column_count; i++)
		buf_init(&cell[i], TEXT_MAX);
	if (count > 0)
		putc('\n', p->out);
	table_begin(t, columns, column_count, p->term, p->out);
	for (size_t i = 0; i < count; i++)
		put_row(p, t, all[i], cell);
	table_end(t);
	for (size_t i = 0; i < column_count; i++)
		buf_release(&cell[i]);
	free(t);
	free(all);
}

static void put_upstreams(const struct printer *p)
{
	static int (*const compare[STATUS_SORT_COUNT])(const void *, const void *) = { by_name, by_waiting,
										       by_in_flight };

	put_table(p, json_get_array(p->status, "upstreams"), compare[p->sort], upstream_columns, UP_COUNT,
		  put_upstream);
}

/* ---- workers ---------------------------------------------------------------------- */

enum { W_PID, W_STATE, W_SINCE, W_PEER, W_VERB, W_SESSIONS, W_ACCEPTED, W_REJECTED, W_COUNT };

static const struct table_column worker_columns[W_COUNT] = {
	[W_PID] = { "WORKER", TABLE_RIGHT, 0 },	    [W_STATE] = { "STATE", TABLE_LEFT, 0 },
	[W_SINCE] = { "SINCE", TABLE_RIGHT, 0 },    [W_PEER] = { "PEER", TABLE_LEFT, 12 },
	[W_VERB] = { "VERB", TABLE_LEFT, 0 },	    [W_SESSIONS] = { "SESSIONS", TABLE_RIGHT, 0 },
	[W_ACCEPTED] = { "ACCEPTED", TABLE_RIGHT, 0 }, [W_REJECTED] = { "REJECTED", TABLE_RIGHT, 0 },
};

static int by_pid(const void *a, const void *b)
{
	return -more_first(a, b, "pid", NULL);
}

static int busy_first(const void *a, const void *b)
{
	const char *x = json_get_text(*(const json_t *const *)a, "state");
	const char *y = json_get_text(*(const json_t *const *)b, "state");
	bool busy_x = x && strcmp(x, "busy") == 0, busy_y = y && strcmp(y, "busy") == 0;

	return busy_x != busy_y ? (busy_x ? -1 : 1) : by_pid(a, b);
}

static void put_worker(const struct printer *p, struct table *t, const json_t *w, struct buf *cell)
{
	int64_t since = json_get_time_us(w, "since");
	char age[16];

	put_number(&cell[W_PID], w, "pid");
	add_state(p, w, &cell[W_STATE]);
	if (since > 0)
		buf_adds(&cell[W_SINCE], term_age(since, p->now_wall_us, age, sizeof(age)));
	if (json_get_text(w, "peer"))
		add_text(p, json_get_text(w, "peer"), &cell[W_PEER]);
	if (json_get_text(w, "verb"))
		add_text(p, json_get_text(w, "verb"), &cell[W_VERB]);
	put_number(&cell[W_SESSIONS], w, "sessions");
	put_number(&cell[W_ACCEPTED], w, "accepted");
	put_number(&cell[W_REJECTED], w, "rejected");
	put_cells(t, cell, W_COUNT);
}

static void put_workers(const struct printer *p)
{
	put_table(p, json_get_array(p->status, "workers"), p->sort == STATUS_SORT_NAME ? by_pid : busy_first,
		  worker_columns, W_COUNT, put_worker);
}

void status_print(const json_t *status, const struct term *term, enum status_sort sort, int64_t now_wall_us,
		  FILE *out)
{
	struct printer p = { status, term, sort, now_wall_us, out };

	put_head(&p);
	put_queue(&p);
	put_rates(&p);
	put_mailman(&p);
	put_suspensions(&p);
	put_processes(&p);
	put_upstreams(&p);
	put_workers(&p);
}
