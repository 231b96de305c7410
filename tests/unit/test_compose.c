/* SPDX-License-Identifier: ISC */
/* submit/: MIME's pieces as tables and however they are cut, a whole message from its parts, a submission in pieces. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "submit/compose.h"
#include "submit/load.h"
#include "unit.h"

START_TEST(a_field_of_text)
{
	static const struct {
		const char *value, *field;
	} table[] = {
		{ "", "Subject:\r\n" },
		{ "Hello", "Subject: Hello\r\n" },
		{ "a%b = c? d", "Subject: a%b = c? d\r\n" },
		/* folded before a blank, which stays */
		{ "one two three four five six seven eight nine ten eleven twelve thirteen fourteen",
		  "Subject: one two three four five six seven eight nine ten eleven twelve\r\n thirteen fourteen\r\n" },
		{ "Gr\xc3\xbc\xc3\x9f" "e", "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n" },
		/* would be decoded; and blanks that folding would lose */
		{ "=?us-ascii?Q?a?=", "Subject: =?UTF-8?B?PT91cy1hc2NpaT9RP2E/PQ==?=\r\n" },
		{ " a", "Subject: =?UTF-8?B?IGE=?=\r\n" },
		{ "a ", "Subject: =?UTF-8?B?YSA=?=\r\n" },
		/* a character is not cut in two, no line is longer than 76 */
		{ "01234567890123456789012345678901234567\xc3\xa4\xc3\xa4",
		  "Subject: =?UTF-8?B?MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc=?=\r\n =?UTF-8?B?w6TDpA==?=\r\n" },
	};
	struct buf out;

	buf_init(&out, 1u << 20);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		buf_clear(&out);
		ck_assert(mime_is_header_text(table[i].value));
		ck_assert(mime_field("Subject", table[i].value, &out));
		ck_assert_str_eq(out.data, table[i].field);
	}
	buf_release(&out);
}
END_TEST

START_TEST(no_line_of_a_header_is_too_long)
{
	static const char *const pieces[] = { "\xe2\x82\xac", "x", " y", "\xf0\x9f\x98\x80", "zz " };
	struct buf value, out;

	buf_init(&value, 1u << 20);
	buf_init(&out, 1u << 20);
	for (size_t i = 0; i < 5; i++) {
		buf_clear(&value);
		for (size_t n = 0; n < 3000; n++) {
			size_t line = 0;

			buf_adds(&value, pieces[(n * (i + 1) + n / 7 * i) % 5]);
			if (n % 97)
				continue;
			buf_clear(&out);
			ck_assert(mime_field("X-Long-Name-Of-A-Field", value.data, &out));
			for (size_t k = 0; k < out.len; k++) {
				line = out.data[k] == '\n' ? 0 : line + 1;
				ck_assert_uint_le(line, 78);
			}
		}
	}
	/* a word of a thousand letters does not stand in one line either */
	buf_clear(&value);
	for (size_t n = 0; n < 2000; n++)
		buf_addc(&value, 'a');
	buf_clear(&out);
	ck_assert(mime_field("S", value.data, &out) && strstr(out.data, "=?UTF-8?B?"));
	buf_release(&value);
	buf_release(&out);
}
END_TEST

START_TEST(what_cannot_stand_in_a_header)
{
	static const char *const bad[] = { "a\r\nBcc: b", "a\nb", "\x01", "\x7f", "\xc2\x85", "\xfc", "\xc3", "a\tb" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!mime_is_header_text(bad[i]), "row %zu", i);
}
END_TEST

START_TEST(a_field_of_addresses)
{
	static const struct {
		const char *list, *field;
	} table[] = {
		{ "a@b", "To: a@b\r\n" },
		{ "a@b,c@d", "To: a@b, c@d\r\n" },
		{ "Jane Doe <a@b>, <c@d>", "To: Jane Doe <a@b>, c@d\r\n" },
		{ "\"Doe, Jane\" <a@b>", "To: \"Doe, Jane\" <a@b>\r\n" },
		{ "J. \"X\" Doe <a@b>", "To: \"J. X Doe\" <a@b>\r\n" },
		{ "a@b (Jane), Friends: c@d, E F <e@f>;", "To: a@b, c@d, E F <e@f>\r\n" },
		{ "J\xc3\xbcrgen <a@b>, c@d", "To: =?UTF-8?B?SsO8cmdlbg==?=\r\n <a@b>, c@d\r\n" },
		{ "c@d, \"J\xc3\xbcrgen, X\" <a@b>", "To: c@d,\r\n =?UTF-8?B?SsO8cmdlbiwgWA==?=\r\n <a@b>\r\n" },
		{ "0123456789012345678901234567890@b.example, 0123456789012345678901234567890@c.example",
		  "To: 0123456789012345678901234567890@b.example,\r\n 0123456789012345678901234567890@c.example\r\n" },
		{ "", "" },
		{ "j\xc3\xbc@b", "To: j\xc3\xbc@b\r\n" },
	};
	static const char *const bad[] = { "a b c", "a\nBcc: b", "<a", "\xfc@b", "a@b <c" };
	struct err e;
	struct buf out;

	buf_init(&out, 1u << 20);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char *list = (char *)(uintptr_t)table[i].list;
		bool utf8 = false;

		buf_clear(&out);
		ck_assert_msg(mime_field_addresses("To", &list, 1, &utf8, &out, &e) == 0, "row %zu: %s", i, e.text);
		ck_assert_str_eq(out.data, table[i].field);
		ck_assert_int_eq(utf8, i + 1 == sizeof(table) / sizeof(table[0]));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *list = (char *)(uintptr_t)bad[i];
		bool utf8;

		ck_assert_msg(mime_field_addresses("To", &list, 1, &utf8, &out, &e) < 0, "row %zu", i);
	}
	buf_release(&out);
}
END_TEST

START_TEST(a_parameter)
{
	static const struct {
		const char *value, *parameter;
	} table[] = {
		{ "a.txt", ";\r\n filename=\"a.txt\"" },
		{ "a \"b\" \\.txt", ";\r\n filename=\"a \\\"b\\\" \\\\.txt\"" },
		{ "50%'s.txt", ";\r\n filename=\"50%'s.txt\"" },
		{ "\xc3\xa4 '%*.txt", ";\r\n filename*=UTF-8''%C3%A4%20%27%25%2A.txt" },
		{ "x\r\ny", ";\r\n filename*=UTF-8''x%0D%0Ay" },
		{ "\xe4", ";\r\n filename*=''%E4" },
		{ "0123456789012345678901234567890123456789012345678901234567890.txt",
		  ";\r\n filename*0*=UTF-8''01234567890123456789012345678901234567890123456789012;\r\n"
		  " filename*1*=34567890.txt" },
	};
	struct buf out;

	buf_init(&out, 1u << 20);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		buf_clear(&out);
		ck_assert(mime_parameter("filename", table[i].value, &out));
		ck_assert_str_eq(out.data, table[i].parameter);
	}
	buf_release(&out);
}
END_TEST

START_TEST(base64_however_it_is_cut)
{
	static const char *const begin[] = { "", "AA==\r\n", "AAE=\r\n", "AAEC\r\n", "AAECAw==\r\n" };
	unsigned char data[200];
	struct buf whole, cut;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)i;
	buf_init(&whole, 4096);
	buf_init(&cut, 4096);
	for (size_t len = 0; len < sizeof(data); len++) {
		struct mime_base64 a = { 0 };

		buf_clear(&whole);
		mime_base64_write(&a, (char *)data, len, &whole);
		mime_base64_end(&a, &whole);
		if (len < 5)
			ck_assert_str_eq(whole.data, begin[len]);
		for (size_t at = 0; at <= len; at++) {
			struct mime_base64 b = { 0 };

			buf_clear(&cut);
			mime_base64_write(&b, (char *)data, at, &cut);
			mime_base64_write(&b, (char *)data + at, len - at, &cut);
			mime_base64_end(&b, &cut);
			ck_assert_str_eq(cut.data, whole.data);
		}
	}
	ck_assert_uint_eq(strcspn(whole.data, "\r"), 76);
	buf_release(&whole);
	buf_release(&cut);
}
END_TEST

START_TEST(quoted_printable)
{
	static const struct {
		const char *text, *encoded;
	} table[] = {
		{ "", "" },
		{ "a", "a\r\n" },
		{ "a \nb\t\r\nc d\re", "a=20\r\nb=09\r\nc d\r\ne\r\n" },
		{ "\xc3\xa4=\x01", "=C3=A4=3D=01\r\n" },
		{ "01234567890123456789012345678901234567890123456789012345678901234567890123456",
		  "012345678901234567890123456789012345678901234567890123456789012345678901234=\r\n56\r\n" },
		/* 76 as they are fit, and the "=" of a break is one of them */
		{ "0123456789012345678901234567890123456789012345678901234567890123456789012345",
		  "0123456789012345678901234567890123456789012345678901234567890123456789012345\r\n" },
		{ "01234567890123456789012345678901234567890123456789012345678901234567890123\xc3",
		  "01234567890123456789012345678901234567890123456789012345678901234567890123=\r\n=C3\r\n" },
	};
	struct buf out;

	buf_init(&out, 1u << 20);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		buf_clear(&out);
		ck_assert(mime_quoted_printable(table[i].text, strlen(table[i].text), &out));
		ck_assert_str_eq(out.data, table[i].encoded);
	}
	buf_release(&out);
}
END_TEST

START_TEST(how_octets_travel)
{
	static const struct {
		const char *data;
		size_t len, line; /* of 'a', behind data */
		enum mime_encoding encoding;
		bool plain;
	} table[] = {
		{ "abc\n", 4, 0, MIME_7BIT, true },
		{ "", 0, 998, MIME_7BIT, true },
		{ "", 0, 999, MIME_QUOTED_PRINTABLE, false },
		{ "a\0b", 3, 50, MIME_QUOTED_PRINTABLE, false },
		{ "\xc3\xa4 text that is mostly ASCII\n", 29, 0, MIME_QUOTED_PRINTABLE, true },
		{ "\xd0\x9f\xd1\x80\xd0\xb8", 6, 0, MIME_BASE64, true },
		{ "a\rb", 3, 0, MIME_7BIT, false }, /* a text's line ends are made CRLF, a message is left as it is */
		{ "a\r\nb\r", 5, 0, MIME_7BIT, false },
		{ "a\r\nb", 4, 0, MIME_7BIT, true },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct mime_nature n = { 0 };

		for (size_t k = 0; k < table[i].len; k++)
			mime_look(&n, table[i].data + k, 1);
		for (size_t k = 0; k < table[i].line; k++)
			mime_look(&n, "a", 1);
		ck_assert_msg(mime_choose(&n) == table[i].encoding, "row %zu", i);
		ck_assert_msg(mime_is_plain(&n) == table[i].plain, "row %zu", i);
	}
}
END_TEST

START_TEST(what_files_are)
{
	ck_assert_str_eq(mime_type_of("a.PDF"), "application/pdf");
	ck_assert_str_eq(mime_type_of("a.b.tar"), "application/x-tar");
	ck_assert_str_eq(mime_type_of("pdf"), "application/octet-stream");
	ck_assert_str_eq(mime_type_of(".x"), "application/octet-stream");
	ck_assert(mime_type_is_valid("image/svg+xml"));
	ck_assert(!mime_type_is_valid("image") && !mime_type_is_valid("image/") && !mime_type_is_valid("/x") &&
		  !mime_type_is_valid("a/b; c=d") && !mime_type_is_valid("a/b\r\nX: y") && !mime_type_is_valid(""));
}
END_TEST

/* ---- whole messages -------------------------------------------------------------- */

static bool keep(void *ctx, const char *data, size_t len)
{
	return buf_add(ctx, data, len);
}

/* Boundaries are random: each becomes its number. */
static void tame(struct buf *out)
{
	const char *digits = "0123456789abcdef";
	char seen[4][35] = { { 0 } };
	size_t count = 0;

	for (char *p = out->data; (p = strstr(p, "=_")); p++) {
		size_t i = 0;

		ck_assert_uint_eq(strspn(p + 2, digits), 32);
		while (i < count && strncmp(seen[i], p, 34) != 0)
			i++;
		if (i == count)
			memcpy(seen[count++], p, 34);
		*p = (char)('1' + i);
		memmove(p + 1, p + 34, strlen(p + 34) + 1);
	}
}

START_TEST(a_message_of_a_text)
{
	static char *const to[] = { (char *)"Jane <j@x>", (char *)"k@x" };
	static char *const fields[] = { (char *)"X-A: b", (char *)"Keywords:  \xc3\xa4" };
	struct compose c = { .from = "me@x", .subject = "Hi", .to = { to, 2 }, .fields = { fields, 2 },
			     .text = { "Hello\n\nyou", 10 } };
	struct compose_result result;
	struct err e = { 0 };
	struct buf out;

	buf_init(&out, 1u << 20);
	ck_assert_msg(compose_write(&c, &(struct compose_sink){ keep, &out }, &result, &e) == SUBMIT_OK, "%s", e.text);
	ck_assert_str_eq(out.data, "From: me@x\r\nTo: Jane <j@x>, k@x\r\nSubject: Hi\r\nX-A: b\r\n"
				   "Keywords: =?UTF-8?B?w6Q=?=\r\nMIME-Version: 1.0\r\n"
				   "Content-Type: text/plain; charset=us-ascii\r\n"
				   "Content-Transfer-Encoding: 7bit\r\n\r\nHello\n\nyou\n");
	ck_assert(!result.stopped && !result.utf8);
	buf_release(&out);
}
END_TEST

START_TEST(a_message_of_everything)
{
	char path[] = "/tmp/compose.XXXXXX";
	int fd = mkstemp(path);
	struct compose_attachment a = { .path = path, .name = "a.bin" };
	struct compose c = { .from = "me@x", .text = { "t", 1 }, .html = { "<b>\xc3\xa4</b>", 9 }, .attachment = &a,
			     .attachment_count = 1 };
	struct compose_result result;
	struct err e = { 0 };
	struct buf out;

	ck_assert(write(fd, "\0\1\2", 3) == 3);
	close(fd);
	buf_init(&out, 1u << 20);
	ck_assert_msg(compose_write(&c, &(struct compose_sink){ keep, &out }, &result, &e) == SUBMIT_OK, "%s", e.text);
	unlink(path);
	tame(&out);
	ck_assert_str_eq(out.data,
			 "From: me@x\r\nMIME-Version: 1.0\r\n"
			 "Content-Type: multipart/mixed;\r\n boundary=\"1\"\r\n\r\n"
			 "--1\r\nContent-Type: multipart/alternative;\r\n boundary=\"2\"\r\n\r\n"
			 "--2\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\nt\n"
			 "\r\n--2\r\nContent-Type: text/html; charset=utf-8\r\n"
			 "Content-Transfer-Encoding: base64\r\n\r\nPGI+w6Q8L2I+DQo=\r\n--2--\r\n"
			 "--1\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
			 "Content-Disposition: attachment;\r\n filename=\"a.bin\"\r\n\r\nAAEC\r\n--1--\r\n");
	buf_release(&out);
}
END_TEST

START_TEST(what_cannot_be_composed)
{
	static char *const bad_fields[] = { (char *)"X", (char *)": y", (char *)"X y: z", (char *)"X: a\nBcc: b",
					    (char *)"to: a@b", (char *)"content-type: x", (char *)"Subject: twice",
					    (char *)"X: \xfc", (char *)"" };
	static char *const bad_list[] = { (char *)"a b c" };
	const struct compose ok = { .from = "me@x", .subject = "s", .text = { "t", 1 } };
	struct compose_attachment missing = { .path = "/nowhere/to/be/found" }, folder = { .path = "/" };
	struct compose_result result;
	struct err e = { 0 };
	struct compose c;
	struct buf out;

	buf_init(&out, 1u << 20);
	for (size_t i = 0; i < sizeof(bad_fields) / sizeof(bad_fields[0]); i++) {
		c = ok;
		c.fields = (struct compose_list){ &bad_fields[i], 1 };
		ck_assert_msg(compose_write(&c, &(struct compose_sink){ keep, &out }, &result, &e) == SUBMIT_INVALID,
			      "field %zu", i);
		ck_assert_ptr_nonnull(strstr(e.text, "--header"));
	}
#define INVALID(member, value, word)                                                                             \
	c = ok;                                                                                                  \
	c.member = value;                                                                                        \
	ck_assert_int_eq(compose_write(&c, &(struct compose_sink){ keep, &out }, &result, &e), SUBMIT_INVALID);  \
	ck_assert_msg(strstr(e.text, word) != NULL, "%s", e.text)
	INVALID(cc, ((struct compose_list){ bad_list, 1 }), "--cc");
	INVALID(subject, "a\nb", "--subject");
	INVALID(text, ((struct compose_text){ "\xfc", 1 }), "--charset");
	INVALID(from, "\xfc <a@b>", "--from");
	c.text = (struct compose_text){ "\xc3\xa4", 2 };
	c.from = "a@b";
	c.encoding = MIME_7BIT;
	ck_assert_int_eq(compose_write(&c, &(struct compose_sink){ keep, &out }, &result, &e), SUBMIT_INVALID);
	ck_assert_ptr_nonnull(strstr(e.text, "7bit"));
	c = ok;
	c.attachment_count = 1;
	c.attachment = &folder;
	ck_assert_int_eq(compose_write(&c, &(struct compose_sink){ keep, &out }, &result, &e), SUBMIT_INVALID);
	c.attachment = &missing;
	ck_assert_int_eq(compose_write(&c, &(struct compose_sink){ keep, &out }, &result, &e), SUBMIT_FAILED);
	ck_assert_ptr_nonnull(strstr(e.text, "/nowhere"));
	buf_release(&out);
}
END_TEST

static bool refuse(void *ctx, const char *data, size_t len)
{
	(void)data;
	(void)len;
	++*(int *)ctx;
	return false;
}

START_TEST(a_sink_that_wants_no_more)
{
	struct compose c = { .from = "me@x", .text = { "t", 1 }, .html = { "h", 1 } };
	struct compose_result result;
	struct err e = { 0 };
	int calls = 0;

	ck_assert_int_eq(compose_write(&c, &(struct compose_sink){ refuse, &calls }, &result, &e), SUBMIT_OK);
	ck_assert(result.stopped);
	ck_assert_int_eq(calls, 1);
}
END_TEST

/* ---- a submission in pieces ---------------------------------------------------------- */

START_TEST(a_submission_however_it_is_cut)
{
	static const char text[] = "From: a@b\nTo: c@d\r\n\nline\r.dot\n\n\r\nend";
	static const char canonical[] = "From: a@b\r\nTo: c@d\r\n\r\nline\r\n.dot\r\n\r\n\r\nend\r\n";
	const struct submit_options options = { .read_recipients = true, .hostname = "h" };
	struct submission s;
	char content[100];
	struct err e = { 0 };

	for (size_t a = 0; a < sizeof(text); a++) {
		for (size_t b = a; b < sizeof(text); b++) {
			struct submission_txn *t = submission_begin(&s, &options);

			ck_assert(submission_write(t, text, a) && submission_write(t, text + a, b - a) &&
				  submission_write(t, text + b, sizeof(text) - 1 - b));
			ck_assert_int_eq(submission_commit(t, &e), SUBMIT_OK);
			ck_assert_uint_eq(s.content_bytes, sizeof(canonical) - 1);
			ck_assert(pread(s.fd, content, sizeof(content), 0) == sizeof(canonical) - 1);
			ck_assert(memcmp(content, canonical, sizeof(canonical) - 1) == 0);
			ck_assert(s.has_dot_lines && !s.has_eightbit && s.env.rcpt_count == 1);
			submission_release(&s);
		}
	}
	/* who refuses says so as soon as it is known, and at the end */
	for (size_t i = 0; i < 2; i++) {
		const struct submit_options nobody = { .hostname = "h" };
		struct submission_txn *t = submission_begin(&s, &nobody);

		ck_assert(!submission_write(t, text, sizeof(text) - 1));
		ck_assert(!submission_write(t, text, sizeof(text) - 1));
		if (i == 0)
			ck_assert_int_eq(submission_commit(t, &e), SUBMIT_NOBODY);
		else
			submission_abort(t);
		ck_assert_int_eq(s.fd, -1);
	}
	submission_abort(NULL);
}
END_TEST

START_TEST(addresses_that_are_utf8_need_smtputf8)
{
	static char *const to[] = { (char *)"c@d" };
	struct compose c = { .from = "J <j\xc3\xbc@b>", .to = { to, 1 }, .text = { "t", 1 } };
	struct submit_options options = { .from = "a@b", .to = to, .to_count = 1, .hostname = "h" };
	struct submission s;
	struct err e = { 0 };

	ck_assert_msg(compose_submission(&c, &s, &options, &e) == SUBMIT_OK, "%s", e.text);
	ck_assert(s.env.smtputf8 && s.has_eightbit && s.env.body == BODY_8BITMIME);
	submission_release(&s);
	c.from = "J <j@b>";
	ck_assert_int_eq(compose_submission(&c, &s, &options, &e), SUBMIT_OK);
	ck_assert(!s.env.smtputf8 && !s.has_eightbit);
	submission_release(&s);
}
END_TEST

/* ---- load: what is counted ------------------------------------------------------------ */

START_TEST(percentiles)
{
	static struct latency l;
	static const struct {
		double percent;
		uint64_t us;
	} exact[] = { { 1, 1 }, { 50, 50 }, { 90, 90 }, { 99, 99 }, { 99.1, 100 }, { 100, 100 } };

	ck_assert_uint_eq(latency_percentile_us(&l, 50), 0);
	for (int64_t us = 100; us > 0; us--)
		latency_add(&l, us);
	for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++)
		ck_assert_uint_eq(latency_percentile_us(&l, exact[i].percent), exact[i].us);
	ck_assert(l.count == 100 && l.max_us == 100 && l.sum_us == 5050);
	/* to 1 %, whatever the size; and never above the largest */
	for (uint64_t us = 1; us < UINT64_C(1) << 39; us = us * 5 / 3 + 1) {
		static struct latency one;

		memset(&one, 0, sizeof(one));
		latency_add(&one, (int64_t)us);
		latency_add(&one, (int64_t)us * 2);
		ck_assert_uint_ge(latency_percentile_us(&one, 50), us);
		ck_assert_uint_le(latency_percentile_us(&one, 50), us + us / 100);
		ck_assert_uint_eq(latency_percentile_us(&one, 100), us * 2);
	}
	latency_add(&l, -5);
	latency_add(&l, INT64_MAX);
	ck_assert_uint_eq(latency_percentile_us(&l, 100), (uint64_t)INT64_MAX);
	ck_assert_uint_eq(latency_percentile_us(&l, 0.1), 0);
}
END_TEST

START_TEST(errors_are_told_apart_by_what_is_said)
{
	static struct load_figures f;
	static const struct {
		enum upstream_phase phase;
		int code;
		const char *enhanced, *text;
		size_t kinds; /* afterwards */
	} table[] = {
		{ UPSTREAM_FINAL_DOT, 451, "4.3.0", "try later, 4711", 1 },
		{ UPSTREAM_FINAL_DOT, 451, "4.3.0", "try later, 8", 1 },
		{ UPSTREAM_FINAL_DOT, 451, "4.3.0", "try later, ", 2 },
		{ UPSTREAM_FINAL_DOT, 451, "4.3.0", "try later, 1 or 2", 3 },
		{ UPSTREAM_MAIL, 451, "4.3.0", "try later, 1", 4 },
		{ UPSTREAM_FINAL_DOT, 452, "4.3.0", "try later, 1", 5 },
		{ UPSTREAM_FINAL_DOT, 451, "4.3.1", "try later, 1", 6 },
		{ UPSTREAM_FINAL_DOT, 451, "", "try later, 1", 7 },
		{ UPSTREAM_FINAL_DOT, 451, "4.3.0", "12", 8 },
		{ UPSTREAM_FINAL_DOT, 451, "4.3.0", "", 9 },
	};
	struct smtp_reply reply;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		smtp_reply_set(&reply, table[i].code, table[i].enhanced, "%s", table[i].text);
		load_count_error(&f, table[i].phase, &reply);
		ck_assert_msg(f.error_count == table[i].kinds, "row %zu: %zu", i, f.error_count);
	}
	ck_assert(f.error[0].count == 2 && f.error[1].count == 1);
	for (int i = 0; i < LOAD_ERRORS_MAX; i++) {
		smtp_reply_set(&reply, 500 + i, "", "x");
		load_count_error(&f, UPSTREAM_DATA, &reply);
	}
	ck_assert(f.error_count == LOAD_ERRORS_MAX && f.other_errors == 9);
	load_count_error(&f, UPSTREAM_DATA, &reply);
	ck_assert(f.other_errors == 10);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("compose");

	UNIT_CASE(s, a_field_of_text, no_line_of_a_header_is_too_long, what_cannot_stand_in_a_header,
		  a_field_of_addresses, a_parameter, base64_however_it_is_cut, quoted_printable, how_octets_travel,
		  what_files_are);
	UNIT_CASE(s, a_message_of_a_text, a_message_of_everything, what_cannot_be_composed, a_sink_that_wants_no_more,
		  a_submission_however_it_is_cut, addresses_that_are_utf8_need_smtputf8);
	UNIT_CASE(s, percentiles, errors_are_told_apart_by_what_is_said);
	return unit_run(s);
}
