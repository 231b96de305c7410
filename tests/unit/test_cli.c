/* SPDX-License-Identifier: ISC */
/* cli/: what is shown and how, what is typed and what it means, messages made ready to be sent. */
#include <locale.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/lookup.h"
#include "cli/criteria.h"
#include "cli/select.h"
#include "cli/send_commands.h"
#include "cli/send_load.h"
#include "cli/send_report.h"
#include "cli/send_session.h"
#include "cli/table.h"
#include "cli/term.h"
#include "base/utf8.h"
#include "cli/verbs.h"
#include "smtp/header.h"
#include "submit/submit.h"
#include "unit.h"

static const struct term plain = { .is_tty = false, .width = TERM_NO_LIMIT, .utf8 = false };

static struct term utf8_term(size_t width)
{
	ck_assert(setlocale(LC_CTYPE, "C.UTF-8"));
	return (struct term){ .is_tty = true, .width = width, .utf8 = true };
}

/* ---- term ------------------------------------------------------------------ */

START_TEST(utf8_takes_only_what_is_well_formed)
{
	static const struct {
		const char *text;
		size_t len;
		uint32_t cp;
	} good[] = {
		{ "a", 1, 'a' },
		{ "\xc3\xa9", 2, 0xe9 },
		{ "\xe2\x82\xac", 3, 0x20ac },
		{ "\xf0\x9f\x93\xae", 4, 0x1f4ee },
		{ "\xf4\x8f\xbf\xbf", 4, 0x10ffff },
	};
	static const char *const bad[] = {
		"\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",
		"\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff", "\xe2\x82",
		"\xe2\x28\xa1",
	};
	uint32_t cp;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_uint_eq(utf8_decode(good[i].text, good[i].len, &cp), good[i].len);
		ck_assert_uint_eq(cp, good[i].cp);
		ck_assert_uint_eq(utf8_decode(good[i].text, good[i].len - 1, &cp), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(utf8_decode(bad[i], strlen(bad[i]), &cp) == 0, "row %zu", i);
}
END_TEST

static void check_escaped(const struct term *t, const char *text, size_t len, const char *expected)
{
	struct buf b;

	buf_init(&b, 10000);
	term_escape(t, text, len, TERM_ESCAPE_TABS, &b);
	ck_assert_str_eq(b.data, expected);
	buf_release(&b);
}

START_TEST(text_of_strangers_is_escaped)
{
	struct term utf8 = utf8_term(80);

	check_escaped(&plain, "a b~", 4, "a b~");
	check_escaped(&plain, "\x1b[31m\r\n\t\0\x7f", 10, "\\x1b[31m\\r\\n\\t\\x00\\x7f");
	check_escaped(&plain, "caf\xc3\xa9", 5, "caf\\xc3\\xa9");
	check_escaped(&utf8, "caf\xc3\xa9", 5, "caf\xc3\xa9");
	check_escaped(&utf8, "\xc2\x9b" "31m", 5, "\\xc2\\x9b" "31m"); /* U+009B, an 8-bit CSI */
	check_escaped(&utf8, "a\xe2\x80\xae" "b", 5, "a\\xe2\\x80\\xae" "b"); /* right-to-left override */
	check_escaped(&utf8, "a\xe2\x80\x8b" "b", 5, "a\\xe2\\x80\\x8b" "b"); /* zero width */
	check_escaped(&utf8, "\xff\xc3", 2, "\\xff\\xc3");
	check_escaped(&utf8, "\xe6\x97\xa5", 3, "\xe6\x97\xa5");
}
END_TEST

START_TEST(no_octet_gets_through_that_could_move_a_terminal)
{
	struct term utf8 = utf8_term(80);

	/* every pair of octets, on both kinds of terminal */
	for (unsigned a = 0; a < 65536; a++) {
		const char pair[2] = { (char)(a >> 8), (char)(a & 255) };
		struct buf b;

		buf_init(&b, 100);
		term_escape(a & 1 ? &utf8 : &plain, pair, 2, TERM_ESCAPE_TABS, &b);
		for (size_t i = 0; i < b.len; i++) {
			unsigned char c = (unsigned char)b.data[i];

			ck_assert(c >= 0x20 && c != 0x7f);
			ck_assert(c < 0x80 || (a & 1));
			/* the C1 controls as UTF-8: C2 80 to C2 9F */
			ck_assert(c != 0xc2 || (unsigned char)b.data[i + 1] >= 0xa0);
		}
		buf_release(&b);
	}
}
END_TEST

START_TEST(text_is_cut_at_columns_not_octets)
{
	static const struct {
		const char *text;
		size_t columns, used;
		const char *expected;
	} rows[] = {
		{ "abc", 3, 3, "abc" },
		{ "abcd", 3, 3, "ab\xe2\x80\xa6" },
		{ "abcd", 1, 1, "\xe2\x80\xa6" },
		{ "abcd", 0, 0, "" },
		{ "\xe6\x97\xa5\xe6\x9c\xac", 4, 4, "\xe6\x97\xa5\xe6\x9c\xac" }, /* two columns each */
		{ "\xe6\x97\xa5\xe6\x9c\xac", 3, 3, "\xe6\x97\xa5\xe2\x80\xa6" },
		{ "\xe6\x97\xa5\xe6\x9c\xac", 2, 1, "\xe2\x80\xa6" },
		{ "caf\xc3\xa9s", 5, 5, "caf\xc3\xa9s" },
	};
	struct term utf8 = utf8_term(80);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b;

		buf_init(&b, 100);
		ck_assert_uint_eq(term_cut(&utf8, rows[i].text, rows[i].columns, &b), rows[i].used);
		ck_assert_str_eq(b.data, rows[i].expected);
		buf_release(&b);
	}
}
END_TEST

START_TEST(times_are_relative)
{
	const int64_t now = 1700000000000000, s = 1000000;
	char out[32];

	ck_assert_str_eq(term_until(0, now, out, sizeof(out)), "now");
	ck_assert_str_eq(term_until(now, now, out, sizeof(out)), "now");
	ck_assert_str_eq(term_until(now + 1, now, out, sizeof(out)), "in 1s"); /* never "in 0s" */
	ck_assert_str_eq(term_until(now + 30 * s, now, out, sizeof(out)), "in 30s");
	ck_assert_str_eq(term_until(now + 300 * s, now, out, sizeof(out)), "in 5m");
	ck_assert_str_eq(term_until(now + 3 * 3600 * s, now, out, sizeof(out)), "in 3h");
	ck_assert_str_eq(term_age(now - 5 * 86400 * s, now, out, sizeof(out)), "5d");
	ck_assert_str_eq(term_age(now + 10 * s, now, out, sizeof(out)), "0s"); /* a clock set back */
}
END_TEST

/* ---- table ----------------------------------------------------------------- */

static const struct table_column columns[] = {
	{ "ID", TABLE_LEFT, 0 },
	{ "N", TABLE_RIGHT, 0 },
	{ "WHO", TABLE_LEFT, 4 },
	{ "WHY", TABLE_LEFT, 3 },
};

/* Renders rows (of four cells each) and returns the text, the caller's. */
static char *render(const struct term *t, const char *const (*rows)[4], size_t count)
{
	struct table table;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	table_begin(&table, columns, 4, t, out);
	for (size_t i = 0; i < count; i++)
		table_row(&table, rows[i]);
	table_end(&table);
	fclose(out);
	return text;
}

static const char *const sample[][4] = {
	{ "a1", "1", "alice@example.org", "because" },
	{ "b22", "12345", "bob", "" },
};

START_TEST(table_fits_its_content)
{
	char *text = render(&plain, sample, 2);

	ck_assert_str_eq(text, "ID       N  WHO                WHY\n"
			       "a1       1  alice@example.org  because\n"
			       "b22  12345  bob\n");
	free(text);
	text = render(&plain, sample, 0);
	ck_assert_str_eq(text, "");
	free(text);
}
END_TEST

START_TEST(table_shrinks_to_the_terminal)
{
	struct term t = utf8_term(26);
	char *text = render(&t, sample, 2);

	ck_assert_str_eq(text, "ID       N  WHO     WHY\n"
			       "a1       1  alice\xe2\x80\xa6  becau\xe2\x80\xa6\n"
			       "b22  12345  bob\n");
	free(text);
}
END_TEST

START_TEST(table_never_passes_the_width)
{
	for (size_t width = 1; width < 60; width++) {
		struct term t = { .is_tty = true, .width = width, .utf8 = false };
		char *text = render(&t, sample, 2);

		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
			ck_assert_uint_le(strlen(line), width);
		free(text);
	}
}
END_TEST

START_TEST(table_streams_beyond_its_sample)
{
	enum { ROWS = TABLE_SAMPLE_ROWS + 10 };
	const char *(*rows)[4] = mem_array(ROWS, sizeof(*rows));
	size_t lines = 0;
	char *text;

	for (size_t i = 0; i < ROWS; i++)
		memcpy(rows[i], sample[i % 2], sizeof(rows[i]));
	rows[ROWS - 1][2] = "somebody-with-a-very-long-name@example.org";
	text = render(&plain, (const char *const(*)[4])rows, ROWS);
	for (char *p = text; *p; p++)
		lines += *p == '\n';
	ck_assert_uint_eq(lines, ROWS + 1);
	/* without a width to keep, nothing is cut */
	ck_assert_ptr_nonnull(strstr(text, "somebody-with-a-very-long-name@example.org"));
	free(text);
	free(rows);
}
END_TEST

/* ---- lookup ------------------------------------------------------------------ */

START_TEST(prefixes_are_read_as_people_type_them)
{
	static const struct {
		const char *typed, *text; /* NULL: no prefix */
	} rows[] = {
		{ "1k0wew5re7awmcdn", "1k0wew5re7awmcdn" },
		{ "1K0WEW", "1k0wew" },
		{ "lkOwew", "1k0wew" },
		{ "I", "1" },
		{ "", NULL },
		{ "1k0wew5re7awmcdn0", NULL },
		{ "u", NULL },
		{ "../x", NULL },
		{ "1k 0", NULL },
		{ "\xc3\xa9", NULL },
	};
	struct id_prefix p;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(id_prefix_parse(rows[i].typed, &p) == (rows[i].text != NULL), "row %zu", i);
		if (rows[i].text)
			ck_assert_str_eq(p.text, rows[i].text);
	}
	ck_assert(id_prefix_parse("1k0", &p));
	ck_assert(id_prefix_matches(&p, "1k0wew5re7awmcdn"));
	ck_assert(!id_prefix_matches(&p, "1k1wew5re7awmcdn"));
}
END_TEST

/* ---- headers and addresses ------------------------------------------------------ */

START_TEST(header_fields_are_found)
{
	static const char text[] =
		"Subject: one\r\n two\r\n\tthree\r\nX-Empty:\r\nOld : style\r\nTo: a@b\r\n\r\nBody: no\r\n";
	const char *at = text, *end = text + sizeof(text) - 1;
	struct header_field f;
	struct buf value;

	buf_init(&value, 1000);
	ck_assert(header_next(&at, end, &f));
	ck_assert(header_is(&f, "SUBJECT"));
	ck_assert(!header_is(&f, "Subjec"));
	header_unfold(&f, &value);
	ck_assert_str_eq(value.data, "one two\tthree");
	ck_assert(header_next(&at, end, &f));
	ck_assert(header_is(&f, "X-Empty"));
	buf_clear(&value);
	header_unfold(&f, &value);
	ck_assert_str_eq(value.data, "");
	ck_assert(header_next(&at, end, &f));
	ck_assert(header_is(&f, "old"));
	buf_clear(&value);
	header_unfold(&f, &value);
	ck_assert_str_eq(value.data, "style");
	ck_assert(header_next(&at, end, &f));
	ck_assert_uint_eq(f.raw_len, 9);
	ck_assert(!header_next(&at, end, &f));
	ck_assert_mem_eq(at, "\r\nBody", 6);
	buf_release(&value);
}
END_TEST

static bool collect(void *ctx, const char *address, struct err *e)
{
	(void)e;
	buf_addf(ctx, "<%s>", address);
	return true;
}

START_TEST(address_lists_are_read)
{
	static const struct {
		const char *list, *expected; /* NULL: an error */
	} rows[] = {
		{ "a@example.org", "<a@example.org>" },
		{ " a@x , b@y,\r\n\tc@z ", "<a@x><b@y><c@z>" },
		{ "Jane Doe <jane@example.org>", "<jane@example.org>" },
		{ "\"Doe, Jane\" <jane@example.org>, b@y", "<jane@example.org><b@y>" },
		{ "jane@example.org (Jane (the) Doe)", "<jane@example.org>" },
		{ "=?utf-8?q?J=C3=A9?= <j@x>", "<j@x>" },
		{ "\"john doe\"@example.org", "<\"john doe\"@example.org>" },
		{ "\"a\\\"b\"@x", "<\"a\\\"b\"@x>" },
		{ "a@[192.0.2.1], b@[IPv6:2001:db8::1]", "<a@[192.0.2.1]><b@[IPv6:2001:db8::1]>" },
		{ "<@a,@b:c@d>", "<c@d>" },
		{ "friends: a@x, Bob <b@y>;, c@z", "<a@x><b@y><c@z>" },
		{ "undisclosed-recipients:;", "" },
		{ "a . b @ c . d", "<a.b@c.d>" },
		{ "", "" },
		{ " , ,", "" },
		{ "<>", "<>" },
		{ "root", "<root>" },
		{ "Jane Doe", NULL },
		{ "a@x b@y", NULL },
		{ "<a@x", NULL },
		{ "a@x>", NULL },
		{ "<a@x> <b@y>", NULL },
		{ "<a b@x>", NULL },
		{ "<a@x, b@y>", NULL },
		{ "\"open <a@x>", NULL },
		{ "(open a@x", NULL },
		{ "a@[1.2.3.4", NULL },
		{ "<a@x\x01>", NULL },
		{ "\"a\nb\"@x", NULL },
		{ "\"a\\\nb\"@x", NULL },
		{ "\"a\r\nRCPT TO:<evil@x>\"@x", NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = { 0 };
		struct buf b;
		int r;

		buf_init(&b, 1000);
		r = header_addresses(rows[i].list, strlen(rows[i].list), collect, &b, &e);
		ck_assert_msg((r == 0) == (rows[i].expected != NULL), "%s: %s %s", rows[i].list, b.data,
			      e.text);
		if (rows[i].expected)
			ck_assert_str_eq(b.data, rows[i].expected);
		buf_release(&b);
	}
}
END_TEST

START_TEST(an_address_that_is_too_long_is_none)
{
	char list[ADDRESS_MAX + 10];
	struct err e;
	struct buf b;

	memset(list, 'a', sizeof(list));
	list[ADDRESS_MAX] = '\0';
	list[10] = '@';
	buf_init(&b, 1000);
	ck_assert_int_eq(header_addresses(list, ADDRESS_MAX, collect, &b, &e), 0);
	list[ADDRESS_MAX] = 'a';
	ck_assert_int_eq(header_addresses(list, ADDRESS_MAX + 1, collect, &b, &e), -1);
	buf_release(&b);
}
END_TEST

/* ---- submit ---------------------------------------------------------------------- */

/* An unlinked file that holds text, at its start. */
static int file_with(const char *text, size_t len)
{
	int fd = memfd_create("message", 0);

	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static enum submit_result submit(const char *text, size_t len, const struct submit_options *o,
				 struct submission *s, struct buf *content, struct err *e)
{
	int fd = file_with(text, len);
	enum submit_result r = submission_read(s, fd, o, e);
	char block[4096];
	ssize_t n;

	close(fd);
	buf_init(content, 64 << 20);
	if (r != SUBMIT_OK)
		return r;
	for (off_t at = 0; (n = pread(s->fd, block, sizeof(block), at)) > 0; at += n)
		buf_add(content, block, (size_t)n);
	ck_assert_uint_eq(content->len, s->content_bytes);
	return r;
}

static char *const to_b[] = { (char *)(uintptr_t)"b@y" };
static const struct submit_options as_it_is = {
	.from = "a@x", .to = to_b, .to_count = 1, .hostname = "h.example"
};

START_TEST(content_gets_canonical_line_ends)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "S: x\n\nbody\n", "S: x\r\n\r\nbody\r\n" },
		{ "S: x\r\n\r\nbody\r\n", "S: x\r\n\r\nbody\r\n" },
		{ "S: x\r\rbody\r", "S: x\r\n\r\nbody\r\n" },
		{ "S: x\n\nno end", "S: x\r\n\r\nno end\r\n" },
		{ "S: x\n\n", "S: x\r\n\r\n" },
		{ "S: x\n", "S: x\r\n" },
		{ "S: x", "S: x\r\n" },
		{ "", "" },
		{ "\n", "\r\n" },
		{ "\nbody", "\r\nbody\r\n" },
		{ "no header\n\nmore\n", "no header\r\n\r\nmore\r\n" },
		{ "S: x\nno field\n", "S: x\r\n\r\nno field\r\n" },
		{ "From a@x Mon Jan  1 00:00:00 2024\nS: x\n\nb\n", "S: x\r\n\r\nb\r\n" },
		{ "S: x\n\n.\n..\n", "S: x\r\n\r\n.\r\n..\r\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct submission s;
		struct buf content;
		struct err e;

		ck_assert_int_eq(submit(rows[i].in, strlen(rows[i].in), &as_it_is, &s, &content, &e),
				 SUBMIT_OK);
		ck_assert_str_eq(content.data, rows[i].out);
		ck_assert(s.has_dot_lines == (strstr(rows[i].out, "\n.") != NULL));
		ck_assert(!s.has_eightbit);
		submission_release(&s);
		buf_release(&content);
	}
}
END_TEST

START_TEST(line_ends_do_not_depend_on_how_the_input_is_cut)
{
	static const char text[] = "a\r\nb\nc\rd\r\r\n\n\r\n\re";
	struct buf whole, pieces;
	bool state = false;

	buf_init(&whole, 1000);
	crlf_convert(&state, text, sizeof(text) - 1, &whole);
	ck_assert_str_eq(whole.data, "a\r\nb\r\nc\r\nd\r\n\r\n\r\n\r\n\r\ne");
	buf_init(&pieces, 1000);
	state = false;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		crlf_convert(&state, text + i, 1, &pieces);
	ck_assert_str_eq(pieces.data, whole.data);
	buf_release(&whole);
	buf_release(&pieces);
}
END_TEST

START_TEST(a_large_message_goes_through_whole)
{
	enum { LINES = 300000 };
	struct buf in, expected, content;
	struct submission s;
	struct err e;

	buf_init(&in, 64 << 20);
	buf_init(&expected, 64 << 20);
	buf_adds(&in, "Subject: large\n\n");
	buf_adds(&expected, "Subject: large\r\n\r\n");
	for (unsigned i = 0; i < LINES; i++) {
		buf_addf(&in, "line %u \xc3\xa9\n", i);
		buf_addf(&expected, "line %u \xc3\xa9\r\n", i);
	}
	ck_assert_int_eq(submit(in.data, in.len, &as_it_is, &s, &content, &e), SUBMIT_OK);
	ck_assert_uint_eq(content.len, expected.len);
	ck_assert_mem_eq(content.data, expected.data, expected.len);
	ck_assert(s.has_eightbit);
	ck_assert_int_eq(s.env.body, BODY_8BITMIME);
	submission_release(&s);
	buf_release(&in);
	buf_release(&expected);
	buf_release(&content);
}
END_TEST

START_TEST(a_header_without_end_is_refused)
{
	struct submission s;
	struct buf in, content;
	struct err e;

	buf_init(&in, 2 * SUBMIT_HEADER_MAX);
	while (buf_adds(&in, "X-Again: and again\n"))
		;
	ck_assert_int_eq(submit(in.data, in.len, &as_it_is, &s, &content, &e), SUBMIT_INVALID);
	ck_assert_ptr_nonnull(strstr(e.text, "header is larger"));
	buf_release(&in);
}
END_TEST

START_TEST(missing_fields_are_added)
{
	struct submit_options o = as_it_is;
	struct submission s;
	struct buf content;
	struct err e;

	o.add_headers = true;
	clock_freeze(1700000000000000, 0);
	ck_assert_int_eq(submit("Subject: x\n\nb\n", 14, &o, &s, &content, &e), SUBMIT_OK);
	ck_assert_ptr_nonnull(strstr(content.data, "Subject: x\r\nDate: Tue, 14 Nov 2023 "));
	ck_assert_ptr_nonnull(strstr(content.data, "@h.example>\r\nFrom: <a@x>\r\n\r\nb\r\n"));
	submission_release(&s);
	buf_release(&content);

	/* a body alone gets a header and the empty line between */
	ck_assert_int_eq(submit("just text\n", 10, &o, &s, &content, &e), SUBMIT_OK);
	ck_assert_ptr_nonnull(strstr(content.data, "From: <a@x>\r\n\r\njust text\r\n"));
	submission_release(&s);
	buf_release(&content);

	/* nothing is added to what is complete, nor From for the null reverse-path */
	o.from = "<>";
	ck_assert_int_eq(submit("date: d\nmessage-id: m\n\nb\n", 25, &o, &s, &content, &e), SUBMIT_OK);
	ck_assert_str_eq(content.data, "date: d\r\nmessage-id: m\r\n\r\nb\r\n");
	ck_assert_str_eq(s.env.sender, "");
	submission_release(&s);
	buf_release(&content);
}
END_TEST

START_TEST(the_envelope_comes_from_options_and_header)
{
	static const char *const header_text =
		"Return-Path: <r@x>\r\nFrom: Jane <f@x>\r\nTo: t1@y, T <t2@y>\r\n"
		"Cc: t1@y,\r\n c@y\r\nBcc: secret@y\r\n";
	static const struct {
		const char *header, *from;
		size_t to_count;
		bool read;
		const char *expected; /* NULL: refused */
	} rows[] = {
		{ NULL, NULL, 0, true, "f@x t1@y t2@y c@y secret@y" },
		{ NULL, "o@x", 1, false, "o@x b@y" },
		{ NULL, "o@x", 1, true, "o@x b@y t1@y t2@y c@y secret@y" },
		{ NULL, "", 1, false, " b@y" },
		{ NULL, NULL, 0, false, NULL },
		{ "Sender: s@x\r\nFrom: a@x, b@x\r\nTo: t@y\r\n", NULL, 0, true, "s@x t@y" },
		{ "From: a@x, b@x\r\nTo: t@y\r\n", NULL, 0, true, "a@x t@y" },
		{ "Return-Path: <>\r\nTo: t@y\r\n", NULL, 0, true, " t@y" },
		{ "Subject: nobody\r\n", NULL, 1, false, NULL },
		{ "From: a@x\r\nTo: Jane Doe\r\n", NULL, 0, true, NULL },
		{ "From: a@x\r\nTo: undisclosed-recipients:;\r\n", NULL, 0, true, NULL },
		{ "From: a@x\r\nTo: <>\r\n", NULL, 0, true, NULL },
		{ "From: a@x\r\nTo: <t@y\r\n", NULL, 0, true, NULL },
		/* sent again: as smtplib's send_message() */
		{ "Resent-From: r@x\r\nResent-To: t@y\r\nResent-Cc: c@y\r\nResent-Bcc: s@y\r\nFrom: a@x\r\nTo: b@y\r\n", NULL, 0,
		  true, "r@x t@y c@y s@y" },
		{ "Resent-Sender: s@x\r\nResent-From: r@x\r\nResent-To: t@y\r\nFrom: a@x\r\n", NULL, 0, true, "s@x t@y" },
		{ "Resent-To: t@y\r\nFrom: a@x\r\nTo: b@y\r\n", "o@x", 1, true, "o@x b@y t@y" },
		{ "Resent-From: r@x\r\nResent-To: t@y\r\nFrom: a@x\r\nTo: n@y\r\n", NULL, 1, false, "a@x b@y" },
		{ "Resent-To: t@y\r\nResent-To: u@y\r\nFrom: a@x\r\n", NULL, 0, true, NULL },
		{ "Resent-Date: x\r\nResent-Date: y\r\nResent-To: u@y\r\nFrom: a@x\r\n", NULL, 0, true, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct submit_options o = { .from = rows[i].from, .to = to_b, .to_count = rows[i].to_count,
					    .read_recipients = rows[i].read };
		struct envelope env;
		struct buf header, got;
		struct err e = { 0 };
		enum submit_result r;

		buf_init(&header, 10000);
		buf_init(&got, 10000);
		buf_adds(&header, rows[i].header ? rows[i].header : header_text);
		envelope_init(&env);
		r = envelope_from_header(&env, &header, &o, &e);
		ck_assert_msg((r == SUBMIT_OK) == (rows[i].expected != NULL), "row %zu: %s", i, e.text);
		if (r == SUBMIT_OK) {
			buf_adds(&got, env.sender);
			for (size_t k = 0; k < env.rcpt_count; k++)
				buf_addf(&got, " %s", env.rcpt[k].address);
			ck_assert_str_eq(got.data, rows[i].expected);
			ck_assert(!env.smtputf8);
		}
		envelope_release(&env);
		buf_release(&header);
		buf_release(&got);
	}
}
END_TEST

START_TEST(bcc_leaves_only_with_the_header_s_recipients)
{
	static const char text[] = "From: a@x\nBcc: secret@y,\n other@y\nTo: b@y\n\nBcc: body\n";
	struct submit_options o = { .read_recipients = true, .hostname = "h" };
	struct submission s;
	struct buf content;
	struct err e;

	ck_assert_int_eq(submit(text, sizeof(text) - 1, &o, &s, &content, &e), SUBMIT_OK);
	ck_assert_str_eq(content.data, "From: a@x\r\nTo: b@y\r\n\r\nBcc: body\r\n");
	ck_assert_uint_eq(s.env.rcpt_count, 3);
	submission_release(&s);
	buf_release(&content);
	ck_assert_int_eq(submit(text, sizeof(text) - 1, &as_it_is, &s, &content, &e), SUBMIT_OK);
	ck_assert_ptr_nonnull(strstr(content.data, "secret@y"));
	submission_release(&s);
	buf_release(&content);
}
END_TEST

/* ---- send ------------------------------------------------------------------------- */

START_TEST(tls_is_chosen_by_port_and_password)
{
	static const struct {
		const char *name, *server;
		bool password, known;
		enum upstream_tls mode;
	} rows[] = {
		{ NULL, "127.0.0.1:2525", false, true, UPSTREAM_TLS_OPPORTUNISTIC },
		{ NULL, "mx.example.org:25", false, true, UPSTREAM_TLS_OPPORTUNISTIC },
		{ NULL, "mx.example.org:25", true, true, UPSTREAM_TLS_REQUIRED },
		{ NULL, "localhost:2525", true, true, UPSTREAM_TLS_OPPORTUNISTIC },
		{ NULL, "smtp.example.org:587", false, true, UPSTREAM_TLS_REQUIRED },
		{ NULL, "smtp.example.org:465", false, true, UPSTREAM_TLS_IMPLICIT },
		{ NULL, "localhost:465", false, true, UPSTREAM_TLS_IMPLICIT },
		{ "none", "smtp.example.org:587", true, true, UPSTREAM_TLS_NONE },
		{ "opportunistic", "x:1", false, true, UPSTREAM_TLS_OPPORTUNISTIC },
		{ "required", "x:1", false, true, UPSTREAM_TLS_REQUIRED },
		{ "implicit", "x:1", false, true, UPSTREAM_TLS_IMPLICIT },
		{ "yes", "x:1", false, false, UPSTREAM_TLS_NONE },
		{ "", "x:1", false, false, UPSTREAM_TLS_NONE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum upstream_tls mode = UPSTREAM_TLS_NONE;
		struct endpoint ep;
		struct err e;

		ck_assert_int_eq(endpoint_parse(rows[i].server, -1, &ep, &e), 0);
		ck_assert_msg(send_tls_mode(rows[i].name, &ep, rows[i].password, &mode) == rows[i].known,
			      "row %zu", i);
		ck_assert_msg(mode == rows[i].mode, "row %zu", i);
	}
}
END_TEST

START_TEST(the_exit_status_tells_how_it_went)
{
	static const struct {
		enum upstream_how how;
		enum upstream_phase phase;
		int code;
		size_t refused;
		enum cli_status status;
	} rows[] = {
		{ UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250, 0, CLI_DONE },
		{ UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250, 1, CLI_PARTLY },
		{ UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 554, 0, CLI_NOTHING },
		{ UPSTREAM_ANSWERED, UPSTREAM_MAIL, 452, 0, CLI_LATER },
		{ UPSTREAM_ANSWERED, UPSTREAM_RCPT, 550, 2, CLI_NOTHING },
		{ UPSTREAM_UNSUPPORTED, UPSTREAM_MAIL, 552, 0, CLI_UNSUPPORTED },
		{ UPSTREAM_NO_ANSWER, UPSTREAM_FINAL_DOT, 0, 0, CLI_UNCERTAIN },
		{ UPSTREAM_NO_ANSWER, UPSTREAM_DATA, 0, 0, CLI_UNREACHABLE },
		{ UPSTREAM_SOURCE_FAILED, UPSTREAM_CONTENT, 0, 0, CLI_UNREACHABLE },
		{ UPSTREAM_NOT_STARTED, UPSTREAM_CONNECT, 0, 0, CLI_UNREACHABLE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct upstream_outcome o = { .how = rows[i].how, .phase = rows[i].phase };
		struct smtp_reply no = { .code = 550, .text = "no" }, yes = { .code = 250, .text = "yes" };
		struct send_report r;

		o.reply.code = rows[i].code;
		strcpy(o.reply.text, "words");
		send_report_init(&r, "server:25", NULL, 2);
		send_report_recipient(&r, "y@x", &yes);
		for (size_t k = 0; k < rows[i].refused; k++)
			send_report_recipient(&r, "n@x", &no);
		/* success goes to standard output, which is TAP's here */
		if (rows[i].phase == UPSTREAM_FINAL_DOT && rows[i].code == 250)
			r.done = r.accepted = true;
		else
			send_report_done(&r, 2, &o, "192.0.2.1:25");
		send_report_closed(&r, &o, true);
		ck_assert_msg(send_report_status(&r) == rows[i].status, "row %zu", i);
	}
}
END_TEST

START_TEST(extensions_are_found_as_smtplib_finds_them)
{
	static const char lines[] = "PIPELINING\nSIZE 1000\nAUTH PLAIN LOGIN\nAUTH=CRAM-MD5\nx-odd\n\nHELP";
	static const struct {
		const char *wanted;
		bool has;
	} rows[] = {
		{ "pipelining", true }, { "SIZE", true },	    { "SIZE 1000", true }, { "SIZE 100", false },
		{ "SIZ", false },	{ "SIZEX", false },	    { "AUTH", true },	   { "auth login", true },
		{ "AUTH CRAM-MD5", true }, { "AUTH CRAM", false }, { "X-ODD", true },	   { "HELP", true },
		{ "HELP me", false },	{ "", false },		    { "LOGIN", false },	   { " SIZE", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(send_has_extension(lines, rows[i].wanted) == rows[i].has, "%s", rows[i].wanted);
	ck_assert(!send_has_extension("", "SIZE"));
}
END_TEST

START_TEST(commands_that_would_break_the_session_are_not_said)
{
	static const char *const unsafe[] = { "DATA",  "data",	   "Data ",	"BDAT 1 LAST", "AUTH PLAIN x", "auth",
					      "QUIT", "starttls", "NOOP\rQUIT", "NOOP\nQUIT",	 "",		 " NOOP",
					      "\x1b",  "250 ok" },
				 *const safe[] = { "NOOP", "DATAX", "VRFY data", "HELP AUTH", "x", "QUITE", "MAIL FROM:<>" };

	for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
		ck_assert_msg(send_command_unsafe(unsafe[i]) != NULL, "%s", unsafe[i]);
	for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
		ck_assert_msg(send_command_unsafe(safe[i]) == NULL, "%s", safe[i]);
}
END_TEST

/* ---- verbs ------------------------------------------------------------------------- */

/* An option has a name and a key of its own among those that one verb takes. */
static void is_not_in(const struct args_option *o, const struct args_option *others)
{
	for (const struct args_option *p = others; p && p->name; p++) {
		ck_assert_str_ne(o->name, p->name);
		ck_assert_msg(o->key != p->key, "--%s and --%s", o->name, p->name);
	}
}

static void options_are_own(const struct cli_verb *v, const struct args_option *options,
			  const struct args_segment *later)
{
	for (const struct args_option *o = options; o && o->name; o++) {
		ck_assert_ptr_nonnull(o->help);
		ck_assert_int_lt(o->key, SELECT_KEY_FIRST);
		is_not_in(o, o + 1);
		for (const struct args_segment *s = later; s && s->title; s++)
			is_not_in(o, s->options);
		is_not_in(o, v->selects ? criterion_options : NULL);
		is_not_in(o, v->selects ? select_options : NULL);
		is_not_in(o, v->changes ? select_change_options : NULL);
		is_not_in(o, cli_common_options);
	}
}

START_TEST(times_of_a_load_have_three_digits)
{
	static const struct {
		uint64_t us;
		const char *text;
	} rows[] = { { 0, "0.000 ms" },	   { 1, "0.001 ms" },	 { 999, "0.999 ms" },	{ 1000, "1.00 ms" },
		     { 9994, "9.99 ms" },  { 9996, "10.0 ms" },	 { 99940, "99.9 ms" },	{ 99960, "100 ms" },
		     { 999499, "999 ms" }, { 999500, "1.00 s" }, { 61000000, "61.0 s" }, { 3600000000, "3600 s" } };
	char text[LOAD_TIME_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_str_eq(send_load_time(rows[i].us, text), rows[i].text);
}
END_TEST

/* Several messages, one after the other */
START_TEST(the_class_of_several_messages)
{
	static const enum cli_status rows[][3] = {
		{ CLI_DONE, CLI_DONE, CLI_DONE },
		{ CLI_NOTHING, CLI_NOTHING, CLI_NOTHING },
		{ CLI_LATER, CLI_LATER, CLI_LATER },
		{ CLI_DONE, CLI_NOTHING, CLI_PARTLY },
		{ CLI_NOTHING, CLI_LATER, CLI_PARTLY },
		{ CLI_DONE, CLI_UNCERTAIN, CLI_UNCERTAIN },
		{ CLI_UNREACHABLE, CLI_UNCERTAIN, CLI_UNCERTAIN },
		{ CLI_DONE, CLI_UNREACHABLE, CLI_UNREACHABLE },
		{ CLI_TLS, CLI_DONE, CLI_TLS },
		{ CLI_PARTLY, CLI_AUTH, CLI_AUTH },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(send_report_combine(rows[i][0], rows[i][1]) == rows[i][2], "row %zu", i);
		ck_assert_msg(send_report_combine(rows[i][1], rows[i][0]) == rows[i][2], "row %zu, turned", i);
	}
}
END_TEST

START_TEST(the_table_of_verbs_is_complete)
{
	for (size_t i = 0; i < verb_count; i++) {
		const struct cli_verb *v = &verb_table[i];
		char *text = NULL;
		size_t len;
		FILE *out;

		ck_assert_ptr_nonnull(v->run);
		ck_assert(v->selects || !v->changes);
		ck_assert_ptr_eq(verb_find(v->name), v); /* no name twice */
		ck_assert_uint_gt(strlen(v->summary), 10);
		ck_assert(v->summary[0] >= 'a' && v->summary[0] <= 'z');
		ck_assert(v->summary[strlen(v->summary) - 1] != '.');
		out = open_memstream(&text, &len);
		verb_help(v, out);
		fclose(out);
		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
			ck_assert_msg(strlen(line) <= 80, "%s: %s", v->name, line);
		free(text);
		options_are_own(v, v->options, v->segments);
		for (const struct args_segment *s = v->segments; s && s->title; s++)
			options_are_own(v, s->options, s + 1);
	}
}
END_TEST

START_TEST(a_mistyped_verb_has_a_neighbour)
{
	static const struct {
		const char *typed, *meant;
	} rows[] = {
		{ "qeue", "queue" }, { "queu", "queue" }, { "q", "queue" },      { "shwo", "show" },
		{ "snd", "send" },   { "halp", "help" },  { "frobnicate", NULL }, { "", NULL },
		{ "xy", NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cli_verb *v = verb_nearest(rows[i].typed);

		if (rows[i].meant) {
			ck_assert_msg(v != NULL, "%s", rows[i].typed);
			ck_assert_str_eq(v->name, rows[i].meant);
		} else {
			ck_assert_msg(v == NULL, "%s", rows[i].typed);
		}
	}
	ck_assert_ptr_null(verb_find("qeue"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli");

	UNIT_CASE(suite, utf8_takes_only_what_is_well_formed, text_of_strangers_is_escaped,
		  no_octet_gets_through_that_could_move_a_terminal, text_is_cut_at_columns_not_octets,
		  times_are_relative, table_fits_its_content, table_shrinks_to_the_terminal,
		  table_never_passes_the_width, table_streams_beyond_its_sample,
		  prefixes_are_read_as_people_type_them, header_fields_are_found, address_lists_are_read,
		  an_address_that_is_too_long_is_none, content_gets_canonical_line_ends,
		  line_ends_do_not_depend_on_how_the_input_is_cut, a_large_message_goes_through_whole,
		  a_header_without_end_is_refused, missing_fields_are_added,
		  the_envelope_comes_from_options_and_header,
		  extensions_are_found_as_smtplib_finds_them,
		  commands_that_would_break_the_session_are_not_said,
		  bcc_leaves_only_with_the_header_s_recipients, tls_is_chosen_by_port_and_password,
		  the_exit_status_tells_how_it_went, the_table_of_verbs_is_complete, times_of_a_load_have_three_digits,
		  the_class_of_several_messages,
		  a_mistyped_verb_has_a_neighbour);
	return unit_run(suite);
}
