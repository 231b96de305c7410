/* SPDX-License-Identifier: ISC */
/* Paths, parameters, replies going out, trace headers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "smtp/deliver_by.h"
#include "smtp/params.h"
#include "smtp/path.h"
#include "smtp/received.h"
#include "smtp/reply.h"
#include "unit.h"

/* ---- paths ------------------------------------------------------------------ */

enum { NONE = 0, NULL_OK = SMTP_PATH_NULL_OK, PM = SMTP_PATH_POSTMASTER_OK, UTF8 = SMTP_PATH_UTF8_OK };

#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN
#define L63 SIXTY "abc"

static const struct {
	const char *text;
	unsigned flags;
	const char *address; /* NULL: refused */
	size_t local_len;
	const char *rest; /* what was not taken */
} paths[] = {
	{ "<a@b>", NONE, "a@b", 1, "" },
	{ "<alice@example.net> SIZE=1", NONE, "alice@example.net", 5, " SIZE=1" },
	{ "alice@example.net", NONE, "alice@example.net", 5, "" },
	{ "alice@example.net SIZE=1", NONE, "alice@example.net", 5, " SIZE=1" },
	{ "<>", NULL_OK, "", 0, "" },
	{ "<> RET=HDRS", NULL_OK, "", 0, " RET=HDRS" },
	{ "<>", PM, NULL, 0, "" },
	{ "", NULL_OK, NULL, 0, "" },
	{ " <a@b>", NULL_OK, NULL, 0, "" },
	{ "<", NULL_OK, NULL, 0, "" },
	{ "< >", NULL_OK, NULL, 0, "" },
	{ "<a>", NONE, NULL, 0, "" },
	{ "a", NONE, NULL, 0, "" },
	{ "<a@b", NONE, NULL, 0, "" },
	{ "<a@b >", NONE, NULL, 0, "" },
	{ "<a@b>>", NONE, "a@b", 1, ">" }, /* what follows is not the path's business */
	{ "a@b>", NONE, NULL, 0, "" },
	{ "<<a@b>>", NONE, NULL, 0, "" },
	{ "<@>", NONE, NULL, 0, "" },
	{ "<a@>", NONE, NULL, 0, "" },
	{ "<@b>", NONE, NULL, 0, "" },
	{ "<a@b@c>", NONE, NULL, 0, "" },
	/* Postmaster */
	{ "<Postmaster>", PM, "Postmaster", 10, "" },
	{ "<POSTMASTER>", PM, "POSTMASTER", 10, "" },
	{ "postmaster X", PM, "postmaster", 10, " X" },
	{ "<Postmaster>", NONE, NULL, 0, "" },
	{ "<postmasters>", PM, NULL, 0, "" },
	{ "<\"postmaster\">", PM, NULL, 0, "" },
	{ "<postmaster@example.org>", PM, "postmaster@example.org", 10, "" },
	/* dot-strings */
	{ "<a.b.c@d>", NONE, "a.b.c@d", 5, "" },
	{ "<!#$%&'*+-/=?^_`{|}~@d>", NONE, "!#$%&'*+-/=?^_`{|}~@d", 19, "" },
	{ "<.a@b>", NONE, NULL, 0, "" },
	{ "<a.@b>", NONE, NULL, 0, "" },
	{ "<a..b@c>", NONE, NULL, 0, "" },
	{ "<a b@c>", NONE, NULL, 0, "" },
	{ "<a,b@c>", NONE, NULL, 0, "" },
	{ "<a(c)@b>", NONE, NULL, 0, "" },
	{ "<a\\b@c>", NONE, NULL, 0, "" },
	{ "<a\"b\"@c>", NONE, NULL, 0, "" },
	{ "<bounce+bob=example.org@lists.example.net>", NONE, "bounce+bob=example.org@lists.example.net", 22,
	  "" },
	/* quoted strings */
	{ "<\"a b\"@c>", NONE, "\"a b\"@c", 5, "" },
	{ "<\"\"@c>", NONE, "\"\"@c", 2, "" },
	{ "<\"a@b\"@c>", NONE, "\"a@b\"@c", 5, "" },
	{ "<\"a>b\"@c>", NONE, "\"a>b\"@c", 5, "" },
	{ "<\"a\\\"b\"@c>", NONE, "\"a\\\"b\"@c", 6, "" },
	{ "<\"\\\\\"@c>", NONE, "\"\\\\\"@c", 4, "" },
	{ "<\"a\\ b\"@c>", NONE, "\"a\\ b\"@c", 6, "" },
	{ "\"a b\"@c d", NONE, "\"a b\"@c", 5, " d" },
	{ "<\"a@c>", NONE, NULL, 0, "" },
	{ "<\"a\\\"@c>", NONE, NULL, 0, "" },
	{ "<\"a\"b@c>", NONE, NULL, 0, "" },
	{ "<\"a\".b@c>", NONE, NULL, 0, "" }, /* RFC 5322's obs-local-part, not RFC 5321's */
	{ "<\"a\\", NONE, NULL, 0, "" },
	{ "<\"a\tb\"@c>", NONE, NULL, 0, "" },
	{ "<\"a\\\tb\"@c>", NONE, NULL, 0, "" },
	{ "<\"a\rb\"@c>", NONE, NULL, 0, "" },
	{ "<\"a\nb\"@c>", NONE, NULL, 0, "" },
	{ "<\"a\x7f\"@c>", NONE, NULL, 0, "" },
	{ "<\"a\x1b\"@c>", NONE, NULL, 0, "" },
	/* domains */
	{ "<a@b-c.d>", NONE, "a@b-c.d", 1, "" },
	{ "<a@1.2.3.4>", NONE, "a@1.2.3.4", 1, "" },
	{ "<a@xn--bcher-kva.example>", NONE, "a@xn--bcher-kva.example", 1, "" },
	{ "<a@under_score._x>", NONE, "a@under_score._x", 1, "" },
	{ "<a@-b>", NONE, NULL, 0, "" },
	{ "<a@b->", NONE, NULL, 0, "" },
	{ "<a@b-.c>", NONE, NULL, 0, "" },
	{ "<a@.b>", NONE, NULL, 0, "" },
	{ "<a@b..c>", NONE, NULL, 0, "" },
	{ "<a@b.>", NONE, NULL, 0, "" },
	{ "<a@b c>", NONE, NULL, 0, "" },
	{ "<a@b!c>", NONE, NULL, 0, "" },
	{ "<a@b\r>", NONE, NULL, 0, "" },
	{ "<a@" L63 ">", NONE, "a@" L63, 1, "" },
	{ "<a@" L63 "x>", NONE, NULL, 0, "" },
	/* literals */
	{ "<a@[192.0.2.1]>", NONE, "a@[192.0.2.1]", 1, "" },
	{ "a@[192.0.2.1]", NONE, "a@[192.0.2.1]", 1, "" },
	{ "<a@[IPv6:2001:db8::1]>", NONE, "a@[IPv6:2001:db8::1]", 1, "" },
	{ "<a@[ipv6:::ffff:192.0.2.1]>", NONE, "a@[ipv6:::ffff:192.0.2.1]", 1, "" },
	{ "<a@[x-tag:some.thing!]>", NONE, "a@[x-tag:some.thing!]", 1, "" },
	{ "<a@[]>", NONE, NULL, 0, "" },
	{ "<a@[192.0.2.256]>", NONE, NULL, 0, "" },
	{ "<a@[192.0.2]>", NONE, NULL, 0, "" },
	{ "<a@[192.0.2.1>", NONE, NULL, 0, "" },
	{ "<a@[192.0.2.1]x>", NONE, NULL, 0, "" },
	{ "<a@[192.0.2.1].x>", NONE, NULL, 0, "" },
	{ "<a@[IPv6:2001:db8::g]>", NONE, NULL, 0, "" },
	{ "<a@[IPv6:]>", NONE, NULL, 0, "" },
	{ "<a@[IPv6:fe80::1%eth0]>", NONE, NULL, 0, "" },
	{ "<a@[IPv6:1:2:3:4:5:6:7:8:9]>", NONE, NULL, 0, "" },
	{ "<a@[IPv6:0000:0000:0000:0000:0000:ffff:255.255.255.255:0000]>", NONE, NULL, 0, "" },
	{ "<a@[:x]>", NONE, NULL, 0, "" },
	{ "<a@[tag:]>", NONE, NULL, 0, "" },
	{ "<a@[tag-:x]>", NONE, NULL, 0, "" },
	{ "<a@[t_g:x]>", NONE, NULL, 0, "" },
	{ "<a@[tag:x y]>", NONE, NULL, 0, "" },
	{ "<a@[tag:x\\y]>", NONE, NULL, 0, "" },
	{ "<a@[tag:x[y]>", NONE, NULL, 0, "" },
	{ "<a@[tag:x\x01y]>", NONE, NULL, 0, "" },
	/* source routes */
	{ "<@h:a@b>", NONE, "a@b", 1, "" },
	{ "<@h,@i.j:a@b>", NONE, "a@b", 1, "" },
	{ "<@h:\"x y\"@b>", NONE, "\"x y\"@b", 5, "" },
	{ "<@h a@b>", NONE, NULL, 0, "" },
	{ "<@h,i:a@b>", NONE, NULL, 0, "" },
	{ "<@h,:a@b>", NONE, NULL, 0, "" },
	{ "<@:a@b>", NONE, NULL, 0, "" },
	{ "<@h:>", NULL_OK, NULL, 0, "" },
	{ "<@h:@i:a@b>", NONE, NULL, 0, "" },
	{ "<@-h:a@b>", NONE, NULL, 0, "" },
	{ "@h:a@b", NONE, NULL, 0, "" },
	/* UTF-8 */
	{ "<j\xc3\xbcrgen@b\xc3\xbc"
	  "cher.example>",
	  UTF8,
	  "j\xc3\xbcrgen@b\xc3\xbc"
	  "cher.example",
	  7, "" },
	{ "<\"j\xc3\xbc r\"@b>", UTF8, "\"j\xc3\xbc r\"@b", 7, "" },
	{ "<\xf0\x9f\x93\xa7@b>", UTF8, "\xf0\x9f\x93\xa7@b", 4, "" },
	{ "<@b\xc3\xbc"
	  "cher.example:a@b>",
	  UTF8, "a@b", 1, "" },
	{ "<j\xc3\xbcrgen@b>", NONE, NULL, 0, "" },
	{ "<a@b\xc3\xbc>", NONE, NULL, 0, "" },
	{ "<j\xc3@b>", UTF8, NULL, 0, "" }, /* cut short */
	{ "<j\xbc@b>", UTF8, NULL, 0, "" }, /* a continuation alone */
	{ "<j\xc0\xaf@b>", UTF8, NULL, 0, "" }, /* overlong */
	{ "<j\xe0\x80\xaf@b>", UTF8, NULL, 0, "" },
	{ "<j\xed\xa0\x80@b>", UTF8, NULL, 0, "" }, /* surrogate */
	{ "<j\xf4\x90\x80\x80@b>", UTF8, NULL, 0, "" }, /* above U+10FFFF */
	{ "<j\xff@b>", UTF8, NULL, 0, "" },
	{ "<j\xc2\x85@b>", UTF8, NULL, 0, "" }, /* C1 control NEL */
	{ "<a@b\xc2\x9b>", UTF8, NULL, 0, "" }, /* C1 control CSI */
	{ "<\"\\\xc3\xbc\"@b>", UTF8, NULL, 0, "" }, /* a quoted pair is ASCII */
	{ "<\"\xc2\x80\"@b>", UTF8, NULL, 0, "" },
	{ "j\xc3\xbc@b", UTF8, "j\xc3\xbc@b", 3, "" },
};

/* Parses an exact copy, so that a sanitizer sees any octet read behind it. */
static int parse(const char *text, size_t len, unsigned flags, struct smtp_path *out, size_t *used)
{
	char *copy = malloc(len ? len : 1);
	const char *why = NULL;
	int rc;

	memcpy(copy, text, len);
	rc = smtp_path_parse(copy, len, flags, out, used, &why);
	ck_assert_msg(rc == 0 || (why && *why), "no reason for refusing %.*s", (int)len, text);
	free(copy);
	return rc;
}

/* What SECURITY promises of every accepted address, whatever was read. */
static void check_safe(const struct smtp_path *path)
{
	size_t len = strlen(path->address);
	struct smtp_path again;
	char command[SMTP_PATH_MAX + 8];
	size_t used;

	ck_assert_uint_le(len + 2, SMTP_PATH_MAX);
	ck_assert_uint_le(path->local_len, len);
	for (size_t i = 0; i < len; i++) {
		unsigned char o = (unsigned char)path->address[i];

		ck_assert_msg(o >= ' ' && o != 0x7f, "control character in %s", path->address);
		ck_assert_msg(o < 0x80 || path->needs_smtputf8, "non-ASCII unnoticed in %s", path->address);
	}
	/* as <address> it is the same address again */
	snprintf(command, sizeof(command), "<%s>", path->address);
	ck_assert_int_eq(parse(command, strlen(command), NULL_OK | PM | UTF8, &again, &used), 0);
	ck_assert_uint_eq(used, strlen(command));
	ck_assert_str_eq(again.address, path->address);
	ck_assert_int_eq(again.needs_smtputf8, path->needs_smtputf8);
}

START_TEST(paths_of_the_table)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		size_t len = strlen(paths[i].text), used = 0;
		struct smtp_path path;
		int rc = parse(paths[i].text, len, paths[i].flags, &path, &used);

		ck_assert_msg((rc == 0) == (paths[i].address != NULL), "%s: %s", paths[i].text,
			      rc == 0 ? "accepted" : "refused");
		if (rc != 0)
			continue;
		ck_assert_str_eq(path.address, paths[i].address);
		ck_assert_uint_eq(path.local_len, paths[i].local_len);
		ck_assert_str_eq(paths[i].text + used, paths[i].rest);
		check_safe(&path);
	}
}
END_TEST

START_TEST(paths_cut_short)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		for (size_t len = 0; len < strlen(paths[i].text); len++) {
			struct smtp_path path;
			size_t used;

			if (parse(paths[i].text, len, NULL_OK | PM | UTF8, &path, &used) == 0) {
				ck_assert_uint_le(used, len);
				check_safe(&path);
			}
		}
	}
}
END_TEST

/* Every octet at every place of a path that has all kinds of things in it. */
START_TEST(paths_with_any_octet)
{
	static const char base[] = "<@r.example:\"q \\\" s\"@[IPv6:2001:db8::1]>";

	for (size_t at = 0; at < sizeof(base) - 1; at++) {
		for (int octet = 0; octet < 256; octet++) {
			char text[sizeof(base)];
			struct smtp_path path;
			size_t used;

			memcpy(text, base, sizeof(base));
			text[at] = (char)octet;
			if (parse(text, sizeof(base) - 1, NULL_OK | PM | UTF8, &path, &used) == 0)
				check_safe(&path);
		}
	}
}
END_TEST

static void domain_of(char *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = i % 60 == 59 && i + 1 < len ? '.' : 'd';
	out[len] = '\0';
}

START_TEST(paths_at_their_limits)
{
	char domain[600], text[2000];
	struct smtp_path path;
	size_t used;

	/* RFC 5321 4.5.3.1.3: 256 octets with the brackets */
	domain_of(domain, 252);
	snprintf(text, sizeof(text), "<a@%s>", domain);
	ck_assert_uint_eq(strlen(text), 256);
	ck_assert_int_eq(parse(text, 256, NONE, &path, &used), 0);
	check_safe(&path);
	ck_assert_int_eq(parse(text + 1, 254, NONE, &path, &used), 0);
	domain_of(domain, 253);
	snprintf(text, sizeof(text), "<a@%s>", domain);
	ck_assert_int_eq(parse(text, strlen(text), NONE, &path, &used), -1);
	ck_assert_int_eq(parse(text + 1, strlen(text) - 2, NONE, &path, &used), -1);
	/* a local part may be longer than 64 octets (path.h) */
	snprintf(text, sizeof(text), "<%.200d@example.org>", 1);
	ck_assert_int_eq(parse(text, strlen(text), NONE, &path, &used), 0);
	ck_assert_uint_eq(path.local_len, 200);
	snprintf(text, sizeof(text), "<\"%.1000d\"@example.org>", 1);
	ck_assert_int_eq(parse(text, strlen(text), NONE, &path, &used), -1);
	/* the route counts, although it is stripped */
	domain_of(domain, 240);
	snprintf(text, sizeof(text), "<@%s:alice@example.org>", domain);
	ck_assert_int_eq(parse(text, strlen(text), NONE, &path, &used), -1);
	/* literals are domains */
	snprintf(text, sizeof(text), "<a@[x:%.300d]>", 1);
	ck_assert_int_eq(parse(text, strlen(text), NONE, &path, &used), -1);
}
END_TEST

START_TEST(names_for_hello)
{
	static const struct {
		const char *text;
		bool domain, literal;
	} names[] = {
		{ "localhost", true, false },
		{ "mail.example.org", true, false },
		{ "my_pc", true, false },
		{ "_", true, false },
		{ "1.2.3.4", true, false },
		{ "", false, false },
		{ ".", false, false },
		{ "a.", false, false },
		{ "a b", false, false },
		{ "-a", false, false },
		{ "b\xc3\xbc.example", false, false },
		{ "[1.2.3.4]", false, true },
		{ "[IPv6:::1]", false, true },
		{ "[1.2.3.4", false, false },
		{ "[1.2.3.4]x", false, false },
		{ "[]", false, false },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		ck_assert_msg(smtp_is_domain(names[i].text, strlen(names[i].text)) == names[i].domain, "%s",
			      names[i].text);
		ck_assert_msg(smtp_is_address_literal(names[i].text, strlen(names[i].text)) ==
				      names[i].literal,
			      "%s", names[i].text);
	}
}
END_TEST

START_TEST(utf8_by_its_table)
{
	/* RFC 3629 4, borders */
	static const struct {
		const char *text;
		size_t octets;
		uint32_t code;
	} table[] = {
		{ "a", 1, 'a' },
		{ "\x7f", 1, 0x7f },
		{ "\xc2\x80", 2, 0x80 },
		{ "\xdf\xbf", 2, 0x7ff },
		{ "\xe0\xa0\x80", 3, 0x800 },
		{ "\xed\x9f\xbf", 3, 0xd7ff },
		{ "\xee\x80\x80", 3, 0xe000 },
		{ "\xef\xbf\xbf", 3, 0xffff },
		{ "\xf0\x90\x80\x80", 4, 0x10000 },
		{ "\xf4\x8f\xbf\xbf", 4, 0x10ffff },
		{ "\x80", 0, 0 },
		{ "\xc1\xbf", 0, 0 },
		{ "\xe0\x9f\xbf", 0, 0 },
		{ "\xed\xa0\x80", 0, 0 },
		{ "\xf0\x8f\xbf\xbf", 0, 0 },
		{ "\xf4\x90\x80\x80", 0, 0 },
		{ "\xf8\x88\x80\x80\x80", 0, 0 },
		{ "\xc2", 0, 0 },
		{ "\xe2\x82", 0, 0 },
		{ "\xc2z", 0, 0 },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		uint32_t code = 0;

		ck_assert_uint_eq(utf8_decode(table[i].text, strlen(table[i].text), &code), table[i].octets);
		ck_assert_uint_eq(code, table[i].code);
	}
}
END_TEST

/* ---- parameters -------------------------------------------------------------- */

static const struct {
	const char *text;
	const char *upper; /* as smtp_params_text has them, "" for none, NULL: refused */
} params[] = {
	{ "", "" },
	{ "   ", "" },
	{ " SIZE=1", "SIZE=1" },
	{ "  size=1   body=8bitMIME ", "SIZE=1 BODY=8BITMIME" },
	{ " SMTPUTF8", "SMTPUTF8" },
	{ " X-a=!\"#$%&'()*+,-./:;<>?@[\\]^_`{|}~", "X-A=!\"#$%&'()*+,-./:;<>?@[\\]^_`{|}~" },
	{ " 8=1", "8=1" },
	{ " A=1 B=1", "A=1 B=1" },
	{ " AUTH=<>", "AUTH=<>" },
	{ "SIZE=1", NULL },
	{ " =", NULL },
	{ " =1", NULL },
	{ " A=", NULL },
	{ " A==1", NULL },
	{ " A=1=2", NULL },
	{ " -A=1", NULL },
	{ " A_B=1", NULL },
	{ " A=1\tB=2", NULL },
	{ " A=\x7f", NULL },
	{ " A=\xc3\xbc", "A=\xc3\xbc" }, /* RFC 6531 3.3 */
	{ " A=\xc3", NULL },
	{ " \xc3\xbc=1", NULL },
	{ " A=1 a=2", NULL },
	{ " A A", NULL },
	{ " <>", NULL },
	{ " A B C D E F G H I J K L M N O P", "A B C D E F G H I J K L M N O P" },
	{ " A B C D E F G H I J K L M N O P Q", NULL },
};

START_TEST(params_of_the_table)
{
	for (size_t i = 0; i < sizeof(params) / sizeof(*params); i++) {
		struct smtp_params parsed;
		const char *why = NULL;
		size_t len = strlen(params[i].text);
		char *copy = malloc(len ? len : 1), *text;
		int rc;

		memcpy(copy, params[i].text, len);
		rc = smtp_params_parse(copy, len, &parsed, &why);
		ck_assert_msg((rc == 0) == (params[i].upper != NULL), "\"%s\"", params[i].text);
		ck_assert(rc == 0 || why);
		if (rc == 0) {
			text = smtp_params_text(&parsed);
			ck_assert_str_eq(text ? text : "", params[i].upper);
			free(text);
		}
		free(copy);
		for (size_t cut = 0; cut < len; cut++)
			smtp_params_parse(params[i].text, cut, &parsed, &why);
	}
}
END_TEST

START_TEST(params_compare)
{
	static const char text[] = " size=10 Body=8bitMime SMTPUTF8";
	struct smtp_params p;
	const char *why;

	ck_assert_int_eq(smtp_params_parse(text, sizeof(text) - 1, &p, &why), 0);
	ck_assert_uint_eq(p.count, 3);
	ck_assert(smtp_param_is(&p.item[0], "SIZE") && !smtp_param_is(&p.item[0], "SIZ"));
	ck_assert(!smtp_param_is(&p.item[0], "SIZES"));
	ck_assert(smtp_param_value_is(&p.item[1], "8BITMIME") && !smtp_param_value_is(&p.item[1], "8BIT"));
	ck_assert_ptr_null(p.item[2].value);
	ck_assert(!smtp_param_value_is(&p.item[2], ""));
}
END_TEST

/* ---- replies ------------------------------------------------------------------ */

static void check_reply(const struct smtp_reply *r, const char *wire, const char *oneline)
{
	struct buf b;

	buf_init(&b, 65536);
	ck_assert(smtp_reply_write(r, &b));
	ck_assert_str_eq(b.data, wire);
	buf_clear(&b);
	smtp_reply_oneline(r, &b);
	ck_assert_str_eq(b.data, oneline);
	buf_release(&b);
}

START_TEST(replies)
{
	struct smtp_reply r;
	struct buf b;

	smtp_reply_set(&r, 250, "2.0.0", "OK");
	check_reply(&r, "250 2.0.0 OK\r\n", "250 2.0.0 OK");
	smtp_reply_set(&r, 354, NULL, "End data with <CR><LF>.<CR><LF>");
	check_reply(&r, "354 End data with <CR><LF>.<CR><LF>\r\n", "354 End data with <CR><LF>.<CR><LF>");
	smtp_reply_set(&r, 250, "", "a\nb\nc");
	check_reply(&r, "250-a\r\n250-b\r\n250 c\r\n", "250 a / b / c");
	smtp_reply_set(&r, 550, "5.1.1", "a\n\nc");
	check_reply(&r, "550-5.1.1 a\r\n550-5.1.1\r\n550 5.1.1 c\r\n", "550 5.1.1 a /  / c");
	smtp_reply_set(&r, 250, "", "%s", "");
	check_reply(&r, "250 \r\n", "250 ");
	/* strangers' octets end no line */
	smtp_reply_set(&r, 500, "5.5.2", "x%sy", "\r\t\x1b\x7f\xc3\xbc");
	check_reply(&r, "500 5.5.2 x??????y\r\n", "500 5.5.2 x??????y");
	/* nor do octets that came from elsewhere into the text */
	strcpy(r.text, "a\rb\x80");
	check_reply(&r, "500 5.5.2 a?b?\r\n", "500 5.5.2 a\rb\x80");
	/* only words, no code: what a lost connection leaves */
	memset(&r, 0, sizeof(r));
	strcpy(r.text, "connection lost");
	buf_init(&b, 100);
	smtp_reply_oneline(&r, &b);
	ck_assert_str_eq(b.data, "connection lost");
	buf_release(&b);
}
END_TEST

START_TEST(reply_is_cut_to_its_buffer_and_whole_or_not_at_all)
{
	struct smtp_reply r;
	struct buf b;

	smtp_reply_set(&r, 250, "2.0.0", "%01500d", 0);
	ck_assert_uint_eq(strlen(r.text), SMTP_REPLY_TEXT_MAX - 1);
	buf_init(&b, 100);
	ck_assert(buf_adds(&b, "before"));
	ck_assert(!smtp_reply_write(&r, &b));
	ck_assert_str_eq(b.data, "before");
	buf_release(&b);
}
END_TEST

/* ---- trace ---------------------------------------------------------------------- */

static void check_received(struct envelope *env, const char *expected)
{
	struct buf b;
	char *date;

	buf_init(&b, 8192);
	ck_assert(smtp_received_write(&b, env, "relay.example.org", 1795378221000000, true));
	date = strstr(b.data, ";\r\n\t");
	ck_assert_ptr_nonnull(date);
	ck_assert_str_eq(date, ";\r\n\tSun, 22 Nov 2026 20:10:21 +0000\r\n");
	*date = '\0';
	ck_assert_str_eq(b.data, expected);
	buf_release(&b);
}

START_TEST(received)
{
	struct envelope env;

	setenv("TZ", "UTC", 1);
	envelope_init(&env);
	envelope_set(&env.peer, "192.0.2.1:4711", 14);
	envelope_set(&env.helo, "client.example.net", 18);
	envelope_set(&env.protocol, "ESMTP", 5);
	check_received(
		&env, "Received: from client.example.net ([192.0.2.1])\r\n\tby relay.example.org with ESMTP");
	strcpy(env.id, "0m4x7f3q9zkab1cd");
	envelope_add_rcpt(&env, "bob@example.org", 15);
	envelope_set(&env.peer, "[2001:db8::1]:4711", 18);
	check_received(&env, "Received: from client.example.net ([IPv6:2001:db8::1])\r\n"
			     "\tby relay.example.org with ESMTP id 0m4x7f3q9zkab1cd\r\n"
			     "\tfor <bob@example.org>");
	envelope_set(&env.tls_cipher, "TLS_AES_128_GCM_SHA256", 22);
	check_received(&env, "Received: from client.example.net ([IPv6:2001:db8::1])\r\n"
			     "\tby relay.example.org with ESMTP id 0m4x7f3q9zkab1cd\r\n"
			     "\tfor <bob@example.org>\r\n\ttls TLS_AES_128_GCM_SHA256");
	free(env.tls_cipher);
	env.tls_cipher = NULL;
	envelope_add_rcpt(&env, "carol@example.org", 17);
	envelope_set(&env.peer, "unix:uid=1000,pid=42", 20);
	envelope_set(&env.helo, "[192.0.2.7]", 11);
	check_received(&env, "Received: from [192.0.2.7] (unix uid=1000)\r\n"
			     "\tby relay.example.org with ESMTP id 0m4x7f3q9zkab1cd");
	envelope_set(&env.helo, "", 0);
	check_received(&env, "Received: from unknown (unix uid=1000)\r\n"
			     "\tby relay.example.org with ESMTP id 0m4x7f3q9zkab1cd");
	envelope_set(&env.auth_user, "dave@example.org", 16);
	check_received(&env, "Received: from unknown (unix uid=1000)\r\n\t(authenticated as dave@example.org)\r\n"
			     "\tby relay.example.org with ESMTP id 0m4x7f3q9zkab1cd");
	envelope_set(&env.auth_user, "d)\r\nX: \\(\xc3\xbc", 12);
	check_received(&env, "Received: from unknown (unix uid=1000)\r\n\t(authenticated as d?" "?" "?X:?" "?" "?" "?" "?)\r\n"
			     "\tby relay.example.org with ESMTP id 0m4x7f3q9zkab1cd");
	envelope_release(&env);
}
END_TEST

START_TEST(received_with_strangers_text)
{
	static const char evil[] = "a (b); <c>\"\\,@d\x1b\xc3\xbc\r\nSubject: x";
	struct envelope env;
	struct buf b;
	char huge[5000], long_name[301];

	setenv("TZ", "UTC", 1);
	envelope_init(&env);
	envelope_set(&env.peer, "192.0.2.1:4711", 14);
	envelope_set(&env.helo, evil, sizeof(evil) - 1);
	envelope_set(&env.protocol, "UTF8SMTP", 8);
	envelope_add_rcpt(&env, "j\xc3\xbc@example.org", 15);
	check_received(&env, "Received: from a??b????c?????d?????Subject:?x ([192.0.2.1])\r\n"
			     "\tby relay.example.org with UTF8SMTP");
	env.smtputf8 = true;
	check_received(&env, "Received: from a??b????c?????d?????Subject:?x ([192.0.2.1])\r\n"
			     "\tby relay.example.org with UTF8SMTP\r\n\tfor <j\xc3\xbc@example.org>");
	memset(huge, 'x', sizeof(huge));
	envelope_set(&env.auth_user, huge, sizeof(huge));
	memset(long_name, 'y', 300);
	long_name[300] = '\0';
	envelope_set(&env.helo, huge, sizeof(huge));
	envelope_set(&env.peer, huge, sizeof(huge));
	buf_init(&b, SMTP_RECEIVED_MAX);
	ck_assert(smtp_received_write(&b, &env, long_name, 0, true));
	/* RFC 5322 2.1.1 */
	for (const char *line = b.data, *end; *line; line = end + 2) {
		end = strstr(line, "\r\n");
		ck_assert_ptr_nonnull(end);
		ck_assert_int_le(end - line, 998);
	}
	buf_release(&b);
	/* no room: nothing */
	buf_init(&b, 40);
	ck_assert(!smtp_received_write(&b, &env, "relay.example.org", 0, true));
	ck_assert_uint_eq(b.len, 0);
	buf_release(&b);
	envelope_release(&env);
}
END_TEST

START_TEST(peer_addresses)
{
	static const char *const table[][2] = {
		{ "192.0.2.1:4711", "192.0.2.1" },
		{ "[2001:db8::1]:4711", "2001:db8::1" },
		{ "unix:uid=0,pid=7", "unix" },
		{ "unix", "unix" },
		{ "", "" },
		{ "[", "" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		char out[SMTP_PEER_ADDRESS_MAX];

		ck_assert_str_eq(smtp_peer_address(table[i][0], out), table[i][1]);
	}
}
END_TEST

/* ---- BY= (RFC 2852) ------------------------------------------------------------------ */

static const struct {
	const char *value;
	int64_t seconds; /* from now */
	const char *again; /* as the next hop is told; NULL: refused */
} by_values[] = {
	{ "120;R", 120, "120;R" },
	{ "+120;r", 120, "120;R" },
	{ "999999999;RT", 999999999, "999999999;RT" },
	{ "000000001;Rt", 1, "1;RT" },
	{ "0;N", 0, "0;N" },
	{ "-999999999;nt", -999999999, "-999999999;NT" },
	{ "0;R", 0, NULL },
	{ "-1;R", 0, NULL },
	{ "1000000000;N", 0, NULL },
	{ "0000000001;N", 0, NULL }, /* ten digits */
	{ "", 0, NULL },
	{ ";N", 0, NULL },
	{ "+;N", 0, NULL },
	{ "+-1;N", 0, NULL },
	{ "1", 0, NULL },
	{ "1;", 0, NULL },
	{ "1;T", 0, NULL },
	{ "1;NN", 0, NULL },
	{ "1;NTT", 0, NULL },
	{ "1;N ", 0, NULL },
	{ " 1;N", 0, NULL },
	{ "1s;N", 0, NULL },
	{ "1;;N", 0, NULL },
};

START_TEST(by_values_of_the_table)
{
	const int64_t now = 1795000000123456;

	for (size_t i = 0; i < sizeof(by_values) / sizeof(*by_values); i++) {
		struct deliver_by by = { DELIVER_BY_NONE, false, 7 };
		char again[DELIVER_BY_TEXT_MAX];
		const char *why, *v = by_values[i].value;
		int r = deliver_by_parse(v, strlen(v), now, &by, &why);

		ck_assert_msg(r == (by_values[i].again ? 0 : -1), "%s", v);
		if (r < 0) {
			ck_assert_int_eq(by.wall_us, 7);
			ck_assert_int_eq(by.mode, DELIVER_BY_NONE);
			continue;
		}
		ck_assert_int_eq(by.wall_us, now + by_values[i].seconds * 1000000);
		ck_assert_str_eq(deliver_by_format(&by, now, again), by_values[i].again);
	}
	ck_assert_int_eq(deliver_by_parse("1;\0", 3, now, &(struct deliver_by){ 0 }, &(const char *){ NULL }), -1);
}
END_TEST

/* The time that was spent here is gone, and never rounded in favour of the next hop. */
START_TEST(by_loses_what_was_spent)
{
	struct deliver_by by = { DELIVER_BY_NOTIFY, false, 1000000000 };

	ck_assert_int_eq(deliver_by_seconds(&by, 0), 1000);
	ck_assert_int_eq(deliver_by_seconds(&by, 1), 999);
	ck_assert_int_eq(deliver_by_seconds(&by, 999000001), 0);
	ck_assert_int_eq(deliver_by_seconds(&by, 1000000000), 0);
	ck_assert_int_eq(deliver_by_seconds(&by, 1000000001), -1);
	ck_assert_int_eq(deliver_by_seconds(&by, 1001000000), -1);
	by.wall_us = 4000000000000000;
	ck_assert_int_eq(deliver_by_seconds(&by, 0), DELIVER_BY_SECONDS_MAX);
	ck_assert_int_eq(deliver_by_seconds(&(struct deliver_by){ DELIVER_BY_NOTIFY, false, 1 }, by.wall_us),
			 -DELIVER_BY_SECONDS_MAX);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("smtp");

	UNIT_CASE(suite, paths_of_the_table, paths_cut_short, paths_with_any_octet, paths_at_their_limits,
		  names_for_hello, utf8_by_its_table, params_of_the_table, params_compare, replies,
		  reply_is_cut_to_its_buffer_and_whole_or_not_at_all, received, received_with_strangers_text,
		  peer_addresses, by_values_of_the_table, by_loses_what_was_spent);
	return unit_run(suite);
}
