/* SPDX-License-Identifier: ISC */
/* See tally.h. A balanced tree: keys are strangers' text, and they could choose them to collide in a table. */
#include "cli/tally.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/num.h"

#define MINUTE_MS 60000
#define LIMIT_MAX_MS (INT64_C(1000) * 365 * 24 * 3600 * 1000)

void tally_init(struct tally *t, int64_t now_wall_us)
{
	memset(t, 0, sizeof(*t));
	t->now_wall_us = now_wall_us;
	t->keys_max = TALLY_KEYS_MAX;
	for (int64_t minutes = 5; minutes <= 1280; minutes *= 2)
		t->limit_ms[t->buckets++] = minutes * MINUTE_MS;
	t->limit_ms[t->buckets++] = CLOCK_NEVER;
}

bool tally_limits(struct tally *t, const char *text)
{
	size_t count = 0;

	for (;;) {
		size_t len = strcspn(text, ",");
		char one[32];
		int64_t ms;

		if (len == 0 || len >= sizeof(one) || count == TALLY_BUCKETS_MAX - 1)
			return false;
		memcpy(one, text, len);
		one[len] = '\0';
		if (!num_parse_duration(one, LIMIT_MAX_MS, &ms) || ms <= (count ? t->limit_ms[count - 1] : 0))
			return false;
		t->limit_ms[count++] = ms;
		if (text[len] == '\0')
			break;
		text += len + 1;
	}
	t->limit_ms[count++] = CLOCK_NEVER;
	t->buckets = count;
	return true;
}

static void row_free(void *row)
{
	free(((struct tally_row *)row)->key);
	free(row);
}

void tally_release(struct tally *t)
{
	tdestroy(t->tree, row_free);
	memset(t, 0, sizeof(*t));
}

size_t tally_bucket(const struct tally *t, int64_t age_ms)
{
	size_t i = 0;

	while (i + 1 < t->buckets && age_ms >= t->limit_ms[i])
		i++;
	return i;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(((const struct tally_row *)a)->key, ((const struct tally_row *)b)->key);
}

static struct tally_row *row_of(struct tally *t, const char *key)
{
	struct tally_row *row, wanted = { .key = (char *)key };
	struct tally_row *const *found = tfind(&wanted, &t->tree, compare_keys);

	if (found)
		return *found;
	if (t->keys >= t->keys_max)
		return &t->others;
	row = mem_alloc(sizeof(*row));
	row->key = mem_strdup(key);
	if (!tsearch(row, &t->tree, compare_keys))
		abort(); /* out of memory, as in base/alloc.c */
	t->keys++;
	return row;
}

static void count(const struct tally *t, struct tally_row *row, const struct tally_message *m)
{
	if (row->last_message == t->message)
		return;
	row->last_message = t->message;
	row->messages++;
	row->bytes += m->bytes;
	row->age[tally_bucket(t, (t->now_wall_us - m->arrived_wall_us) / 1000)]++;
	if (row->oldest_wall_us == 0 || m->arrived_wall_us < row->oldest_wall_us)
		row->oldest_wall_us = m->arrived_wall_us;
}

void tally_begin(struct tally *t, const struct tally_message *m)
{
	t->message++;
	count(t, &t->total, m);
}

void tally_add(struct tally *t, const struct tally_message *m, const char *key, uint64_t rcpts)
{
	struct tally_row *row = row_of(t, key);

	count(t, row, m);
	row->rcpts += rcpts;
	t->total.rcpts += rcpts;
}

struct walk {
	struct tally_row **row;
	size_t count;
};

static void collect(const void *node, VISIT visit, void *ctx)
{
	struct walk *w = ctx;

	if (visit == postorder || visit == leaf)
		w->row[w->count++] = *(struct tally_row *const *)node;
}

static int compare_rows(const void *a, const void *b)
{
	const struct tally_row *x = *(struct tally_row *const *)a, *y = *(struct tally_row *const *)b;

	if (x->messages != y->messages)
		return x->messages < y->messages ? 1 : -1;
	return strcmp(x->key, y->key);
}

struct tally_row **tally_sorted(const struct tally *t)
{
	struct walk w = { .row = mem_array(t->keys + 1, sizeof(*w.row)) };

	twalk_r(t->tree, collect, &w);
	qsort(w.row, w.count, sizeof(*w.row), compare_rows);
	return w.row;
}
