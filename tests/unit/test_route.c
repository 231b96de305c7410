/* SPDX-License-Identifier: ISC */
/* manage/route.h: what patterns match, which are refused, which rule counts. */
#include "manage/route.h"

#include <string.h>

#include "unit.h"

#define S ROUTE_SENDER
#define R ROUTE_RECIPIENT
#define A ROUTE_AUTH_USER

static const struct {
	enum route_field field;
	const char *pattern, *value;
	bool matches;
} matches[] = {
	{ S, "user@example.org", "user@example.org", true },
	{ S, "user@example.org", "USER@Example.ORG", true },
	{ S, "user@example.org", "xuser@example.org", false },
	{ S, "user@example.org", "user@example.orgs", false },
	{ S, "user@example.org", "", false },
	{ S, "*@example.org", "a@example.org", true },
	{ S, "*@example.org", "\"x@y\"@EXAMPLE.org", true },
	{ S, "*@example.org", "a@example.org.evil.example", false },
	{ S, "*@example.org", "a@notexample.org", false },
	{ S, "*@example.org", "a@sub.example.org", false },
	{ S, "*@example.org", "\"a@example.org\"@elsewhere.example", false },
	{ S, "*@.example.org", "a@sub.example.org", true },
	{ R, "example.org", "a@example.org", true },
	{ R, "example.org", "example.org", false }, /* no '@' in the address: not in the domain */
	{ R, "example.org", "postmaster", false },
	{ R, ".example.org", "a@sub.example.org", true },
	{ R, ".example.org", "a@a.b.example.org", true },
	{ R, ".example.org", "a@example.org", false },
	{ R, ".example.org", "a@subexample.org", false },
	{ R, ".example.org", "a@.example.org", false },
	{ R, "[192.0.2.1]", "a@[192.0.2.1]", true },
	{ R, "\xc3\xa4.example", "a@\xc3\xa4.example", true },
	{ S, "<>", "", true },
	{ S, "<>", "<>", false },
	{ S, "<>", "a@b", false },
	{ S, "*", "", true },
	{ S, "*", "a@b", true },
	{ R, "*", "postmaster", true },
	{ A, "relay", "relay", true },
	{ A, "relay", "Relay", false }, /* names of users may differ by case alone */
	{ A, "example.org", "a@example.org", false },
	{ A, "*@example.org", "a@Example.org", true },
	{ A, "a@example.org", "A@example.org", true },
	{ A, "*", "relay", true },
};

START_TEST(test_matches)
{
	struct err e;

	ck_assert_msg(route_pattern_matches(matches[_i].field, matches[_i].pattern, matches[_i].value) ==
			      matches[_i].matches,
		      "%s and %s", matches[_i].pattern, matches[_i].value);
	ck_assert_int_eq(route_pattern_check(matches[_i].field, matches[_i].pattern, &e), 0);
}
END_TEST

static const struct {
	enum route_field field;
	const char *pattern;
} refused[] = {
	{ S, "" },
	{ S, "@" },
	{ S, "@example.org" },
	{ S, "user@" },
	{ S, "*@" },
	{ S, "*@*" },
	{ S, "user@*" },
	{ S, "us*r@example.org" },
	{ S, "*.example.org" },
	{ S, "**" },
	{ S, "." },
	{ S, ".." },
	{ S, "..example.org" },
	{ S, "example..org" },
	{ S, "example.org." },
	{ S, "-a" },
	{ S, "user@.example.org" },
	{ S, "<user@example.org>" },
	{ S, "a b@example.org" },
	{ S, "example org" },
	{ S, "a@[999.1.1.1]" },
	{ S, "/regex/" },
	{ R, "<>" },
	{ A, "<>@x y" },
	{ A, "" },
	{ A, "rel*" },
	{ A, "*@" },
};

START_TEST(test_refused)
{
	struct err e;

	err_set(&e, "nothing");
	ck_assert_msg(route_pattern_check(refused[_i].field, refused[_i].pattern, &e) == -1, "%s",
		      refused[_i].pattern);
	ck_assert_msg(strstr(e.text, "is no pattern: write") != NULL, "%s", e.text);
}
END_TEST

/* Up to two patterns a field. */
struct lists {
	const char *pattern[ROUTE_FIELDS][2];
};

static struct route_rule rule_of(const struct lists *lists, size_t upstream)
{
	struct route_rule rule = { .upstream = upstream };

	for (int field = 0; field < ROUTE_FIELDS; field++) {
		rule.pattern[field] = lists->pattern[field];
		while (rule.pattern_count[field] < 2 && lists->pattern[field][rule.pattern_count[field]])
			rule.pattern_count[field]++;
	}
	return rule;
}

static const struct {
	struct lists a, b;
	bool covers;
} pairs[] = {
	{ { { { 0 } } }, { { { "a@b" } } }, true },
	{ { { { 0 } } }, { { { 0 } } }, true },
	{ { { { "a@b" } } }, { { { 0 } } }, false },
	{ { { { "*" } } }, { { { 0 } } }, true },
	{ { { { "*" } } }, { { { "<>", "a" } } }, true },
	{ { { { "a@b" } } }, { { { "*" } } }, false },
	{ { { { "b" } } }, { { { "a@B" } } }, true },
	{ { { { "*@b" } } }, { { { "b" } } }, true },
	{ { { { ".b" } } }, { { { ".a.b", "c.b" } } }, true },
	{ { { { ".b" } } }, { { { "b" } } }, false },
	{ { { { "b" } } }, { { { ".b" } } }, false },
	{ { { { ".b", "b" } } }, { { { "x@a.b", "*@b" } } }, true },
	{ { { { "<>" } } }, { { { "<>" } } }, true },
	{ { { { "b" } } }, { { { "<>" } } }, false },
	{ { { { "b" }, { "c" } } }, { { { "b" } } }, false },
	{ { { { "b" } } }, { { { "b" }, { "c" } } }, true },
	{ { { { 0 }, { 0 }, { "*" } } }, { { { 0 } } }, false }, /* who did not log in gets to b */
	{ { { { 0 }, { 0 }, { "*" } } }, { { { 0 }, { 0 }, { "u" } } }, true },
	{ { { { 0 }, { 0 }, { "u" } } }, { { { 0 }, { 0 }, { "U" } } }, false },
	{ { { { 0 }, { 0 }, { "*@b" } } }, { { { 0 }, { 0 }, { "u@b" } } }, true },
};

START_TEST(test_covers)
{
	struct route_rule a = rule_of(&pairs[_i].a, 0), b = rule_of(&pairs[_i].b, 0);

	ck_assert(route_rule_covers(&a, &b) == pairs[_i].covers);
}
END_TEST

/* 0: fallback */
static const struct lists rules[] = {
	{ { { "*@billing.example" } } },
	{ { { "<>" }, { "partner.example" } } },
	{ { { 0 }, { "partner.example" }, { "app" } } },
	{ { { "news@example.org", ".example.org" }, { "*" } } },
	{ { { 0 }, { 0 }, { "*" } } },
};
static const struct {
	const char *sender, *recipient, *auth_user, *chosen;
	size_t upstream;
} found[] = {
	{ "a@billing.example", "b@partner.example", "app", NULL, 1 }, /* the first one counts */
	{ "", "b@partner.example", NULL, NULL, 2 },
	{ "", "b@elsewhere.example", NULL, NULL, 0 },
	{ "a@b", "b@partner.example", "app", NULL, 3 },
	{ "a@b", "b@partner.example", NULL, NULL, 0 },
	{ "news@example.org", "c@d", NULL, NULL, 4 },
	{ "x@y.example.org", "c@d", "who", NULL, 4 },
	{ "old@example.org", "c@d", NULL, NULL, 0 },
	{ "old@example.org", "c@d", "who", NULL, 5 },
	{ "a@billing.example", "c@d", NULL, "three", 3 }, /* the operator's choice goes before all rules */
	{ "a@billing.example", "c@d", NULL, "gone", 1 },
	{ "old@example.org", "c@d", NULL, "", 0 },
};

START_TEST(test_found)
{
	static const char *const names[] = { "zero", "one", "two", "three", "four", "five" };
	struct route_rule rule[sizeof(rules) / sizeof(rules[0])];
	struct routes routes = { NULL, rule, sizeof(rule) / sizeof(rule[0]), 0, names, 6 };
	struct envelope_rcpt rcpt[2] = { { .address = (char *)(uintptr_t)"other@nowhere.example" },
					 { .address = (char *)(uintptr_t)found[_i].recipient } };
	struct envelope env = { .sender = (char *)(uintptr_t)found[_i].sender,
				.rcpt = rcpt,
				.rcpt_count = 2,
				.auth_user = (char *)(uintptr_t)found[_i].auth_user };

	for (size_t i = 0; i < routes.rule_count; i++)
		rule[i] = rule_of(&rules[i], i + 1);
	ck_assert_uint_eq(route_find(&routes, &env, 1, found[_i].chosen), found[_i].upstream);
	routes.rule_count = 0;
	ck_assert_uint_eq(route_find(&routes, &env, 1, NULL), 0);
}
END_TEST

/* An address tells what is said of it: "yes@", "no@", anything else is not known. */
static enum route_listed ask(void *ctx, const char *address, int64_t arrived_wall_us)
{
	ck_assert_int_eq(arrived_wall_us, 42);
	++*(int *)ctx;
	return strncmp(address, "yes@", 4) == 0  ? ROUTE_LISTED_YES
	       : strncmp(address, "no@", 3) == 0 ? ROUTE_LISTED_NO
						 : ROUTE_LISTED_UNKNOWN;
}

START_TEST(test_lists)
{
	static const char *const names[] = { "zero", "lists", "two" };
	static const char *const all[] = { "*" };
	static const struct route_rule rule = { .pattern = { [ROUTE_RECIPIENT] = all },
						.pattern_count = { [ROUTE_RECIPIENT] = 1 }, .upstream = 2 };
	int asked = 0;
	struct route_lists lists = { ask, &asked, 1 };
	struct routes routes = { .lists = &lists, .rule = &rule, .rule_count = 1, .upstream_name = names,
				 .upstream_count = 3 };
	struct envelope_rcpt rcpt[3] = { { .address = (char *)(uintptr_t)"yes@a.example" },
					 { .address = (char *)(uintptr_t)"no@a.example" },
					 { .address = (char *)(uintptr_t)"who@a.example" } };
	struct envelope env = { .sender = (char *)(uintptr_t)"", .rcpt = rcpt, .rcpt_count = 3, .arrived_wall_us = 42 };

	/* before the rules, but behind the operator's choice */
	ck_assert_uint_eq(route_find(&routes, &env, 0, NULL), 1);
	ck_assert_uint_eq(route_find(&routes, &env, 1, NULL), 2);
	ck_assert_uint_eq(route_find(&routes, &env, 2, NULL), 3); /* undecided */
	ck_assert_uint_eq(route_find(&routes, &env, 2, "gone"), 3);
	ck_assert_int_eq(asked, 4);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(route_find(&routes, &env, i, "zero"), 0);
	ck_assert_int_eq(asked, 4);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

int main(void)
{
	Suite *s = suite_create("route");
	TCase *c = tcase_create("route");

	tcase_add_test(c, test_lists);
	tcase_add_loop_test(c, test_matches, 0, COUNT(matches));
	tcase_add_loop_test(c, test_refused, 0, COUNT(refused));
	tcase_add_loop_test(c, test_covers, 0, COUNT(pairs));
	tcase_add_loop_test(c, test_found, 0, COUNT(found));
	suite_add_tcase(s, c);
	return unit_run(s);
}
