/* SPDX-License-Identifier: ISC */
/* cli/: selectors as tables, the words of a change, the progress line. No spool: messages are made in memory. */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/change_report.h"
#include "cli/criteria.h"
#include "cli/progress.h"
#include "unit.h"

#define NOW_US INT64_C(1700000000000000)
#define MINUTE_US INT64_C(60000000)

/* ---- one message ------------------------------------------------------------- */

/* The id of a moment. */
static void set_id(struct spool_id *id, int64_t wall_us)
{
	clock_freeze(wall_us, 0);
	spool_id_new(id);
	clock_thaw();
}

static void add_rcpt(struct listing *l, const char *address)
{
	envelope_add_rcpt(&l->msg.env, address, strlen(address));
}

/* From bob@shop.example.org two hours ago: a@one.example got it, B@two.example is deferred, c@three.example failed. */
static void make(struct listing *l)
{
	memset(l, 0, sizeof(*l));
	set_id(&l->id, NOW_US - 120 * MINUTE_US);
	envelope_init(&l->msg.env);
	envelope_set(&l->msg.env.sender, "bob@shop.example.org", 20);
	add_rcpt(l, "a@one.example");
	add_rcpt(l, "B@two.example");
	add_rcpt(l, "c@three.example");
	l->msg.content_bytes = 5000;
	l->msg.fd = -1;
	spool_state_init(&l->state, 3);
	l->state.tries = 4;
	rcpt_state_set(&l->state.rcpt[0], RCPT_DELIVERED, 1, "first", NULL, "250 ok Done");
	rcpt_state_set(&l->state.rcpt[1], RCPT_PENDING, 1, "first", NULL, "451 4.7.1 Greylisted, try later");
	rcpt_state_set(&l->state.rcpt[2], RCPT_FAILED, 1, "second", NULL, "550 no such user");
	l->condition = CONDITION_DEFERRED;
	l->left = 1;
}

static void release(struct listing *l)
{
	envelope_release(&l->msg.env);
	spool_state_release(&l->state);
}

/* ---- criteria ---------------------------------------------------------------- */

static const struct {
	enum criterion_kind kind;
	const char *value;
	int matches; /* the message of make(); -1: it is refused */
} rows[] = {
	{ CRITERION_FROM, "bob@shop.example.org", 1 },
	{ CRITERION_FROM, "BOB@Shop.Example.ORG", 1 },
	{ CRITERION_FROM, "shop.example.org", 1 },
	{ CRITERION_FROM, "*@shop.example.org", 1 },
	{ CRITERION_FROM, ".example.org", 1 },
	{ CRITERION_FROM, "example.org", 0 },
	{ CRITERION_FROM, ".shop.example.org", 0 },
	{ CRITERION_FROM, "b*b@*", 1 },
	{ CRITERION_FROM, "*.example.*", 1 },
	{ CRITERION_FROM, "*x*@shop.example.org", 0 },
	{ CRITERION_FROM, "*", 1 },
	{ CRITERION_FROM, "<>", 0 },
	{ CRITERION_FROM, "", -1 },
	{ CRITERION_FROM, "a b", -1 },
	{ CRITERION_TO, "a@one.example", 0 }, /* who has it does not count */
	{ CRITERION_TO, "b@two.example", 1 },
	{ CRITERION_TO, "c@three.example", 1 },
	{ CRITERION_TO, "t*.example", 1 },
	{ CRITERION_TO, "<>", -1 },
	{ CRITERION_DOMAIN, "two.example", 1 },
	{ CRITERION_DOMAIN, "TWO.example", 1 },
	{ CRITERION_DOMAIN, "one.example", 0 },
	{ CRITERION_DOMAIN, ".example", 1 },
	{ CRITERION_DOMAIN, "example", 0 },
	{ CRITERION_DOMAIN, "b@two.example", -1 },
	{ CRITERION_DOMAIN, "", -1 },
	{ CRITERION_UPSTREAM, "first", 1 },
	{ CRITERION_UPSTREAM, "second", 1 },
	{ CRITERION_UPSTREAM, "third", 1 }, /* where the rules send b@two.example */
	{ CRITERION_UPSTREAM, "fourth", 0 },
	{ CRITERION_UPSTREAM, "", -1 },
	{ CRITERION_STATE, "deferred", 1 },
	{ CRITERION_STATE, "queued,Deferred", 1 },
	{ CRITERION_STATE, "queued,held,failed,delivered,corrupt,unreadable", 0 },
	{ CRITERION_STATE, "defer", -1 },
	{ CRITERION_STATE, "deferred,", -1 },
	{ CRITERION_STATE, "", -1 },
	{ CRITERION_OLDER, "1h", 1 },
	{ CRITERION_OLDER, "7199", 1 },
	{ CRITERION_OLDER, "2h", 0 },
	{ CRITERION_OLDER, "-1h", -1 },
	{ CRITERION_OLDER, "1x", -1 },
	{ CRITERION_YOUNGER, "3h", 1 },
	{ CRITERION_YOUNGER, "119m", 0 },
	{ CRITERION_YOUNGER, "", -1 },
	{ CRITERION_LARGER, "4999", 1 },
	{ CRITERION_LARGER, "5000", 0 },
	{ CRITERION_LARGER, "4k", 1 },
	{ CRITERION_LARGER, "4q", -1 },
	{ CRITERION_SMALLER, "5001", 1 },
	{ CRITERION_SMALLER, "5000", 0 },
	{ CRITERION_SMALLER, "99999999999999999999", -1 },
	{ CRITERION_TRIES, "4", 1 },
	{ CRITERION_TRIES, "3", 0 },
	{ CRITERION_TRIES, "4+", 1 },
	{ CRITERION_TRIES, "5+", 0 },
	{ CRITERION_TRIES, "1-4", 1 },
	{ CRITERION_TRIES, "5-9", 0 },
	{ CRITERION_TRIES, "4-3", -1 },
	{ CRITERION_TRIES, "+", -1 },
	{ CRITERION_TRIES, "3-", -1 },
	{ CRITERION_TRIES, "3++", -1 },
	{ CRITERION_ERROR, "greylisted", 1 },
	{ CRITERION_ERROR, "NO SUCH", 1 },
	{ CRITERION_ERROR, "done", 0 }, /* was said to who has it */
	{ CRITERION_ERROR, "/^45[0-9] .*later$/", 1 },
	{ CRITERION_ERROR, "/^later/", 0 },
	{ CRITERION_ERROR, "/", 0 },
	{ CRITERION_ERROR, "/[/", -1 },
	{ CRITERION_ERROR, "", -1 },
};

static const char *const names[] = { "first", "second", "third" };
static const char *const to_two[] = { "two.example" };
static const struct route_rule rule = { .pattern = { [ROUTE_RECIPIENT] = to_two },
					.pattern_count = { [ROUTE_RECIPIENT] = 1 },
					.upstream = 2 };
static const struct routes routes = { .rule = &rule, .rule_count = 1, .upstream_name = names, .upstream_count = 3 };

static void begin(struct criteria *c)
{
	criteria_init(c);
	c->now_wall_us = NOW_US;
	c->routes = &routes;
}

static bool matches_in_all_phases(const struct criteria *c, const struct listing *l)
{
	return criteria_match(c, PHASE_ID, l) && criteria_match(c, PHASE_MESSAGE, l) &&
	       criteria_match(c, PHASE_STATE, l);
}

START_TEST(each_selector_means_what_the_table_says)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct criteria c;
		struct listing l;
		struct err e;
		int r;

		begin(&c);
		make(&l);
		r = criteria_add(&c, rows[i].kind, rows[i].value, &e);
		ck_assert_msg((r < 0) == (rows[i].matches < 0), "row %zu: %s", i, rows[i].value);
		if (r == 0)
			ck_assert_msg(matches_in_all_phases(&c, &l) == rows[i].matches, "row %zu: %s", i,
				      rows[i].value);
		else
			ck_assert_uint_gt(strlen(e.text), 10);
		release(&l);
		criteria_release(&c);
	}
}
END_TEST

START_TEST(every_option_is_in_the_table_of_this_test)
{
	for (unsigned k = 0; k < CRITERION_COUNT; k++) {
		bool taken = false, matched = false, refused = false;

		ck_assert_int_eq(criterion_options[k].key, (int)(CRITERION_KEY + k));
		ck_assert_ptr_nonnull(criterion_options[k].value);
		for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
			if (rows[i].kind != (enum criterion_kind)k)
				continue;
			matched |= rows[i].matches == 1;
			taken |= rows[i].matches == 0;
			refused |= rows[i].matches < 0;
		}
		ck_assert_msg(matched && taken && refused, "--%s", criterion_options[k].name);
	}
	ck_assert_ptr_null(criterion_options[CRITERION_COUNT].name);
}
END_TEST

static bool matches(const char *const (*given)[2], size_t count)
{
	struct criteria c;
	struct listing l;
	struct err e;
	bool result;

	begin(&c);
	make(&l);
	for (size_t i = 0; i < count; i++) {
		unsigned k = 0;

		while (strcmp(criterion_options[k].name, given[i][0]) != 0)
			k++;
		ck_assert_int_eq(criteria_add(&c, (enum criterion_kind)k, given[i][1], &e), 0);
	}
	result = matches_in_all_phases(&c, &l);
	release(&l);
	criteria_release(&c);
	return result;
}

START_TEST(different_options_narrow_and_the_same_one_widens)
{
	static const char *const both[][2] = { { "from", ".example.org" }, { "older", "1h" } };
	static const char *const one_wrong[][2] = { { "from", ".example.org" }, { "older", "3h" } };
	static const char *const either[][2] = { { "from", "<>" }, { "from", ".example.org" }, { "tries", "4" } };
	static const char *const neither[][2] = { { "from", "<>" }, { "from", "x.org" } };

	ck_assert(matches(both, 2));
	ck_assert(!matches(one_wrong, 2));
	ck_assert(matches(either, 3));
	ck_assert(!matches(neither, 2));
	ck_assert(matches(NULL, 0));
}
END_TEST

START_TEST(what_is_not_known_yet_does_not_exclude)
{
	struct criteria c;
	struct listing l;
	struct err e;

	begin(&c);
	make(&l);
	ck_assert_int_eq(criteria_add(&c, CRITERION_TO, "a@one.example", &e), 0);
	ck_assert_int_eq(criteria_last_phase(&c), PHASE_STATE);
	spool_state_release(&l.state);
	ck_assert(criteria_match(&c, PHASE_MESSAGE, &l)); /* it may not have it */
	ck_assert_int_eq(criteria_add(&c, CRITERION_FROM, "x@y", &e), 0);
	ck_assert(!criteria_match(&c, PHASE_MESSAGE, &l));
	release(&l);
	criteria_release(&c);
}
END_TEST

START_TEST(damaged_messages_have_an_id_and_a_state_only)
{
	static const struct {
		enum criterion_kind kind;
		const char *value;
		bool matches;
	} expected[] = {
		{ CRITERION_STATE, "corrupt", true }, { CRITERION_OLDER, "1m", true }, { CRITERION_FROM, "*", false },
		{ CRITERION_SMALLER, "1k", false },   { CRITERION_TRIES, "0+", false }, { CRITERION_TO, "*", false },
	};
	struct listing l = { .condition = CONDITION_CORRUPT };

	set_id(&l.id, NOW_US - 120 * MINUTE_US);
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		struct criteria c;
		struct err e;

		begin(&c);
		ck_assert_int_eq(criteria_add(&c, expected[i].kind, expected[i].value, &e), 0);
		ck_assert_msg(matches_in_all_phases(&c, &l) == expected[i].matches, "row %zu", i);
		criteria_release(&c);
	}
}
END_TEST

/* A message that came from another spool has an id younger than its arrival. */
START_TEST(age_goes_by_arrival)
{
	static const struct {
		enum criterion_kind kind;
		const char *value;
		bool by_id, matches;
	} expected[] = {
		{ CRITERION_OLDER, "1h", true, true },	    { CRITERION_OLDER, "3h", true, false },
		{ CRITERION_YOUNGER, "1h", true, false },   { CRITERION_YOUNGER, "3h", true, true },
		{ CRITERION_YOUNGER, "5m", false, false }, /* its file is not opened for this */
	};
	struct listing l = { .condition = CONDITION_QUEUED, .msg.env.arrived_wall_us = NOW_US - 120 * MINUTE_US };
	struct listing id_only = { .condition = CONDITION_QUEUED };

	set_id(&l.id, NOW_US - 10 * MINUTE_US);
	id_only.id = l.id;
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		struct criteria c;
		struct err e;

		begin(&c);
		ck_assert_int_eq(criteria_add(&c, expected[i].kind, expected[i].value, &e), 0);
		ck_assert_msg(criteria_match(&c, PHASE_ID, &id_only) == expected[i].by_id, "row %zu by the id", i);
		ck_assert_msg((expected[i].by_id && matches_in_all_phases(&c, &l)) == expected[i].matches, "row %zu", i);
		criteria_release(&c);
	}
}
END_TEST

START_TEST(values_have_a_ceiling)
{
	char *longest = mem_alloc(CRITERION_TEXT_MAX + 2);
	struct criteria c;
	struct err e;

	begin(&c);
	memset(longest, 'a', CRITERION_TEXT_MAX + 1);
	ck_assert_int_eq(criteria_add(&c, CRITERION_ERROR, longest, &e), -1);
	longest[CRITERION_TEXT_MAX] = '\0';
	ck_assert_int_eq(criteria_add(&c, CRITERION_ERROR, longest, &e), 0);
	criteria_release(&c);
	free(longest);
}
END_TEST

/* ---- words and figures --------------------------------------------------------- */

START_TEST(every_action_has_its_words)
{
	for (unsigned a = 0; a < ACTION_COUNT; a++) {
		ck_assert_ptr_nonnull(change_words[a].doing);
		ck_assert_ptr_nonnull(change_words[a].done);
		ck_assert_ptr_nonnull(change_words[a].done_tail);
		ck_assert_ptr_nonnull(change_words[a].unchanged);
	}
}
END_TEST

START_TEST(numbers_are_grouped)
{
	char out[COUNT_TEXT_MAX], text[MESSAGES_TEXT_MAX];

	ck_assert_str_eq(count_text(0, out), "0");
	ck_assert_str_eq(count_text(999, out), "999");
	ck_assert_str_eq(count_text(1000, out), "1,000");
	ck_assert_str_eq(count_text(UINT64_MAX, out), "18,446,744,073,709,551,615");
	ck_assert_str_eq(messages_text(1, text), "1 message");
	ck_assert_str_eq(messages_text(UINT64_MAX, text), "18,446,744,073,709,551,615 messages");
}
END_TEST

START_TEST(the_progress_line_fits)
{
	static const struct {
		uint64_t total, done;
		int64_t elapsed_ms;
		size_t columns;
		const char *expected;
	} lines[] = {
		{ 50000, 25000, 5000, 60, "removing [######......]  50% 25,000/50,000, 5,000/s, 5s left" },
		{ 50000, 25000, 5000, 46, "removing  50% 25,000/50,000, 5,000/s, 5s left" },
		{ 10, 10, 1000, 200, "removing [########################################] 100% 10/10, 10/s" },
		{ 10, 0, 0, 80, "removing [........................................]   0% 0/10" },
		{ 0, 1234, 1000, 80, "removing 1,234, 1,234/s" },
		{ 50000, 25000, 5000, 12, "removing  5~" },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct progress p = { .what = "removing", .total = lines[i].total };
		struct buf out;

		buf_init(&out, 1000);
		progress_format(&p, lines[i].done, lines[i].elapsed_ms, lines[i].columns, &out);
		ck_assert_str_eq(out.data, lines[i].expected);
		ck_assert_uint_le(out.len, lines[i].columns);
		buf_release(&out);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("select");

	UNIT_CASE(suite, each_selector_means_what_the_table_says, every_option_is_in_the_table_of_this_test,
		  different_options_narrow_and_the_same_one_widens, what_is_not_known_yet_does_not_exclude,
		  damaged_messages_have_an_id_and_a_state_only, age_goes_by_arrival, values_have_a_ceiling,
		  every_action_has_its_words,
		  numbers_are_grouped, the_progress_line_fits);
	return unit_run(suite);
}
