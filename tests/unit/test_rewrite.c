/* SPDX-License-Identifier: ISC */
/* rewrite/: addresses by rules, aliases, fields and whole headers. Tables of cases, and random cuts. */
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "rewrite/field.h"
#include "rewrite/header_filter.h"
#include "rewrite/rules.h"
#include "unit.h"

#define LIST(...) ((const char *const[]){ __VA_ARGS__ })
#define SENDER (1u << REWRITE_SENDER)
#define RECIPIENT (1u << REWRITE_RECIPIENT)
#define HEADER (1u << REWRITE_HEADER)

/* ---- addresses --------------------------------------------------------------------- */

static const struct rewrite_rule some_rules[] = {
	{ LIST("boss@example.org"), 1, "chief@example.com", SENDER | RECIPIENT | HEADER },
	{ LIST("*@old.example", ".old.example"), 2, "*@new.example", SENDER | HEADER },
	{ LIST("to@only.example"), 1, "@else.example", RECIPIENT },
	{ LIST("both@only.example"), 1, "first@example.com", SENDER },
	{ LIST("*@only.example"), 1, "second@example.com", SENDER },
	{ LIST("keep@deep.example.net"), 1, "keep@host.example.net", SENDER },
	{ LIST("utf8@example.org"), 1, "gr\xc3\xbc\xc3\x9f@example.org", SENDER },
	{ LIST("*@long.example"), 1,
	  "@a-domain-that-is-rather-long.a-domain-that-is-rather-long.a-domain-that-is-rather-long.example", SENDER | HEADER },
};

static const struct rewrite_rules all = {
	.default_domain = "default.example",
	.hostname = "relay.example",
	.masquerade = LIST("example.net", "Sub.Example.Org", "example.org"),
	.masquerade_count = 3,
	.unmasked = LIST("root", "daemon"),
	.unmasked_count = 2,
	.rule = some_rules,
	.rule_count = sizeof(some_rules) / sizeof(some_rules[0]),
	.max_recipients = 100,
};
static const struct rewrite_rules none = { .hostname = "relay.example", .max_recipients = 100 };

#define LONG_LOCAL                                                                                       \
	"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiiijjjjjjjjjj" \
	"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiiijjjjjjjjjj"

START_TEST(addresses)
{
	static const struct {
		const struct rewrite_rules *rules;
		enum rewrite_use use;
		bool utf8;
		const char *address;
		const char *becomes; /* NULL: invalid */
	} rows[] = {
		/* the null reverse-path, and nothing to do */
		{ &all, REWRITE_SENDER, false, "", "" },
		{ &all, REWRITE_HEADER, false, "", "" },
		{ &none, REWRITE_SENDER, false, "root", "root" },
		{ &none, REWRITE_RECIPIENT, false, "Postmaster", "Postmaster" },
		{ &all, REWRITE_SENDER, false, "a@b.example", "a@b.example" },
		/* a domain where there is none */
		{ &all, REWRITE_SENDER, false, "joe", "joe@default.example" },
		{ &all, REWRITE_RECIPIENT, false, "joe", "joe@default.example" },
		{ &all, REWRITE_HEADER, false, "joe", "joe@default.example" },
		{ &all, REWRITE_RECIPIENT, false, "Postmaster", "Postmaster@default.example" },
		{ &all, REWRITE_SENDER, false, "\"a@b\"", "\"a@b\"@default.example" },
		{ &all, REWRITE_SENDER, false, "\"a\\\"@b\"", "\"a\\\"@b\"@default.example" },
		/* rules: what they apply to, the first that matches, what stays of the address */
		{ &all, REWRITE_SENDER, false, "boss@example.org", "chief@example.com" },
		{ &all, REWRITE_RECIPIENT, false, "BOSS@Example.org", "chief@example.com" },
		{ &all, REWRITE_HEADER, false, "boss@example.org", "chief@example.com" },
		{ &all, REWRITE_SENDER, false, "Any.One+x@old.example", "Any.One+x@new.example" },
		{ &all, REWRITE_SENDER, false, "x@a.old.example", "x@new.example" },
		{ &all, REWRITE_RECIPIENT, false, "x@old.example", "x@old.example" },
		{ &all, REWRITE_SENDER, false, "\"quoted @ it\"@old.example", "\"quoted @ it\"@new.example" },
		{ &all, REWRITE_RECIPIENT, false, "to@only.example", "to@else.example" },
		{ &all, REWRITE_SENDER, false, "both@only.example", "first@example.com" },
		{ &all, REWRITE_SENDER, false, "other@only.example", "second@example.com" },
		/* a rule has the last word */
		{ &all, REWRITE_SENDER, false, "keep@deep.example.net", "keep@host.example.net" },
		/* masquerade: hosts of a domain, not the domain, not what only ends like it; first fit; exceptions */
		{ &all, REWRITE_SENDER, false, "x@host.example.net", "x@example.net" },
		{ &all, REWRITE_SENDER, false, "x@a.b.EXAMPLE.net", "x@example.net" },
		{ &all, REWRITE_SENDER, false, "x@Example.Net", "x@Example.Net" },
		{ &all, REWRITE_SENDER, false, "x@notexample.net", "x@notexample.net" },
		{ &all, REWRITE_SENDER, false, "x@host.sub.example.org", "x@Sub.Example.Org" },
		{ &all, REWRITE_SENDER, false, "x@sub.example.org", "x@sub.example.org" },
		{ &all, REWRITE_SENDER, false, "x@else.example.org", "x@example.org" },
		{ &all, REWRITE_SENDER, false, "root@host.example.net", "root@host.example.net" },
		{ &all, REWRITE_SENDER, false, "ROOT@host.example.net", "ROOT@host.example.net" },
		{ &all, REWRITE_SENDER, false, "roots@host.example.net", "roots@example.net" },
		{ &all, REWRITE_HEADER, false, "x@host.example.net", "x@example.net" },
		{ &all, REWRITE_RECIPIENT, false, "x@host.example.net", "x@host.example.net" },
		/* what cannot be an address */
		{ &all, REWRITE_SENDER, false, "utf8@example.org", NULL },
		{ &all, REWRITE_SENDER, true, "utf8@example.org", "gr\xc3\xbc\xc3\x9f@example.org" },
		{ &all, REWRITE_SENDER, false, LONG_LOCAL "@long.example", NULL },
		{ &all, REWRITE_HEADER, false, LONG_LOCAL "@long.example", NULL },
		{ &all, REWRITE_SENDER, false, "short@long.example",
		  "short@a-domain-that-is-rather-long.a-domain-that-is-rather-long.a-domain-that-is-rather-long.example" },
		/* it was none before */
		{ &all, REWRITE_HEADER, false, "two..dots@host.example.net", "two..dots@host.example.net" },
		{ &all, REWRITE_HEADER, false, "gr\xc3\xbc@host.example.net", "gr\xc3\xbc@host.example.net" },
		{ &all, REWRITE_HEADER, true, "gr\xc3\xbc@host.example.net", "gr\xc3\xbc@example.net" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[SMTP_PATH_MAX];
		const char *why = NULL, *expected = rows[i].becomes ? rows[i].becomes : rows[i].address;
		enum rewrite_outcome r =
			rewrite_address(rows[i].rules, rows[i].use, rows[i].address, rows[i].utf8, out, &why);

		ck_assert_msg(strcmp(out, expected) == 0, "row %zu: %s became %s", i, rows[i].address, out);
		if (!rows[i].becomes)
			ck_assert_msg(r == REWRITE_INVALID && why, "row %zu: %d", i, (int)r);
		else
			ck_assert_int_eq(r, strcmp(rows[i].address, expected) == 0 ? REWRITE_SAME : REWRITE_CHANGED);
	}
}
END_TEST

START_TEST(targets)
{
	static const struct {
		const char *to;
		bool good;
	} rows[] = {
		{ "a@example.org", true },   { "*@example.org", true }, { "@example.org", true },
		{ "\"a b\"@example.org", true }, { "a@[192.0.2.1]", true }, { "gr\xc3\xbc@example.org", true },
		{ "*@[192.0.2.1]", true },   { "example.org", false },	{ "*", false },
		{ "", false },		     { "@", false },		{ "*@", false },
		{ "<a@example.org>", false }, { "a b@example.org", false }, { "a@example..org", false },
		{ "**@example.org", true }, /* a local part like another */
		{ "a@example.org b@example.org", false },
	};
	struct err e;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg((rewrite_target_check(rows[i].to, &e) == 0) == rows[i].good, "\"%s\"", rows[i].to);
}
END_TEST

/* ---- aliases -------------------------------------------------------------------------- */

static void collect_error(void *ctx, const char *message)
{
	struct buf *b = ctx;

	buf_addf(b, "%s\n", message);
}

static struct aliases *parse(const char *text, size_t most, struct buf *errors)
{
	const struct aliases_setup setup = { .domain = LIST("localhost", "relay.example"),
					     .domain_count = 2,
					     .expansion_max = most };

	return aliases_parse("/aliases", text, strlen(text), &setup, collect_error, errors);
}

static bool collect_address(void *ctx, const char *address)
{
	struct buf *b = ctx;

	buf_addf(b, "<%s>", address);
	return true;
}

static const char good_aliases[] =
	"# a comment\n"
	"\n"
	"postmaster: root\n"
	"Root: admin@example.org,\r\n"
	"\t\"second man\" ,  <third@example.org>\n"
	"# between\n"
	"   , fourth@relay.example\n"
	"   # nothing\n"
	"fourth: final@example.net\n"
	"self: \\self, other@example.org\n"
	"\"spaced name\" : x@example.org\n"
	"\"a:b\":y@example.org\n"
	"twice: root, admin@example.org, root\n"
	"last: \"quo,ted\"@example.org";

START_TEST(aliases_in_use)
{
	static const struct {
		const char *address;
		const char *leads_to; /* NULL: it is none */
	} rows[] = {
		{ "postmaster", "<admin@example.org><\"second man\"><third@example.org><final@example.net>" },
		{ "ROOT@localhost", "<admin@example.org><\"second man\"><third@example.org><final@example.net>" },
		{ "root@RELAY.example", "<admin@example.org><\"second man\"><third@example.org><final@example.net>" },
		{ "root@example.org", NULL },
		{ "nobody", NULL },
		{ "", NULL },
		{ "self", "<self><other@example.org>" },
		{ "\"Spaced Name\"@localhost", "<x@example.org>" },
		{ "\"a\\:b\"", "<y@example.org>" },
		{ "\"root\"", "<admin@example.org><\"second man\"><third@example.org><final@example.net>" },
		{ "\"root@localhost\"", NULL },
		{ "twice", "<admin@example.org><\"second man\"><third@example.org><final@example.net><admin@example.org>" },
		{ "last", "<\"quo,ted\"@example.org>" },
	};
	struct buf errors, got;
	struct aliases *a;

	buf_init(&errors, 10000);
	buf_init(&got, 10000);
	a = parse(good_aliases, 100, &errors);
	ck_assert_str_eq(errors.data, "");
	ck_assert_uint_eq(aliases_count(a), 8);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool found;

		buf_clear(&got);
		found = aliases_expand(a, rows[i].address, collect_address, &got);
		ck_assert_msg(found == (rows[i].leads_to != NULL), "%s", rows[i].address);
		ck_assert_str_eq(got.data, rows[i].leads_to ? rows[i].leads_to : "");
	}
	aliases_free(a);
	buf_release(&got);
	buf_release(&errors);
}
END_TEST

START_TEST(aliases_that_are_refused)
{
	static const struct {
		const char *text, *told; /* a part of each message, "|" between them */
	} rows[] = {
		{ "a: |/bin/cat", "/aliases:1: alias \"a\": \"|/bin/cat\" is a command" },
		{ "a: b@c.example\nb: \"|/bin/cat -a, -b\"\n", "/aliases:2: alias \"b\": \"\"|/bin/cat -a, -b\"\" is a command" },
		{ "a:\n  /var/mail/a\n", ":1: alias \"a\": \"/var/mail/a\" is a file" },
		{ "a: \"/var/mail/a\"", "is a file" },
		{ "a: :include:/etc/list", "is :include:" },
		{ "a: :Include:/etc/list", "is :include:" },
		{ "a: :fail: no", "is a special address" },
		{ "a: b c", "\"b c\" is no address" },
		{ "a: b@", "is no address" },
		{ "a: b@c..d", "is no address" },
		{ "a: <b", "is no address" },
		{ "a: \"b", "a quote has no end" },
		{ "a", ":1: no alias" },
		{ "\"a", ":1: no alias" },
		{ ": b", "has no name" },
		{ "a:", "leads nowhere" },
		{ "a: ,", "leads nowhere" },
		{ "a b: c", "is no name of an alias" },
		{ "a@b: c", "an alias has no domain" },
		{ "  a: b", ":1: a line that begins with a space" },
		{ "a: b\nA: c\n", "/aliases:2: alias \"a\" stands twice, before on line 1" },
		{ "a: a", ":1: alias \"a\" leads back to itself by \"a\": write a backslash" },
		{ "a: b@localhost\nb: c\nc: A\n", "leads back to itself" },
		{ "a: x@y.example, x@y.example, x1@y.example, x2@y.example, x3@y.example\n", "more than 4 addresses" },
		{ "a: |b\nc d: e\n", ":1: alias \"a\"|:2: \"c d\"" },
		{ "a: \x1b[31m@x\n", "\"?[31m@x\" is no address" },
	};
	struct buf errors;

	buf_init(&errors, 10000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *part = rows[i].told;

		buf_clear(&errors);
		ck_assert_msg(!parse(rows[i].text, 4, &errors), "%s", rows[i].text);
		while (*part) {
			size_t len = part[0] == '/' || strchr(part, '/') ? strlen(part) : strcspn(part, "|");
			char *one = mem_strndup(part, len);

			ck_assert_msg(strstr(errors.data, one) != NULL, "%s: %s", rows[i].text, errors.data);
			free(one);
			part += len + (part[len] == '|');
		}
	}
	buf_release(&errors);
}
END_TEST

/* 20 aliases in a row are taken, 21 are not; wherever the reading begins. */
START_TEST(aliases_are_not_nested_too_deep)
{
	for (int turn = 0; turn < 4; turn++) {
		unsigned depth = turn & 1 ? ALIASES_DEPTH_MAX + 1 : ALIASES_DEPTH_MAX;
		struct buf text, errors;
		struct aliases *a;

		buf_init(&text, 10000);
		buf_init(&errors, 10000);
		for (unsigned i = 0; i < depth; i++) {
			/* sorted forwards and backwards */
			unsigned n = turn & 2 ? 100 - i : i, next = turn & 2 ? n - 1 : n + 1;

			buf_addf(&text, "n%03u: n%03u\n", n, next);
		}
		a = parse(text.data, 10, &errors);
		ck_assert_msg((a != NULL) == (depth <= ALIASES_DEPTH_MAX), "%u: %s", depth, errors.data);
		aliases_free(a);
		buf_release(&text);
		buf_release(&errors);
	}
}
END_TEST

/* Each alias names the next one twice: by following each way it would be a million steps. */
START_TEST(aliases_that_share_do_not_explode)
{
	struct buf text, errors, got;
	struct aliases *a;

	buf_init(&text, 10000);
	buf_init(&errors, 10000);
	buf_init(&got, 100);
	for (int i = 0; i < ALIASES_DEPTH_MAX; i++)
		buf_addf(&text, "n%d: n%d, N%d@localhost\n", i, i + 1, i + 1);
	a = parse(text.data, 10, &errors);
	ck_assert_str_eq(errors.data, "");
	ck_assert(aliases_expand(a, "n0", collect_address, &got));
	ck_assert_str_eq(got.data, "<n20><N20@localhost>");
	aliases_free(a);
	buf_release(&text);
	buf_release(&errors);
	buf_release(&got);
}
END_TEST

START_TEST(recipients)
{
	static const struct {
		const char *address;
		bool utf8;
		enum rewrite_outcome outcome;
		const char *becomes;
	} rows[] = {
		{ "root@localhost", false, REWRITE_CHANGED, "<admin@example.org><\"second man\"@default.example>"
							    "<third@example.org><final@example.net>" },
		{ "twice", false, REWRITE_CHANGED, "<admin@example.org><\"second man\"@default.example>"
						   "<third@example.org><final@example.net>" },
		{ "boss@example.org", false, REWRITE_CHANGED, "<chief@example.com>" },
		{ "someone", false, REWRITE_CHANGED, "<someone@default.example>" },
		{ "a@b.example", false, REWRITE_SAME, "<a@b.example>" },
		{ "chief", false, REWRITE_CHANGED, "<chief@example.com>" },
		{ "many", false, REWRITE_TOO_MANY, NULL },
		{ "german", false, REWRITE_INVALID, NULL },
		{ "german", true, REWRITE_CHANGED, "<gr\xc3\xbc\xc3\x9f@example.org>" },
	};
	struct rewrite_rules rules = all;
	struct buf text, errors, got;

	buf_init(&text, 10000);
	buf_init(&errors, 10000);
	buf_init(&got, 10000);
	/* behind the aliases come the rules */
	buf_addf(&text, "%s\nchief: boss@example.org\nmany: a1,a2,a3,a4,a5\ngerman: gr\xc3\xbc\xc3\x9f@example.org\n",
		 good_aliases);
	rules.aliases = parse(text.data, 100, &errors);
	rules.max_recipients = 4;
	ck_assert_str_eq(errors.data, "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rewrite_targets t = { 0 };
		const char *why = "";

		ck_assert_msg(rewrite_recipient(&rules, rows[i].address, rows[i].utf8, &t, &why) == rows[i].outcome,
			      "%s: %s", rows[i].address, why);
		buf_clear(&got);
		for (size_t k = 0; k < t.count; k++)
			buf_addf(&got, "<%s>", t.address[k]);
		if (rows[i].becomes)
			ck_assert_str_eq(got.data, rows[i].becomes);
		rewrite_targets_release(&t);
	}
	/* who is no alias is still led somewhere without a default domain, but not in a header */
	rules.default_domain = NULL;
	{
		char out[SMTP_PATH_MAX];
		const char *why;

		ck_assert_int_eq(rewrite_address(&rules, REWRITE_RECIPIENT, "nobody", false, out, &why), REWRITE_CHANGED);
		ck_assert_str_eq(out, "nobody@relay.example");
		ck_assert_int_eq(rewrite_address(&rules, REWRITE_HEADER, "nobody", false, out, &why), REWRITE_SAME);
	}
	aliases_free(rules.aliases);
	buf_release(&text);
	buf_release(&errors);
	buf_release(&got);
}
END_TEST

/* ---- fields ------------------------------------------------------------------------------ */

#define N70 "1234567890123456789012345678901234567890123456789012345678901234567890"

START_TEST(fields)
{
	static const struct {
		const char *field;
		enum field_outcome outcome;
		const char *becomes;
	} rows[] = {
		{ "From: x@host.example.net\r\n", FIELD_CHANGED, "From: x@example.net\r\n" },
		{ "From:x@host.example.net\r\n", FIELD_CHANGED, "From:x@example.net\r\n" },
		{ "from : Joe <x@host.example.net>\r\n", FIELD_CHANGED, "from : Joe <x@example.net>\r\n" },
		{ "From: \"Joe (x) <y@z>, Q.\" <x@host.example.net> (and (more) so)\r\n", FIELD_CHANGED,
		  "From: \"Joe (x) <y@z>, Q.\" <x@example.net> (and (more) so)\r\n" },
		{ "From: =?utf-8?q?J=C3=B6?= <x@host.example.net>,\r\n\t a@b.example,\r\n (c) y@host.example.net\r\n", FIELD_CHANGED,
		  "From: =?utf-8?q?J=C3=B6?= <x@example.net>,\r\n\t a@b.example,\r\n (c) y@example.net\r\n" },
		{ "Reply-To: Friends: a@host.example.net, B <b@host.example.net>;, c@old.example\r\n", FIELD_CHANGED,
		  "Reply-To: Friends: a@example.net, B <b@example.net>;, c@new.example\r\n" },
		{ "Sender: <@route.example,@two:x@host.example.net>\r\n", FIELD_CHANGED, "Sender: <x@example.net>\r\n" },
		{ "From: x (why not) @ host . example . net (yes)\r\n", FIELD_CHANGED, "From: x@example.net (yes)\r\n" },
		{ "From: root (Charlie)\r\n", FIELD_CHANGED, "From: root@default.example (Charlie)\r\n" },
		{ "From: \"x y\"@host.example.net\r\n", FIELD_CHANGED, "From: \"x y\"@example.net\r\n" },
		{ "From: J\xc3\xb6 <x@host.example.net>\r\n", FIELD_CHANGED, "From: J\xc3\xb6 <x@example.net>\r\n" },
		{ "From: x@host.example.net", FIELD_CHANGED, "From: x@example.net" },
		{ "From: a@b.example, <>\r\n", FIELD_SAME, "" },
		{ "From: undisclosed:;\r\n", FIELD_SAME, "" },
		{ "From:\r\n", FIELD_SAME, "" },
		{ "From: two..dots@host.example.net\r\n", FIELD_SAME, "" },
		{ "From: Joe Doe\r\n", FIELD_UNREADABLE, "" },
		{ "From: x@host.example.net, Joe <y@z\r\n", FIELD_UNREADABLE, "" },
		{ "From: \"x@host.example.net\r\n", FIELD_UNREADABLE, "" },
		{ "From: (x@host.example.net\r\n", FIELD_UNREADABLE, "" },
		{ "From: " LONG_LOCAL "@long.example\r\n", FIELD_INVALID, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = { 0 };
		struct buf out;
		enum field_outcome r;

		buf_init(&out, FILTER_OUT_MAX);
		r = field_rewrite(&all, rows[i].field, strlen(rows[i].field), false, &out, &e);
		ck_assert_msg(r == rows[i].outcome, "%s: %d %s", rows[i].field, (int)r, e.text);
		if (rows[i].becomes)
			ck_assert_str_eq(out.data, rows[i].becomes);
		buf_release(&out);
	}
}
END_TEST

START_TEST(originals_are_kept_behind)
{
	static const char field[] = "Resent-From: Joe\r\n <x@host.example.net>\r\n";
	struct rewrite_rules rules = all;
	struct buf out;
	struct err e;

	rules.keep_original = true;
	buf_init(&out, 1000);
	ck_assert_int_eq(field_rewrite(&rules, field, strlen(field), false, &out, &e), FIELD_CHANGED);
	ck_assert_str_eq(out.data, "Resent-From: Joe\r\n <x@example.net>\r\n"
				   "X-Original-Resent-From: Joe\r\n <x@host.example.net>\r\n");
	buf_release(&out);
}
END_TEST

/* RFC 5322 2.1.1: however much longer the addresses get */
START_TEST(lines_do_not_get_too_long)
{
	struct rewrite_rules rules = { .default_domain = N70 ".example.org", .keep_original = true };
	struct buf field, out;
	struct err e;
	size_t line = 0;

	rules.default_domain = "a23456789012345678901234567890.b23456789012345678901234567890.example.org";
	buf_init(&field, 10000);
	buf_init(&out, FILTER_OUT_MAX);
	buf_adds(&field, "From: a");
	while (field.len < 990)
		buf_adds(&field, ", ab");
	buf_adds(&field, "\r\n");
	ck_assert_int_eq(field_rewrite(&rules, field.data, field.len, false, &out, &e), FIELD_CHANGED);
	for (size_t i = 0; i < out.len; i++) {
		line = out.data[i] == '\n' ? 0 : line + 1;
		ck_assert_uint_le(line, 999); /* with its CR */
	}
	ck_assert(strstr(out.data, "X-Original-From:\r\n"));
	buf_release(&field);
	buf_release(&out);
}
END_TEST

/* ---- whole headers ------------------------------------------------------------------------- */

static struct rewrite_rules filter_rules(void)
{
	static const char *const remove[] = { "X-Mailer", "X-Secret-*", "received" };
	struct rewrite_rules r = all;

	r.headers = true;
	r.remove = remove;
	r.remove_count = 3;
	return r;
}

static bool add_to(void *ctx, const char *data, size_t len)
{
	ck_assert_uint_gt(len, 0);
	return buf_add(ctx, data, len);
}

/* Runs text through a filter, cut where cut() says; returns what came of it, counters in f. */
static enum filter_result run_filter(const struct rewrite_rules *rules, const char *text, size_t len,
				     unsigned piece_max, struct header_filter *f, struct buf *out)
{
	enum filter_result r = FILTER_OK;
	size_t at = 0;

	header_filter_init(f, rules, false, add_to, out);
	while (r == FILTER_OK && at < len) {
		size_t n = piece_max == 0 ? len : piece_max == 1 ? 1 : 1 + (size_t)rand() % piece_max;

		n = n < len - at ? n : len - at;
		r = header_filter_feed(f, text + at, n);
		at += n;
		ck_assert_uint_le(f->held.len, FILTER_FIELD_MAX);
	}
	if (r == FILTER_OK)
		r = header_filter_finish(f);
	header_filter_release(f);
	return r;
}

static void check_filter(const struct rewrite_rules *rules, const char *text, size_t len, const char *expected,
			 size_t expected_len, unsigned rewritten, unsigned removed, unsigned skipped)
{
	for (unsigned round = 0; round < 12; round++) {
		unsigned piece = round < 2 ? round : 1 + (unsigned)rand() % 40;
		struct header_filter f;
		struct buf out;

		buf_init(&out, 1 << 22);
		ck_assert_int_eq(run_filter(rules, text, len, piece, &f, &out), FILTER_OK);
		ck_assert_msg(out.len == expected_len && memcmp(out.data, expected, expected_len) == 0,
			      "pieces of %u: %s became %s", piece, text, out.data);
		ck_assert_uint_eq(f.rewritten, rewritten);
		ck_assert_uint_eq(f.removed, removed);
		ck_assert_uint_eq(f.skipped, skipped);
		buf_release(&out);
	}
}

START_TEST(headers)
{
	static const struct {
		const char *text, *becomes; /* NULL: the same */
		unsigned rewritten, removed, skipped;
	} rows[] = {
		{ "", NULL, 0, 0, 0 },
		{ "\r\n", NULL, 0, 0, 0 },
		{ "\r\nX-Mailer: body\r\nFrom: x@host.example.net\r\n", NULL, 0, 0, 0 },
		{ "Subject: a\r\n b\r\nTo: x@host.example.net\r\n\r\nbody\r\n", NULL, 0, 0, 0 },
		{ "From: x@host.example.net\r\n\r\nFrom: x@host.example.net\r\n", "From: x@example.net\r\n\r\nFrom: x@host.example.net\r\n",
		  1, 0, 0 },
		{ "A: b\r\nFROM:\r\n x@host.example.net\r\nSender: y@host.example.net\r\n\r\n",
		  "A: b\r\nFROM:\r\n x@example.net\r\nSender: y@example.net\r\n\r\n", 2, 0, 0 },
		{ "From: x@host.example.net\r\n", "From: x@example.net\r\n", 1, 0, 0 }, /* no body at all */
		{ "x-mailer: a\r\n b\r\n\tc\r\nA: b\r\n\r\nc", "A: b\r\n\r\nc", 0, 1, 0 },
		{ "A: b\r\nX-Secret-Thing : a\r\nX-Secret-: b\r\nX-Secret: c\r\nReceived: d\r\n\r\n", "A: b\r\nX-Secret: c\r\n\r\n", 0, 3,
		  0 },
		{ "X-Mailer: a", "", 0, 1, 0 },
		{ "X-Mailer", NULL, 0, 0, 0 },
		{ "Fro", NULL, 0, 0, 0 },
		/* the header ends where a line is no field */
		{ "A: b\r\nno field\r\nX-Mailer: a\r\n", NULL, 0, 0, 0 },
		{ " leading\r\nX-Mailer: a\r\n", NULL, 0, 0, 0 },
		{ "A: b\r\n: c\r\nX-Mailer: a\r\n", NULL, 0, 0, 0 },
		{ "A: b\r\n\r\r\nX-Mailer: a\r\n", NULL, 0, 0, 0 },
		{ "A: b\r\nX-M\xc3\xa4ler: c\r\nX-Mailer: a\r\n", NULL, 0, 0, 0 },
		/* white space alone still goes on with the field (RFC 5322 4.2) */
		{ "From: x@host.example.net,\r\n \r\n y@host.example.net\r\nX-Mailer: c\r\n \r\n\r\nX-Mailer: b\r\n",
		  "From: x@example.net,\r\n \r\n y@example.net\r\n\r\nX-Mailer: b\r\n", 1, 1, 0 },
		{ "From: not one\r\nX-Mailer: a\r\n\r\n", "From: not one\r\n\r\n", 0, 1, 1 },
		{ "From:\r\n\r\n", NULL, 0, 0, 0 },
		{ "From \r\n\r\n", NULL, 0, 0, 0 },
		{ "From: a@b.example\r\n\r\n\xff\xfe\x80 dots:\r\n.\r\n..\r\n", NULL, 0, 0, 0 },
	};
	struct rewrite_rules rules = filter_rules();

	srand(4);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *expected = rows[i].becomes ? rows[i].becomes : rows[i].text;

		check_filter(&rules, rows[i].text, strlen(rows[i].text), expected, strlen(expected), rows[i].rewritten,
			     rows[i].removed, rows[i].skipped);
	}
}
END_TEST

START_TEST(large_fields)
{
	struct rewrite_rules rules = filter_rules();
	struct buf text, kept;

	srand(5);
	buf_init(&text, 1 << 20);
	buf_init(&kept, 1 << 20);
	/* one that is too large to be looked at, one that is taken out whatever its size, and what comes behind */
	buf_adds(&text, "From: x@host.example.net");
	while (text.len < FILTER_FIELD_MAX)
		buf_adds(&text, ",\r\n " N70 "@host.example.net");
	buf_adds(&text, "\r\nA: b\r\n");
	buf_add(&kept, text.data, text.len);
	buf_adds(&text, "X-Mailer:");
	while (text.len < 3 * FILTER_FIELD_MAX)
		buf_adds(&text, " " N70 "\r\n");
	buf_adds(&text, "\r\nbody\r\n");
	buf_adds(&kept, "\r\nbody\r\n");
	check_filter(&rules, text.data, text.len, kept.data, kept.len, 0, 1, 1);
	/* a line of that size without a colon is no field; all of it passes */
	buf_clear(&text);
	while (text.len < 2 * FILTER_FIELD_MAX)
		buf_adds(&text, N70);
	buf_adds(&text, "\r\nX-Mailer: a\r\n");
	check_filter(&rules, text.data, text.len, text.data, text.len, 0, 0, 1);
	buf_release(&text);
	buf_release(&kept);
}
END_TEST

START_TEST(an_invalid_address_stops_it)
{
	static const char text[] = "A: b\r\nFrom: " LONG_LOCAL "@long.example\r\nTo: x\r\n\r\n";
	struct rewrite_rules rules = filter_rules();
	struct header_filter f;
	struct buf out;

	buf_init(&out, 10000);
	ck_assert_int_eq(run_filter(&rules, text, strlen(text), 7, &f, &out), FILTER_INVALID);
	ck_assert_msg(strstr(f.why.text, "longer than 256"), "%s", f.why.text);
	ck_assert_int_eq(run_filter(&rules, text, strlen(text) - 11, 0, &f, &out), FILTER_INVALID); /* at the end of data */
	buf_release(&out);
}
END_TEST

/* Random messages of what headers are made of: without rules they come out as they went in, however they are cut. */
START_TEST(without_rules_nothing_changes)
{
	static const char *const parts[] = { "From", ":", " ", "\t", "\r\n", "\r\n ", "\r", "\n", "X-Mailer: ", "Sender: ", "a@b",
					     "<", ">", ",", "(", ")", "\"", "\\", ";", "\xc3\xbc", "\x80", ".", "Received: x\r\n",
					     "\r\n\r\n", "x", "=?utf-8?q?a?=", "Reply-To:", "\0" };
	static const struct rewrite_rules headers_only = { .headers = true, .max_recipients = 1 };

	srand(6);
	for (int round = 0; round < 3000; round++) {
		struct header_filter f;
		struct buf text, out;

		buf_init(&text, 10000);
		buf_init(&out, 10000);
		for (int n = rand() % 60; n > 0; n--) {
			const char *part = parts[(size_t)rand() % (sizeof(parts) / sizeof(parts[0]))];

			buf_add(&text, part, *part ? strlen(part) : 1);
		}
		ck_assert_int_eq(run_filter(&headers_only, text.data, text.len, 1 + (unsigned)rand() % 30, &f, &out), FILTER_OK);
		ck_assert_uint_eq(out.len, text.len);
		ck_assert_mem_eq(out.data, text.data, text.len);
		buf_release(&text);
		buf_release(&out);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rewrite");

	UNIT_CASE(s, addresses, targets, aliases_in_use, aliases_that_are_refused, aliases_are_not_nested_too_deep,
		  aliases_that_share_do_not_explode, recipients, fields, originals_are_kept_behind,
		  lines_do_not_get_too_long, headers, large_fields, an_invalid_address_stops_it,
		  without_rules_nothing_changes);
	return unit_run(s);
}
