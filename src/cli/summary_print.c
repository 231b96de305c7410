/* SPDX-License-Identifier: ISC */
/* See summary_print.h. */
#include "cli/summary_print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/json.h"
#include "cli/style.h"
#include "cli/table.h"

static const char *const by_names[SUMMARY_BY_COUNT] = {
	[SUMMARY_DOMAIN] = "domain",
	[SUMMARY_SENDER] = "sender",
	[SUMMARY_SENDER_DOMAIN] = "sender-domain",
	[SUMMARY_UPSTREAM] = "upstream",
	[SUMMARY_REASON] = "reason",
};

static const char *const titles[SUMMARY_BY_COUNT] = {
	[SUMMARY_DOMAIN] = "DOMAIN",     [SUMMARY_SENDER] = "SENDER", [SUMMARY_SENDER_DOMAIN] = "SENDER DOMAIN",
	[SUMMARY_UPSTREAM] = "UPSTREAM", [SUMMARY_REASON] = "REASON",
};

int summary_by_find(const char *name, enum summary_by *out)
{
	for (unsigned i = 0; i < SUMMARY_BY_COUNT; i++) {
		if (strcmp(name, by_names[i]) != 0)
			continue;
		*out = (enum summary_by)i;
		return 0;
	}
	return -1;
}

void summary_bar(const struct term *term, uint64_t part, uint64_t whole, size_t columns, struct buf *out)
{
	/* U+258F (one eighth) down to U+2588 (all of it) differ in the last octet */
	uint64_t steps = term->utf8 ? 8 : 1;
	uint64_t n = whole > 0 ? (uint64_t)((double)part / (double)whole * (double)(columns * steps) + 0.5) : 0;

	if (n == 0 && part > 0 && columns > 0)
		n = 1;
	for (; n >= steps && n > 0; n -= steps)
		buf_adds(out, term->utf8 ? "\xe2\x96\x88" : "#");
	if (n > 0)
		buf_addf(out, "\xe2\x96%c", (int)(0x90 - n));
}

/* ---- the table ------------------------------------------------------------------ */

enum { COL_KEY, COL_MESSAGES, COL_RCPTS, COL_SIZE, COL_OLDEST, COL_FIRST_AGE };
#define COL_MAX (COL_FIRST_AGE + TALLY_BUCKETS_MAX + 1)
#define KEY_LEAST 16 /* columns the key is cut to */
#define NUMBER_COLUMNS 6 /* of most, with the gap */
#define FIXED_COLUMNS (KEY_LEAST + 4 * 8)
#define BAR_LEAST 8
#define BAR_MOST 40
#define BAR_WITHOUT_LIMIT 20
#define CELL_MAX 4096

struct printer {
	const struct tally *tally;
	const struct term *term;
	size_t columns; /* of ages that are shown */
	size_t merge; /* so many buckets are one column */
	size_t bar;
	uint64_t most; /* messages of the largest row */
	struct table_column column[COL_MAX];
	char title[TALLY_BUCKETS_MAX][24];
	struct table table;
};

/* Where the buckets do not fit beside each other, neighbours are added up. */
static void choose_columns(struct printer *p)
{
	size_t width = p->term->width, left;

	p->merge = 1;
	p->columns = p->tally->buckets;
	while (width != TERM_NO_LIMIT && p->columns > 2 &&
	       FIXED_COLUMNS + p->columns * NUMBER_COLUMNS + BAR_LEAST > width) {
		p->merge *= 2;
		p->columns = (p->tally->buckets + p->merge - 1) / p->merge;
	}
	left = FIXED_COLUMNS + p->columns * NUMBER_COLUMNS;
	p->bar = width == TERM_NO_LIMIT ? BAR_WITHOUT_LIMIT : width > left ? (width - left) / 2 : BAR_LEAST;
	p->bar = p->bar < BAR_LEAST ? BAR_LEAST : p->bar > BAR_MOST ? BAR_MOST : p->bar;
}

static size_t last_bucket(const struct printer *p, size_t column)
{
	size_t last = (column + 1) * p->merge - 1;

	return last < p->tally->buckets ? last : p->tally->buckets - 1;
}

/* "5m", "1280m", "1w": whole units; "more" for the last. */
static void age_title(int64_t limit_ms, char *out, size_t cap)
{
	static const struct {
		int64_t ms;
		char unit;
	} units[] = { { INT64_C(7) * 86400000, 'w' }, { 86400000, 'd' }, { 3600000, 'h' }, { 60000, 'm' }, { 1000, 's' } };

	if (limit_ms == CLOCK_NEVER) {
		snprintf(out, cap, "more");
		return;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (limit_ms % units[i].ms != 0)
			continue;
		snprintf(out, cap, "<%" PRId64 "%c", limit_ms / units[i].ms, units[i].unit);
		return;
	}
	snprintf(out, cap, "<%" PRId64 "ms", limit_ms);
}

static void begin_table(struct printer *p, enum summary_by by, FILE *out)
{
	size_t n = COL_FIRST_AGE;

	p->column[COL_KEY] = (struct table_column){ titles[by], TABLE_LEFT, KEY_LEAST };
	p->column[COL_MESSAGES] = (struct table_column){ "MSGS", TABLE_RIGHT, 0 };
	p->column[COL_RCPTS] = (struct table_column){ "RCPTS", TABLE_RIGHT, 0 };
	p->column[COL_SIZE] = (struct table_column){ "SIZE", TABLE_RIGHT, 0 };
	p->column[COL_OLDEST] = (struct table_column){ "OLDEST", TABLE_RIGHT, 0 };
	for (size_t i = 0; i < p->columns; i++) {
		age_title(p->tally->limit_ms[last_bucket(p, i)], p->title[i], sizeof(p->title[i]));
		p->column[n++] = (struct table_column){ p->title[i], TABLE_RIGHT, 0 };
	}
	p->column[n++] = (struct table_column){ "", TABLE_LEFT, 0 };
	table_begin(&p->table, p->column, n, p->term, out);
}

static void put_row(struct printer *p, const char *key, const struct tally_row *row, bool with_bar)
{
	char messages[24], rcpts[24], size[16], oldest[16], age[TALLY_BUCKETS_MAX][24];
	const char *cell[COL_MAX] = { [COL_MESSAGES] = messages, [COL_RCPTS] = rcpts, [COL_SIZE] = size };
	int64_t oldest_ms = (p->tally->now_wall_us - row->oldest_wall_us) / 1000;
	struct buf name, bar, old;

	buf_init(&name, CELL_MAX);
	buf_init(&bar, CELL_MAX);
	buf_init(&old, CELL_MAX);
	term_escapes(p->term, key, &name);
	snprintf(messages, sizeof(messages), "%" PRIu64, row->messages);
	snprintf(rcpts, sizeof(rcpts), "%" PRIu64, row->rcpts);
	num_format_size(row->bytes, size, sizeof(size));
	if (row->messages > 0)
		term_paint(p->term, style_of_age(oldest_ms),
			   num_format_age(oldest_ms, oldest, sizeof(oldest)), &old);
	for (size_t i = 0; i < p->columns; i++) {
		uint64_t n = 0;

		for (size_t b = i * p->merge; b <= last_bucket(p, i); b++)
			n += row->age[b];
		snprintf(age[i], sizeof(age[i]), "%" PRIu64, n);
		cell[COL_FIRST_AGE + i] = n > 0 ? age[i] : ".";
	}
	if (with_bar)
		summary_bar(p->term, row->messages, p->most, p->bar, &bar);
	cell[COL_KEY] = name.data;
	cell[COL_OLDEST] = old.data;
	cell[COL_FIRST_AGE + p->columns] = bar.data;
	table_row(&p->table, cell);
	buf_release(&name);
	buf_release(&bar);
	buf_release(&old);
}

static void add_row(struct tally_row *sum, const struct tally_row *row)
{
	sum->messages += row->messages;
	sum->rcpts += row->rcpts;
	sum->bytes += row->bytes;
	for (size_t i = 0; i < TALLY_BUCKETS_MAX; i++)
		sum->age[i] += row->age[i];
	if (row->oldest_wall_us && (sum->oldest_wall_us == 0 || row->oldest_wall_us < sum->oldest_wall_us))
		sum->oldest_wall_us = row->oldest_wall_us;
}

static void print_table(const struct tally *t, enum summary_by by, size_t shown, struct tally_row *const *row,
			const struct term *term, FILE *out)
{
	struct printer p = { .tally = t, .term = term, .most = shown > 0 ? row[0]->messages : 0 };
	struct tally_row rest = t->others;
	char name[64];

	if (t->total.messages == 0) {
		fputs("Nothing waits.\n", out);
		return;
	}
	choose_columns(&p);
	begin_table(&p, by, out);
	put_row(&p, "TOTAL", &t->total, false);
	for (size_t i = 0; i < shown; i++)
		put_row(&p, row[i]->key, row[i], true);
	for (size_t i = shown; i < t->keys; i++)
		add_row(&rest, row[i]);
	if (rest.messages > 0) {
		if (t->others.messages > 0)
			snprintf(name, sizeof(name), "(others)");
		else
			snprintf(name, sizeof(name), "(%zu more)", t->keys - shown);
		put_row(&p, name, &rest, false);
	}
	table_end(&p.table);
}

/* ---- for programs ---------------------------------------------------------------- */

static void put_json(const struct tally *t, enum summary_by by, const char *kind, const struct tally_row *row,
		     FILE *out)
{
	json_t *o = json_object(), *ages = json_array();

	json_put_key(o, "by", json_string(by_names[by]));
	json_put_key(o, "row", json_string(kind));
	json_put_key(o, "key", row->key ? json_text(row->key, strlen(row->key)) : json_null());
	json_put_key(o, "messages", json_integer((json_int_t)row->messages));
	json_put_key(o, "recipients", json_integer((json_int_t)row->rcpts));
	json_put_key(o, "bytes", json_integer((json_int_t)row->bytes));
	json_put_key(o, "oldest", row->oldest_wall_us ? json_integer(row->oldest_wall_us / 1000000) : json_null());
	for (size_t i = 0; i < t->buckets; i++) {
		json_t *age = json_object();

		json_put_key(age, "below", t->limit_ms[i] == CLOCK_NEVER ? json_null()
									  : json_real((double)t->limit_ms[i] / 1000));
		json_put_key(age, "messages", json_integer((json_int_t)row->age[i]));
		json_append_new(ages, age);
	}
	json_put_key(o, "ages", ages);
	json_put(o, JSON_ONE_LINE, out);
	json_decref(o);
}

void summary_print(const struct tally *t, enum summary_by by, const struct summary_look *look,
		   const struct term *term, FILE *out)
{
	struct tally_row **row = tally_sorted(t);
	size_t shown = look->top == 0 || (look->json && !look->top_given) || look->top > t->keys ? t->keys : look->top;

	if (look->json) {
		put_json(t, by, "total", &t->total, out);
		for (size_t i = 0; i < shown; i++)
			put_json(t, by, "key", row[i], out);
		if (t->others.messages > 0)
			put_json(t, by, "others", &t->others, out);
	} else {
		print_table(t, by, shown, row, term, out);
	}
	free(row);
}
