/* SPDX-License-Identifier: ISC */
/* daemon/reload.c: when files count as changed, and what becomes of what is in them. */
#include "daemon/reload.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit.h"

/* A thing in two files: good when both say the same word, which is not "bad". */
static struct thing {
	char used[20], loaded[20];
	int loads, swaps, drops;
	const char *writes_while_loading;
	bool released;
} thing;

static char folder[64], files[2][100];
static int64_t now_ms;
static struct reload *r;

static void put(int index, const char *word)
{
	char fresh[110];
	FILE *f;

	snprintf(fresh, sizeof(fresh), "%s.new", files[index]);
	f = fopen(fresh, "w");
	fputs(word, f);
	fclose(f);
	ck_assert_int_eq(rename(fresh, files[index]), 0);
}

static const char *file(void *ctx, size_t index)
{
	(void)ctx;
	return index < 2 ? files[index] : NULL;
}

static int load(void *ctx, struct err *e)
{
	char word[2][20] = { "", "" };

	(void)ctx;
	thing.loads++;
	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(files[i], "r");

		if (!f || !fgets(word[i], sizeof(word[i]), f))
			word[i][0] = '\0';
		if (f)
			fclose(f);
	}
	if (thing.writes_while_loading)
		put(1, thing.writes_while_loading);
	thing.writes_while_loading = NULL;
	if (!word[0][0] || strcmp(word[0], word[1]) != 0 || strcmp(word[0], "bad") == 0) {
		err_set(e, "it is bad");
		return -1;
	}
	ck_assert_str_eq(thing.loaded, "");
	strcpy(thing.loaded, word[0]);
	return 0;
}

static void swap(void *ctx)
{
	(void)ctx;
	thing.swaps++;
	strcpy(thing.used, thing.loaded);
	thing.loaded[0] = '\0';
}

static void drop(void *ctx)
{
	(void)ctx;
	thing.drops++;
	thing.loaded[0] = '\0';
}

static void release(void *ctx)
{
	(void)ctx;
	thing.released = true;
}

static void enter(void)
{
	strcpy(folder, "/tmp/posthouse-reload-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	for (int i = 0; i < 2; i++) {
		snprintf(files[i], sizeof(files[i]), "%s/%d", folder, i);
		put(i, "one");
	}
	clock_freeze(0, now_ms = 1000);
	memset(&thing, 0, sizeof(thing));
	r = reload_new();
	reload_add(r, &(struct reloadable){ .what = "thing", .file = file, .load = load, .swap = swap, .drop = drop,
					    .release = release });
}

static void leave(void)
{
	reload_free(r);
	ck_assert(thing.released);
	for (int i = 0; i < 2; i++)
		unlink(files[i]);
	ck_assert_int_eq(rmdir(folder), 0);
}

static void start(void)
{
	struct err e;

	ck_assert_int_eq(reload_start(r, &e), 0);
	ck_assert_str_eq(thing.used, "one");
}

/* The next look at the files. */
static bool look(void)
{
	clock_freeze(0, now_ms += 2000);
	return reload_tick(r);
}

START_TEST(a_change_counts_when_it_has_settled)
{
	start();
	ck_assert(!look() && !look());
	put(0, "two");
	ck_assert(!look());
	put(1, "two"); /* one after the other */
	ck_assert(!look());
	ck_assert_int_eq(thing.loads, 1);
	ck_assert(look());
	ck_assert_str_eq(thing.used, "two");
	ck_assert(!look() && !look());
	ck_assert_int_eq(thing.loads, 2);
}
END_TEST

START_TEST(looks_are_seconds_apart)
{
	start();
	put(0, "two");
	put(1, "two");
	for (int i = 0; i < 3; i++) {
		clock_freeze(0, now_ms += 500);
		ck_assert(!reload_tick(r));
	}
	clock_freeze(0, now_ms += 500);
	ck_assert(!reload_tick(r)); /* the first */
	clock_freeze(0, now_ms += 1999);
	ck_assert(!reload_tick(r));
	clock_freeze(0, now_ms += 1);
	ck_assert(reload_tick(r));
}
END_TEST

START_TEST(what_is_bad_is_refused_once)
{
	start();
	put(0, "bad");
	ck_assert(!look() && !look());
	ck_assert_int_eq(thing.loads, 2);
	ck_assert(!look() && !look());
	ck_assert_int_eq(thing.loads, 2);
	ck_assert_str_eq(thing.used, "one");
	unlink(files[0]); /* gone is a change, too */
	ck_assert(!look() && !look() && !look());
	ck_assert_int_eq(thing.loads, 3);
	put(0, "one");
	ck_assert(!look());
	ck_assert(look());
	ck_assert_int_eq(thing.swaps, 2);
}
END_TEST

/* Back to what it was before the second look: nothing to do. */
START_TEST(a_change_may_be_taken_back)
{
	struct stat st;
	char aside[110];

	start();
	snprintf(aside, sizeof(aside), "%s/aside", folder);
	ck_assert_int_eq(link(files[0], aside), 0); /* its ctime changes by that */
	ck_assert(!look());
	ck_assert(look());
	ck_assert_int_eq(stat(files[0], &st), 0);
	put(0, "two");
	ck_assert(!look());
	ck_assert_int_eq(rename(aside, files[0]), 0);
	ck_assert(!look());
	ck_assert(look()); /* the rename changed its ctime; it is read, and good */
	ck_assert_str_eq(thing.used, "one");
}
END_TEST

START_TEST(what_changes_while_it_is_read_is_not_used)
{
	start();
	put(0, "two");
	put(1, "two");
	thing.writes_while_loading = "xxx";
	ck_assert(!look());
	ck_assert(!look());
	ck_assert_int_eq(thing.drops, 1);
	ck_assert_str_eq(thing.used, "one");
	put(1, "two");
	ck_assert(!look());
	ck_assert(look());
	ck_assert_str_eq(thing.used, "two");
}
END_TEST

START_TEST(by_order_at_once)
{
	start();
	put(0, "two");
	put(1, "two");
	ck_assert(reload_now(r));
	ck_assert_str_eq(thing.used, "two");
	ck_assert(!look() && !look());
	ck_assert(reload_now(r)); /* without a change, too */
	put(0, "bad");
	ck_assert(!reload_now(r) && !reload_now(r));
	ck_assert_int_eq(thing.loads, 5);
	ck_assert(!look() && !look()); /* told already */
	ck_assert_int_eq(thing.loads, 5);
	ck_assert_str_eq(thing.used, "two");
}
END_TEST

static int reports;

static void report(void *ctx, const char *text)
{
	(void)ctx;
	ck_assert_str_eq(text, "it is bad");
	reports++;
}

START_TEST(a_bad_start_is_told)
{
	struct err e;

	reload_add(r, &(struct reloadable){ .what = "thing", .file = file, .load = load, .swap = swap, .drop = drop,
					    .release = release });
	ck_assert(reload_check(r, report, NULL));
	put(0, "bad");
	ck_assert_int_eq(reload_start(r, &e), -1);
	ck_assert_str_eq(e.text, "it is bad");
	ck_assert(!reload_check(r, report, NULL));
	ck_assert_int_eq(reports, 2); /* all in one run */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("reload");
	TCase *c = tcase_create("reload");
	const TTest *const tests[] = { a_change_counts_when_it_has_settled, looks_are_seconds_apart, what_is_bad_is_refused_once,
				       a_change_may_be_taken_back, what_changes_while_it_is_read_is_not_used, by_order_at_once,
				       a_bad_start_is_told };

	tcase_add_checked_fixture(c, enter, leave);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
