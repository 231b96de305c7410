/* SPDX-License-Identifier: ISC */
/* The pure parts of the verbs that look: colours, counting, reasons, sentences, judging, printing a status. */
#include <check.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "cli/check.h"
#include "cli/explain_words.h"
#include "cli/reason.h"
#include "cli/status_print.h"
#include "cli/style.h"
#include "cli/summary_print.h"
#include "cli/tally.h"
#include "cli/wrap.h"
#include "upstream/outcome.h"
#include "unit.h"

#define MINUTE_US INT64_C(60000000)
#define NOW_US (INT64_C(1800000000) * 1000000)

static const struct term plain = { .width = TERM_NO_LIMIT };
static const struct term painted = { .width = 40, .color = true, .utf8 = true };

/* ---- colours -------------------------------------------------------------------------- */

START_TEST(paint_takes_no_columns)
{
	struct buf b, cut;

	buf_init(&b, 1000);
	buf_init(&cut, 1000);
	term_paint(&plain, TERM_BAD, "failed", &b);
	ck_assert_str_eq(b.data, "failed");
	buf_clear(&b);
	term_paint(&painted, TERM_BAD, "failed", &b);
	ck_assert_str_eq(b.data, "\x1b[31mfailed\x1b[0m");
	ck_assert_uint_eq(term_columns(&painted, b.data), 6);
	ck_assert_uint_eq(term_cut(&painted, b.data, 6, &cut), 6);
	ck_assert_str_eq(cut.data, b.data);
	buf_clear(&cut);
	/* what is cut ends its colour all the same */
	ck_assert_uint_eq(term_cut(&painted, b.data, 4, &cut), 4);
	ck_assert_str_eq(cut.data, "\x1b[31mfai\xe2\x80\xa6\x1b[0m");
	buf_clear(&b);
	term_paint(&painted, TERM_BAD, "", &b);
	ck_assert_str_eq(b.data, "");
	buf_release(&b);
	buf_release(&cut);
}
END_TEST

START_TEST(only_our_own_sequences_are_styles)
{
	enum term_style style = TERM_PLAIN;

	ck_assert_uint_eq(term_style_at("\x1b[31mx", &style), 5);
	ck_assert_int_eq(style, TERM_BAD);
	ck_assert_uint_eq(term_style_at("\x1b[2J", &style), 0);
	ck_assert_uint_eq(term_style_at("\x1b", &style), 0);
	ck_assert_uint_eq(term_style_at("", &style), 0);
}
END_TEST

START_TEST(color_is_for_terminals)
{
	struct term t = { .is_tty = true };
	enum term_color when;

	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	term_choose_color(&t, TERM_COLOR_AUTO);
	ck_assert(t.color);
	setenv("NO_COLOR", "", 1);
	term_choose_color(&t, TERM_COLOR_AUTO);
	ck_assert(t.color);
	setenv("NO_COLOR", "1", 1);
	term_choose_color(&t, TERM_COLOR_AUTO);
	ck_assert(!t.color);
	term_choose_color(&t, TERM_COLOR_ALWAYS);
	ck_assert(t.color);
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	term_choose_color(&t, TERM_COLOR_AUTO);
	ck_assert(!t.color);
	setenv("TERM", "xterm", 1);
	t.is_tty = false;
	term_choose_color(&t, TERM_COLOR_AUTO);
	ck_assert(!t.color);
	ck_assert(term_color_parse("never", &when) && when == TERM_COLOR_NEVER);
	ck_assert(!term_color_parse("yes", &when));
}
END_TEST

START_TEST(words_have_styles)
{
	ck_assert_int_eq(style_of_word("delivered"), TERM_GOOD);
	ck_assert_int_eq(style_of_word("deliver"), TERM_PLAIN);
	ck_assert_int_eq(style_of_word("up"), TERM_GOOD);
	ck_assert_int_eq(style_of_word("upstream_down"), TERM_BAD);
	ck_assert_int_eq(style_of_word("stream_down"), TERM_PLAIN);
	ck_assert_int_eq(style_of_word(""), TERM_PLAIN);
	ck_assert_int_eq(style_of_word("delivered completed"), TERM_GOOD); /* harmless: it is one of ours only by luck */
}
END_TEST

/* ---- counting -------------------------------------------------------------------------- */

static void count_one(struct tally *t, int64_t age_minutes, const char *const *keys)
{
	struct tally_message m = { NOW_US - age_minutes * MINUTE_US, 100 };

	tally_begin(t, &m);
	for (; *keys; keys++)
		tally_add(t, &m, *keys, 1);
}

START_TEST(ages_go_into_buckets)
{
	static const struct {
		int64_t age_ms;
		size_t bucket;
	} rows[] = { { -1, 0 },	       { 0, 0 },	   { 299999, 0 },     { 300000, 1 },	    { 599999, 1 },
		     { 600000, 2 },    { 76799999, 8 },	   { 76800000, 9 },   { INT64_MAX, 9 } };
	struct tally t;

	tally_init(&t, NOW_US);
	ck_assert_uint_eq(t.buckets, 10);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(tally_bucket(&t, rows[i].age_ms) == rows[i].bucket, "row %zu", i);
	tally_release(&t);
}
END_TEST

START_TEST(bucket_limits_are_read_strictly)
{
	static const struct {
		const char *text;
		size_t buckets; /* 0: refused */
	} rows[] = { { "1h", 2 },	{ "1h,1d,1w", 4 }, { "60,2m", 3 }, { "", 0 },	{ "1h,", 0 },	   { ",1h", 0 },
		     { "1h,1h", 0 },	{ "2h,1h", 0 },	   { "0s", 0 },	   { "x", 0 },
		     { "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15", 16 }, { "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", 0 },
		     { "99999999999999999999s", 0 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tally t;

		tally_init(&t, NOW_US);
		ck_assert_msg(tally_limits(&t, rows[i].text) == (rows[i].buckets > 0), "%s", rows[i].text);
		ck_assert_uint_eq(t.buckets, rows[i].buckets ? rows[i].buckets : 10);
		tally_release(&t);
	}
}
END_TEST

START_TEST(a_message_counts_once_for_a_key)
{
	struct tally_row **rows;
	struct tally t;

	tally_init(&t, NOW_US);
	count_one(&t, 1, (const char *const[]){ "b", "a", "b", NULL });
	count_one(&t, 30, (const char *const[]){ "b", NULL });
	count_one(&t, 7, (const char *const[]){ "c", NULL });
	ck_assert_uint_eq(t.total.messages, 3);
	ck_assert_uint_eq(t.total.rcpts, 5);
	ck_assert_uint_eq(t.total.bytes, 300);
	ck_assert_int_eq(t.total.oldest_wall_us, NOW_US - 30 * MINUTE_US);
	ck_assert_uint_eq(t.keys, 3);
	rows = tally_sorted(&t);
	ck_assert_str_eq(rows[0]->key, "b");
	ck_assert_uint_eq(rows[0]->messages, 2);
	ck_assert_uint_eq(rows[0]->rcpts, 3);
	ck_assert_uint_eq(rows[0]->age[0], 1);
	ck_assert_uint_eq(rows[0]->age[3], 1);
	ck_assert_str_eq(rows[1]->key, "a");
	ck_assert_str_eq(rows[2]->key, "c");
	ck_assert_uint_eq(rows[2]->age[1], 1);
	free(rows);
	tally_release(&t);
}
END_TEST

START_TEST(keys_have_a_ceiling)
{
	struct tally t;
	char key[32];

	tally_init(&t, NOW_US);
	t.keys_max = 10;
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "key%d", i % 50);
		count_one(&t, 1, (const char *const[]){ key, NULL });
	}
	ck_assert_uint_eq(t.keys, 10);
	ck_assert_uint_eq(t.others.messages, 80);
	ck_assert_uint_eq(t.total.messages, 100);
	tally_release(&t);
}
END_TEST

START_TEST(bars_are_in_proportion)
{
	static const struct {
		uint64_t part, whole;
		const char *ascii, *utf8;
	} rows[] = {
		{ 4, 4, "####", "\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88" },
		{ 2, 4, "##", "\xe2\x96\x88\xe2\x96\x88" },
		{ 1, 8, "#", "\xe2\x96\x8c" }, /* half a column */
		{ 1, 1000000, "#", "\xe2\x96\x8f" }, /* one eighth: never nothing */
		{ 0, 4, "", "" },
		{ 0, 0, "", "" },
		{ UINT64_MAX, UINT64_MAX, "####", "\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b;

		buf_init(&b, 1000);
		summary_bar(&plain, rows[i].part, rows[i].whole, 4, &b);
		ck_assert_msg(strcmp(b.data, rows[i].ascii) == 0, "row %zu: %s", i, b.data);
		buf_clear(&b);
		summary_bar(&painted, rows[i].part, rows[i].whole, 4, &b);
		ck_assert_msg(strcmp(b.data, rows[i].utf8) == 0, "row %zu: %s", i, b.data);
		buf_release(&b);
	}
}
END_TEST

/* Every width: no line is longer than the terminal, and the counts of a row add up to its messages. */
START_TEST(the_summary_fits_every_terminal)
{
	struct tally t;

	tally_init(&t, NOW_US);
	for (int64_t age = 1; age < 3000; age += 37)
		count_one(&t, age, (const char *const[]){ "a.long.domain.name.example.org", NULL });
	for (size_t width = 60; width < 200; width += 7) {
		struct term term = { .width = width };
		struct summary_look look = { 0 };
		char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		summary_print(&t, SUMMARY_DOMAIN, &look, &term, out);
		fclose(out);
		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
			unsigned long long all, sum = 0;
			char *at;

			ck_assert_msg(strlen(line) <= width, "%zu: %s", width, line);
			if (strncmp(line, "TOTAL", 5) != 0)
				continue;
			all = strtoull(line + 5, &at, 10);
			for (int i = 0; i < 3; i++) { /* recipients, size, oldest */
				at += strspn(at, " ");
				at += strcspn(at, " ");
			}
			for (char *end; *(at += strspn(at, " .")); at = end)
				sum += strtoull(at, &end, 10);
			ck_assert_uint_eq(sum, all);
		}
		free(text);
	}
	tally_release(&t);
}
END_TEST

/* ---- reasons ---------------------------------------------------------------------------- */

START_TEST(the_same_trouble_is_one_reason)
{
	static const struct {
		const char *reply, *reason;
	} rows[] = {
		{ "450 4.2.0 mailbox busy", "450 4.2.0 mailbox busy" },
		{ "550 5.1.1 <bob@example.org>: user unknown", "550 5.1.1 <address>: user unknown" },
		{ "550 5.1.1 bob@example.org user unknown", "550 5.1.1 <address> user unknown" },
		{ "452-4.2.2 full (q12-20020a05.23)", "# full (#)" },
		{ "421 4.7.0 [192.0.2.1] try later, id=8f3a-99", "421 4.7.0 [#] try later, #" },
		{ "451 4.7.1 greylisted, retry in 300 seconds", "451 4.7.1 greylisted, retry in # seconds" },
		{ "451 host mx12.example.com said no", "451 host mx#.example.com said no" },
		{ "550 see https://help.example/123?id=42 please", "550 see https://help.example/# please" },
		{ "connection to 192.0.2.1:25 timed out", "connection to # timed out" },
		{ "554 5.7.1 rejected.  \t spaced", "554 5.7.1 rejected. spaced" },
		{ "550", "550" },
		{ "", "" },
		{ "@", "<address>" },
		{ "<>", "<>" },
		{ "((((", "((((" },
		{ "\x1b[31m no", "# no" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b;

		buf_init(&b, 1000);
		reason_normalise(rows[i].reply, &b);
		ck_assert_msg(strcmp(b.data, rows[i].reason) == 0, "%s: %s", rows[i].reply, b.data);
		buf_release(&b);
	}
}
END_TEST

START_TEST(a_reason_has_a_ceiling)
{
	char text[20000];
	struct buf b;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	buf_init(&b, 1000);
	reason_normalise(text, &b);
	ck_assert_uint_le(b.len, REASON_MAX);
	buf_release(&b);
}
END_TEST

/* ---- sentences --------------------------------------------------------------------------- */

START_TEST(codes_are_read)
{
	static const struct {
		const char *reply;
		struct reply_codes codes;
	} rows[] = {
		{ "450 4.2.0 mailbox busy", { 450, 4, 2, 0 } },
		{ "550 5.1.1", { 550, 5, 1, 1 } },
		{ "250 ok", { 250, 0, 0, 0 } },
		{ "550", { 550, 0, 0, 0 } },
		{ "554 5.7.128 x", { 554, 5, 7, 128 } },
		{ "554 5.7.1x", { 554, 0, 0, 0 } },
		{ "554 3.7.1 x", { 554, 0, 0, 0 } },
		{ "5501 x", { 0, 0, 0, 0 } },
		{ "connection refused", { 0, 0, 0, 0 } },
		{ "", { 0, 0, 0, 0 } },
		{ "45", { 0, 0, 0, 0 } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply_codes c;

		reply_codes_read(rows[i].reply, &c);
		ck_assert_msg(memcmp(&c, &rows[i].codes, sizeof(c)) == 0, "%s", rows[i].reply);
	}
}
END_TEST

START_TEST(each_code_has_a_reason_and_a_meaning)
{
	struct reply_codes c = { 0 };

	for (c.code = 400; c.code <= 599; c.code++)
		ck_assert_ptr_nonnull(explain_because(&c));
	c.code = 0;
	ck_assert_ptr_null(explain_because(&c));
	c.code = 530;
	ck_assert_ptr_nonnull(strstr(explain_because(&c), "our configuration"));
	reply_codes_read("552 5.2.2 full", &c);
	ck_assert_str_eq(explain_detail(&c), "the recipient's mailbox is full");
	ck_assert_str_eq(explain_subject(&c), "the mailbox");
	reply_codes_read("552 5.2.99 odd", &c);
	ck_assert_ptr_null(explain_detail(&c));
	ck_assert_str_eq(explain_subject(&c), "the mailbox");
	reply_codes_read("552 5.99.1 odd", &c);
	ck_assert_ptr_null(explain_subject(&c));
	reply_codes_read("552 5.1.101 odd", &c); /* not 2.1 */
	ck_assert_ptr_null(explain_detail(&c));
}
END_TEST

START_TEST(events_become_sentences)
{
	static const struct {
		struct spool_event ev;
		const char *sentence;
	} rows[] = {
		{ { .what = (char *)"deferred", .times = 3, .rcpts = 2, .upstream = (char *)"main",
		    .remote = (char *)"mx:25", .text = (char *)"450 busy" },
		  "2 recipients were put off by upstream main (mx:25), 3 times in a row: 450 busy" },
		{ { .what = (char *)"failed", .times = 1, .rcpts = 1, .upstream = (char *)"main", .text = (char *)"550 no" },
		  "1 recipient was refused for good by upstream main: 550 no" },
		{ { .what = (char *)"expired", .times = 1, .rcpts = 2 }, "2 recipients were given up" },
		{ { .what = (char *)"expired", .times = 1, .by = (char *)"uid=0" },
		  "it was given up by an operator (uid=0)" },
		{ { .what = (char *)"held", .times = 1, .by = (char *)"uid=0", .text = (char *)"look" },
		  "it was held by an operator (uid=0), because: look" },
		{ { .what = (char *)"rerouted", .times = 1, .by = (char *)"uid=0", .upstream = (char *)"other" },
		  "it was given another route by an operator (uid=0) to upstream other" },
		{ { .what = (char *)"new\x1bthing", .times = 1, .rcpts = 1, .text = (char *)"\x1b[2J" },
		  "event \"new\\x1bthing\", about 1 recipient: \\x1b[2J" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b;

		buf_init(&b, 1000);
		explain_event(&rows[i].ev, &plain, &b);
		ck_assert_str_eq(b.data, rows[i].sentence);
		buf_release(&b);
	}
}
END_TEST

START_TEST(times_are_told_in_words)
{
	static const struct {
		int64_t ms;
		const char *words;
	} rows[] = { { -5, "0 seconds" },	{ 1000, "1 second" },	   { 119999, "119 seconds" },
		     { 120000, "2 minutes" },	{ 7199999, "119 minutes" }, { 7200000, "2 hours" },
		     { 172800000, "2 days" },	{ INT64_MAX, "106751991167 days" } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b;

		buf_init(&b, 100);
		explain_time(rows[i].ms, &b);
		ck_assert_str_eq(b.data, rows[i].words);
		buf_release(&b);
	}
}
END_TEST

START_TEST(text_is_wrapped)
{
	const struct term term = { .width = 21 };
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	wrap_put(&term, 4, "  one two three four five six averyveryverylongwordindeed end", out);
	wrap_put(&term, 0, "", out);
	wrap_put(&plain, 0, "short", out);
	fclose(out);
	ck_assert_str_eq(text, "  one two three four\n    five six\n    averyveryverylongwordindeed\n    end\n\nshort\n");
	free(text);
}
END_TEST

/* ---- check -------------------------------------------------------------------------------- */

static enum check_level judge(const char *json, const struct check_limit *limit, struct check_result *r)
{
	json_t *status = json_loads(json, 0, NULL);

	ck_assert_ptr_nonnull(status);
	check_judge(r, status, limit, INT64_C(1000) * 1000000);
	json_decref(status);
	return r->level;
}

START_TEST(a_status_is_judged)
{
#define NONE { -1, -1 }
	static const struct {
		const char *status;
		struct check_limit limit[CHECK_WHAT_COUNT]; /* age, messages, failed, held */
		enum check_level level;
		const char *text, *perfdata; /* NULL: whatever */
	} rows[] = {
		{ "{\"queue\":{\"messages\":12,\"oldest_arrived\":820}}", { { -1, 900 }, { -1, 500 }, NONE, NONE }, CHECK_OK,
		  "12 messages, oldest 3m", "messages=12;;500 oldest=180s;;900 failed=0;; held=0;;" },
		{ "{\"queue\":{\"messages\":0,\"oldest_arrived\":null}}", { { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 } },
		  CHECK_OK, "0 messages", NULL },
		{ "{\"queue\":{\"messages\":11}}", { NONE, { 10, 20 }, NONE, NONE }, CHECK_WARNING, NULL, NULL },
		{ "{\"queue\":{\"messages\":10}}", { NONE, { 10, 20 }, NONE, NONE }, CHECK_OK, NULL, NULL },
		{ "{\"queue\":{\"messages\":21}}", { NONE, { 10, 20 }, NONE, NONE }, CHECK_CRITICAL, NULL, NULL },
		{ "{\"queue\":{\"messages\":1,\"oldest_arrived\":800}}", { { 199, -1 }, NONE, NONE, NONE }, CHECK_WARNING,
		  "1 message, oldest 3m", NULL },
		{ "{\"queue\":{\"messages\":1,\"oldest_arrived\":2000}}", { { 0, 0 }, NONE, NONE, NONE }, CHECK_OK, NULL,
		  NULL }, /* from the future: the clock was set back */
		{ "{\"queue\":{\"messages\":1,\"failed\":1}}", { NONE, NONE, { -1, 0 }, NONE }, CHECK_CRITICAL,
		  "1 message, 1 failed", NULL },
		{ "{\"queue\":{\"messages\":1,\"held\":1}}", { NONE, NONE, NONE, { 0, -1 } }, CHECK_WARNING, NULL, NULL },
		{ "{\"queue\":{\"messages\":1,\"unsaved\":2}}", { NONE, NONE, NONE, NONE }, CHECK_CRITICAL, NULL, NULL },
		{ "{\"queue\":{},\"upstreams\":[{\"name\":\"main\",\"state\":\"paused\"}]}", { NONE, NONE, NONE, NONE },
		  CHECK_WARNING, "0 messages, upstream main down", NULL },
		{ "{\"queue\":{},\"upstreams\":[{\"name\":\"main\",\"state\":\"suspended\"},3,{}],\"suspended\":{}}",
		  { NONE, NONE, NONE, NONE }, CHECK_OK,
		  "0 messages, all deliveries are suspended, upstream main suspended", NULL },
		{ "{}", { NONE, NONE, NONE, NONE }, CHECK_UNKNOWN, NULL, NULL },
		{ "{\"queue\":[],\"upstreams\":{}}", { NONE, NONE, NONE, NONE }, CHECK_UNKNOWN, NULL, NULL },
		{ "{\"queue\":{\"messages\":1e300,\"oldest_arrived\":-5}}", { NONE, { 5, -1 }, NONE, NONE }, CHECK_WARNING,
		  NULL, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check_result r;
		enum check_level level = judge(rows[i].status, rows[i].limit, &r);

		ck_assert_msg(level == rows[i].level, "row %zu: %d", i, (int)level);
		if (rows[i].text)
			ck_assert_str_eq(r.text.data, rows[i].text);
		if (rows[i].perfdata)
			ck_assert_str_eq(r.perfdata.data, rows[i].perfdata);
		check_release(&r);
	}
}
END_TEST

/* ---- the status ----------------------------------------------------------------------------- */

/* Members of the wrong type, missing ones, numbers beyond all: it is printed, and nothing in it moves a terminal. */
START_TEST(an_odd_status_is_printed)
{
	static const char *const rows[] = {
		"{}",
		"{\"queue\":3,\"rates\":[],\"upstreams\":{},\"workers\":\"x\",\"processes\":null,\"suspended\":[]}",
		"{\"upstreams\":[3,null,{},{\"name\":3,\"state\":{},\"remotes\":[3,{}]},{\"remotes\":{}}],\"workers\":[3,{}]}",
		("{\"version\":\"\\u001b[2J\",\"hostname\":\"\\u009b31m\",\"spool\":\"\\n\\r\\b\",\"upstreams\":"
		"[{\"name\":\"\\u001b]0;x\\u0007\",\"state\":\"\\u001b[31m\",\"last_trouble\":\"\\u202e\"}],"
		"\"workers\":[{\"peer\":\"\\u001bc\",\"verb\":\"\\u001bc\"}]}"),
		("{\"started\":1e300,\"queue\":{\"messages\":9223372036854775807,\"oldest_arrived\":-1e300},"
		"\"upstreams\":[{\"connections\":1e300,\"paused_until\":1e18,\"last_delivered\":1e18}]}"),
	};
	const struct term term = { .width = 60, .utf8 = true };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned sort = 0; sort < STATUS_SORT_COUNT; sort++) {
			json_t *status = json_loads(rows[i], 0, NULL);
			char *text = NULL;
			size_t len;
			FILE *out = open_memstream(&text, &len);

			ck_assert_ptr_nonnull(status);
			status_print(status, &term, (enum status_sort)sort, NOW_US, out);
			fclose(out);
			for (size_t at = 0; at < len; at++)
				ck_assert_msg((unsigned char)text[at] >= 0x20 || text[at] == '\n', "row %zu: %s", i, text);
			ck_assert_ptr_null(strstr(text, "\xc2\x9b"));
			ck_assert_ptr_null(strstr(text, "\xe2\x80\xae"));
			for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
				ck_assert_msg(term_columns(&term, line) <= 60, "%s", line);
			free(text);
			json_decref(status);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("views");

	setlocale(LC_CTYPE, "C.UTF-8");
	UNIT_CASE(suite, paint_takes_no_columns, only_our_own_sequences_are_styles, color_is_for_terminals,
		  words_have_styles, ages_go_into_buckets, bucket_limits_are_read_strictly,
		  a_message_counts_once_for_a_key, keys_have_a_ceiling, bars_are_in_proportion,
		  the_summary_fits_every_terminal, the_same_trouble_is_one_reason, a_reason_has_a_ceiling,
		  codes_are_read, each_code_has_a_reason_and_a_meaning, events_become_sentences,
		  times_are_told_in_words, text_is_wrapped, a_status_is_judged, an_odd_status_is_printed);
	return unit_run(suite);
}
