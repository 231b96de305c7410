/* SPDX-License-Identifier: ISC */
/* figures/: the table, counting across processes, the text in both formats. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "figures/figures.h"
#include "figures/render.h"
#include "unit.h"

static struct err e;
static struct buf text;

static void setup(void)
{
	ck_assert_msg(figures_open(&e) == 0, "%s", e.text);
	figures_names_renew();
	buf_init(&text, FIGURES_TEXT_MAX);
}

static void teardown(void)
{
	buf_release(&text);
	figures_close();
}

/* The line that begins so, up to its end; NULL: there is none. */
static const char *line(const char *begin)
{
	static char copy[512];
	const char *at = text.data;
	size_t len = strlen(begin);

	while (at && strncmp(at, begin, len) != 0) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return NULL;
	snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(at, "\n"), at);
	return copy;
}

static void render(enum figures_format format)
{
	buf_clear(&text);
	ck_assert(figures_render(&text, format, 1000 * 1000000LL, 5000));
}

static bool ends_in(const char *s, const char *end)
{
	size_t len = strlen(s), n = strlen(end);

	return len > n && strcmp(s + len - n, end) == 0;
}

START_TEST(the_table_keeps_its_own_rules)
{
	for (int i = 0; i < FIGURE_COUNT; i++) {
		const struct figure_info *f = &figure_table[i];
		const char *unit = figure_unit_name(f);

		ck_assert_msg(f->name && strncmp(f->name, "posthouse_", 10) == 0, "figure %d", i);
		for (const char *p = f->name; *p; p++)
			ck_assert_msg(islower((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '_', "%s", f->name);
		/* OpenMetrics: _total is the sample's, _info and the histogram's endings are taken */
		ck_assert_msg(!ends_in(f->name, "_total") && !ends_in(f->name, "_count") && !ends_in(f->name, "_sum") &&
			      !ends_in(f->name, "_bucket"), "%s", f->name);
		ck_assert_msg(f->help && f->help[0] && !strpbrk(f->help, "\\\"\n"), "%s", f->name);
		if (unit && !f->internal) {
			char suffix[16];

			snprintf(suffix, sizeof(suffix), "_%s", unit);
			ck_assert_msg(ends_in(f->name, suffix), "%s lacks its unit, %s", f->name, unit);
		}
		ck_assert_msg((f->kind == FIGURE_HISTOGRAM) == (f->bounds != NULL), "%s", f->name);
		for (unsigned k = 1; f->bounds && f->bounds[k]; k++)
			ck_assert_msg(f->bounds[k] > f->bounds[k - 1], "%s", f->name);
		ck_assert_msg(f->kind != FIGURE_HISTOGRAM || !f->label[1].name, "%s", f->name);
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(figure_table[k].name, f->name);
	}
}
END_TEST

START_TEST(words_are_found_and_all_else_is_the_last)
{
	ck_assert_uint_eq(figure_word(FIGURE_COMMANDS, 0, "EHLO", 4), 0);
	ck_assert_uint_eq(figure_word(FIGURE_COMMANDS, 0, "ehlo", 4), 0);
	ck_assert_uint_eq(figure_word(FIGURE_COMMANDS, 0, "EHLOX", 4), 0);
	ck_assert_str_eq(figure_table[FIGURE_COMMANDS].label[0].words[figure_word(FIGURE_COMMANDS, 0, "EHL", 3)], "other");
	ck_assert_str_eq(figure_table[FIGURE_COMMANDS].label[0].words[figure_word(FIGURE_COMMANDS, 0, "", 0)], "other");
}
END_TEST

START_TEST(nothing_happens_where_nothing_is_open)
{
	figures_add(FIGURE_QUEUED, 0, 0, 1);
	figures_set(FIGURE_QUEUE_OLDEST, 0, 0, 1);
	figures_observe(FIGURE_MESSAGE_BYTES, 0, 1);
	ck_assert_int_eq(figures_get(FIGURE_QUEUED, 0, 0), 0);
	figures_reset_gauges(FIGURES_OF_RELAY);
}
END_TEST

START_TEST(every_cell_is_its_own)
{
	setup();
	/* a value for each cell of each figure; then all are as they were set */
	for (int pass = 0; pass < 2; pass++) {
		int64_t n = 1;

		for (int i = 0; i < FIGURE_COUNT; i++) {
			const struct figure_info *f = &figure_table[i];

			for (unsigned a = 0; a < figure_label_size(&f->label[0]); a++)
				for (unsigned b = 0; b < figure_label_size(&f->label[1]); b++, n++) {
					uint64_t bucket[64];
					int64_t sum;

					if (pass == 0 && f->kind == FIGURE_COUNTER)
						figures_add((enum figure)i, a, b, (uint64_t)n);
					else if (pass == 0 && f->kind == FIGURE_GAUGE)
						figures_set((enum figure)i, a, b, n);
					else if (pass == 0)
						figures_observe((enum figure)i, a, n);
					else if (f->kind != FIGURE_HISTOGRAM)
						ck_assert_int_eq(figures_get((enum figure)i, a, b), n);
					else {
						figures_histogram((enum figure)i, a, bucket, &sum);
						ck_assert_int_eq(sum, n);
					}
				}
		}
	}
	teardown();
}
END_TEST

START_TEST(indices_that_are_none_count_for_the_last)
{
	setup();
	figures_add(FIGURE_COMMANDS, 4711, 0, 3);
	figures_add(FIGURE_SESSIONS, UINT32_MAX, UINT32_MAX, 2);
	ck_assert_int_eq(figures_get(FIGURE_COMMANDS, figure_word(FIGURE_COMMANDS, 0, "?", 1), 0), 3);
	ck_assert_uint_eq(figures_sum(FIGURE_SESSIONS), 2);
	teardown();
}
END_TEST

START_TEST(buckets_take_their_bounds_in)
{
	uint64_t bucket[64];
	int64_t sum;

	setup();
	figures_observe(FIGURE_MESSAGE_BYTES, 0, -5);
	figures_observe(FIGURE_MESSAGE_BYTES, 0, 1024);
	figures_observe(FIGURE_MESSAGE_BYTES, 0, 1025);
	figures_observe(FIGURE_MESSAGE_BYTES, 0, INT64_C(1) << 40);
	figures_histogram(FIGURE_MESSAGE_BYTES, 0, bucket, &sum);
	ck_assert_uint_eq(bucket[0], 2);
	ck_assert_uint_eq(bucket[1], 1);
	ck_assert_uint_eq(bucket[figure_bounds_count(&figure_table[FIGURE_MESSAGE_BYTES])], 1);
	ck_assert_int_eq(sum, 1024 + 1025 + (INT64_C(1) << 40));
	render(FIGURES_OPENMETRICS);
	ck_assert_str_eq(line("posthouse_message_size_bytes_bucket{le=\"1024.0\"}"), "posthouse_message_size_bytes_bucket{le=\"1024.0\"} 2");
	ck_assert_str_eq(line("posthouse_message_size_bytes_bucket{le=\"4096.0\"}"), "posthouse_message_size_bytes_bucket{le=\"4096.0\"} 3");
	ck_assert_str_eq(line("posthouse_message_size_bytes_bucket{le=\"+Inf\"}"), "posthouse_message_size_bytes_bucket{le=\"+Inf\"} 4");
	ck_assert_str_eq(line("posthouse_message_size_bytes_count"), "posthouse_message_size_bytes_count 4");
	teardown();
}
END_TEST

static int run(void (*child)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		child();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void worker(void)
{
	figures_become(FIGURES_OF_WORKERS);
	for (int i = 0; i < 10000; i++)
		figures_add(FIGURE_COMMANDS, 0, 0, 1);
	figures_add(FIGURE_QUEUED, 0, 0, 1); /* not its business */
	figures_set(FIGURE_RELAY_BEAT, 0, 0, 77);
	ck_assert_int_eq(figures_get(FIGURE_RELAY_BEAT, 0, 0), 0); /* not even to be read */
}

static void monitor(void)
{
	figures_become(FIGURES_OF_MONITOR);
	ck_assert_int_eq(figures_get(FIGURE_RELAY_BEAT, 0, 0), 42);
	figures_set(FIGURE_RELAY_BEAT, 0, 0, 77);
	figures_set(FIGURE_SPOOL_FREE, 0, 0, 5);
	figures_reset_gauges(FIGURES_OF_RELAY);
	ck_assert_int_eq(figures_get(FIGURE_RELAY_BEAT, 0, 0), 42);
}

/* Like one that was taken over: it asks the kernel to let it write all that it has mapped. */
static void hijacked_monitor(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	char row[512];
	int found = 0, writable = 0;

	figures_become(FIGURES_OF_MONITOR);
	rewind(maps);
	while (fgets(row, sizeof(row), maps)) {
		if (!strstr(row, "posthouse-figures") || sscanf(row, "%lx-%lx", &from, &to) != 2)
			continue;
		found++;
		writable += mprotect((void *)from, to - from, PROT_READ | PROT_WRITE) == 0;
	}
	fclose(maps);
	_exit(found == 0 ? 77 : !(found == FIGURES_AREAS && writable == 1)); /* 77: an old kernel */
}

static void nobody(void)
{
	figures_become_nobody();
	figures_add(FIGURE_COMMANDS, 0, 0, 1);
}

START_TEST(each_process_counts_in_its_own_area)
{
	int status;

	setup();
	figures_set(FIGURE_RELAY_BEAT, 0, 0, 42);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(run(worker), 0);
	ck_assert_int_eq(run(monitor), 0);
	ck_assert_int_eq(run(nobody), 0);
	ck_assert_msg((status = run(hijacked_monitor)) == 0 || WEXITSTATUS(status) == 77, "%d", status);
	ck_assert_int_eq(figures_get(FIGURE_COMMANDS, 0, 0), 40000);
	ck_assert_int_eq(figures_get(FIGURE_QUEUED, 0, 0), 0);
	ck_assert_int_eq(figures_get(FIGURE_RELAY_BEAT, 0, 0), 42);
	ck_assert_int_eq(figures_get(FIGURE_SPOOL_FREE, 0, 0), 5);
	teardown();
}
END_TEST

START_TEST(the_gauges_of_a_new_relay_begin_anew)
{
	setup();
	figures_set(FIGURE_RELAY_BEAT, 0, 0, 42);
	figures_add(FIGURE_QUEUED, 0, 0, 7);
	figures_set(FIGURE_SPOOL_FREE, 0, 0, 5);
	figures_reset_gauges(FIGURES_OF_RELAY);
	ck_assert_int_eq(figures_get(FIGURE_RELAY_BEAT, 0, 0), 0);
	ck_assert_int_eq(figures_get(FIGURE_QUEUED, 0, 0), 7);
	ck_assert_int_eq(figures_get(FIGURE_SPOOL_FREE, 0, 0), 5);
	teardown();
}
END_TEST

START_TEST(names_outlive_a_reload_and_their_gauges_do_not)
{
	setup();
	ck_assert_uint_eq(figures_name(FIGURES_UPSTREAMS, "main"), 0);
	ck_assert_uint_eq(figures_name(FIGURES_UPSTREAMS, "other"), 1);
	figures_add(FIGURE_UPSTREAM_TROUBLES, 0, 0, 3);
	figures_set(FIGURE_UPSTREAM_CONNECTIONS, 0, 0, 4);
	figures_names_renew();
	ck_assert_uint_eq(figures_name(FIGURES_UPSTREAMS, "other"), 1);
	render(FIGURES_OPENMETRICS);
	ck_assert_str_eq(line("posthouse_upstream_troubles_total{upstream=\"main\"}"),
			 "posthouse_upstream_troubles_total{upstream=\"main\"} 3");
	ck_assert_ptr_null(line("posthouse_upstream_connections{upstream=\"main\"}"));
	ck_assert_ptr_nonnull(line("posthouse_upstream_connections{upstream=\"other\"}"));
	teardown();
}
END_TEST

START_TEST(too_many_names_share_one_place)
{
	char name[32];

	setup();
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		figures_add(FIGURE_UPSTREAM_TROUBLES, figures_name(FIGURES_UPSTREAMS, name), 0, 1);
	}
	ck_assert_uint_eq(figures_find(FIGURES_UPSTREAMS, "u5"), 5);
	ck_assert_uint_eq(figures_find(FIGURES_UPSTREAMS, "u299"), FIGURES_NAMES_MAX - 1);
	render(FIGURES_OPENMETRICS);
	ck_assert_str_eq(line("posthouse_upstream_troubles_total{upstream=\"(others)\"}"),
			 "posthouse_upstream_troubles_total{upstream=\"(others)\"} 173");
	teardown();
}
END_TEST

START_TEST(no_name_can_be_a_line)
{
	setup();
	figures_name(FIGURES_UPSTREAMS, "a\"} 1\nposthouse_healthy 1\n# \\\x7f\xff" "é");
	render(FIGURES_OPENMETRICS);
	ck_assert_str_eq(line("posthouse_upstream_connections{"),
			 "posthouse_upstream_connections{upstream=\"a\\\"} 1?posthouse_healthy 1?# \\\\??é\"} 0");
	teardown();
}
END_TEST

START_TEST(the_two_formats)
{
	setup();
	figures_add(FIGURE_QUEUED, 0, 0, 7);
	figures_set(FIGURE_QUEUE_OLDEST, 0, 0, 990 * 1000000LL);
	figures_set(FIGURE_RELAY_BEAT, 0, 0, 3500);
	render(FIGURES_OPENMETRICS);
	ck_assert_str_eq(line("# TYPE posthouse_queued"), "# TYPE posthouse_queued counter");
	ck_assert_str_eq(line("posthouse_queued_total"), "posthouse_queued_total 7");
	ck_assert_str_eq(line("# UNIT posthouse_queue_oldest"), "# UNIT posthouse_queue_oldest_age_seconds seconds");
	ck_assert_str_eq(line("posthouse_queue_oldest"), "posthouse_queue_oldest_age_seconds 10.000000");
	ck_assert_str_eq(line("posthouse_relay_heartbeat"), "posthouse_relay_heartbeat_age_seconds 1.500000");
	ck_assert(ends_in(text.data, "\n# EOF\n"));
	ck_assert_ptr_null(strstr(text.data, "posthouse_monitor_"));
	render(FIGURES_PROMETHEUS);
	ck_assert_str_eq(line("# TYPE posthouse_queued"), "# TYPE posthouse_queued_total counter");
	ck_assert_str_eq(line("posthouse_queued_total"), "posthouse_queued_total 7");
	ck_assert_ptr_null(line("# UNIT"));
	ck_assert_ptr_null(line("# EOF"));
	teardown();
}
END_TEST

START_TEST(moments_that_are_none_or_to_come_have_no_age)
{
	setup();
	render(FIGURES_OPENMETRICS);
	ck_assert_str_eq(line("posthouse_queue_oldest"), "posthouse_queue_oldest_age_seconds 0.000000");
	figures_set(FIGURE_QUEUE_OLDEST, 0, 0, 2000 * 1000000LL);
	render(FIGURES_OPENMETRICS);
	ck_assert_str_eq(line("posthouse_queue_oldest"), "posthouse_queue_oldest_age_seconds 0.000000");
	teardown();
}
END_TEST

START_TEST(a_ceiling_is_told)
{
	struct buf small;

	setup();
	buf_init(&small, 1000);
	ck_assert(!figures_render(&small, FIGURES_OPENMETRICS, 0, 0));
	buf_release(&small);
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("figures");

	UNIT_CASE(suite, the_table_keeps_its_own_rules, words_are_found_and_all_else_is_the_last,
		  nothing_happens_where_nothing_is_open, every_cell_is_its_own, indices_that_are_none_count_for_the_last,
		  buckets_take_their_bounds_in, each_process_counts_in_its_own_area, the_gauges_of_a_new_relay_begin_anew,
		  names_outlive_a_reload_and_their_gauges_do_not, too_many_names_share_one_place, no_name_can_be_a_line,
		  the_two_formats, moments_that_are_none_or_to_come_have_no_age, a_ceiling_is_told);
	return unit_run(suite);
}
