/* SPDX-License-Identifier: ISC */
/* smtp/reply_parser: replies read whole, cut at every byte, and from peers that are no SMTP servers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/reply.h"
#include "unit.h"

static const struct {
	const char *wire;
	int code; /* 0: refused */
	const char *enhanced;
	const char *text; /* or a part of why */
} rows[] = {
	{ "250 OK\r\n", 250, "", "OK" },
	{ "250\r\n", 250, "", "" },
	{ "250 \r\n", 250, "", "" },
	{ "250 OK\n", 250, "", "OK" },
	{ "250-one\r\n250-\r\n250 three\r\n", 250, "", "one\n\nthree" },
	{ "250-one\r\n250\r\n", 250, "", "one\n" },
	{ "550 5.7.1 No relay\r\n", 550, "5.7.1", "No relay" },
	{ "550-5.7.1 No relay\r\n550-5.7.1 for you\r\n550 5.7.1\r\n", 550, "5.7.1", "No relay\nfor you\n" },
	{ "550-5.7.1 No relay\r\n550 see 5.7.1\r\n", 550, "5.7.1", "No relay\nsee 5.7.1" },
	{ "550-No relay\r\n550 5.7.1 really\r\n", 550, "", "No relay\n5.7.1 really" },
	{ "250 2.0.0\r\n", 250, "2.0.0", "" },
	{ "250 2.999.999 x\r\n", 250, "2.999.999", "x" },
	{ "250 2.1000.0 x\r\n", 250, "", "2.1000.0 x" },
	{ "250 5.0.0 x\r\n", 250, "", "5.0.0 x" },
	{ "220 2.0 mail\r\n", 220, "", "2.0 mail" },
	{ "220 2.0.0.1 mail\r\n", 220, "", "2.0.0.1 mail" },
	{ "354 3.0.0 go\r\n", 354, "", "3.0.0 go" },
	{ "250 caf\xc3\xa9\tx\x1b[2J\r\n", 250, "", "caf???x?[2J" },
	{ "", -1, "", "" }, /* more is needed */
	{ "25", -1, "", "" },
	{ "250 OK\r", -1, "", "" },
	{ "250-OK\r\n", -1, "", "" },
	{ "HTTP/1.1 400 Bad Request\r\n", 0, "", "not an SMTP reply: \"HTTP/1.1 400" },
	{ "SSH-2.0-OpenSSH\r\n", 0, "", "not an SMTP reply" },
	{ "\r\n", 0, "", "not an SMTP reply: \"\\x0d\"" },
	{ "25\r\n", 0, "", "not an SMTP reply" },
	{ "2500 OK\r\n", 0, "", "not an SMTP reply" },
	{ "250_OK\r\n", 0, "", "not an SMTP reply" },
	{ "150 wait\r\n", 0, "", "not an SMTP reply" },
	{ "650 what\r\n", 0, "", "not an SMTP reply" },
	{ "2x0 what\r\n", 0, "", "not an SMTP reply" },
	{ "\x16\x03\x01\x02\n", 0, "", "\\x16\\x03\\x01\\x02" },
	{ "250-one\r\n550 two\r\n", 0, "", "another code" },
	{ "250-one\r\n\r\n", 0, "", "not an SMTP reply" },
};

static enum smtp_reply_event feed(struct smtp_reply_parser *p, const char *data, size_t len, size_t *used)
{
	/* a copy of its own, so that valgrind and ASan see a read behind its end */
	char *copy = malloc(len ? len : 1);
	enum smtp_reply_event event;

	memcpy(copy, data, len);
	event = smtp_reply_parse(p, copy, len, used);
	free(copy);
	return event;
}

static void check_row(size_t i, struct smtp_reply_parser *p, enum smtp_reply_event event)
{
	if (rows[i].code < 0) {
		ck_assert_msg(event == SMTP_REPLY_MORE, "row %zu", i);
	} else if (rows[i].code == 0) {
		ck_assert_msg(event == SMTP_REPLY_BAD, "row %zu", i);
		ck_assert_msg(strstr(p->why, rows[i].text) != NULL, "row %zu: %s", i, p->why);
	} else {
		ck_assert_msg(event == SMTP_REPLY_DONE, "row %zu", i);
		ck_assert_int_eq(p->reply.code, rows[i].code);
		ck_assert_str_eq(p->reply.enhanced, rows[i].enhanced);
		ck_assert_str_eq(p->reply.text, rows[i].text);
		ck_assert(p->complete);
	}
}

START_TEST(each_reply_whole_and_cut_at_every_byte)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t len = strlen(rows[i].wire), used;

		for (size_t cut = 0; cut <= len; cut++) {
			struct smtp_reply_parser p;
			enum smtp_reply_event event;

			smtp_reply_parser_init(&p);
			event = feed(&p, rows[i].wire, cut, &used);
			if (event == SMTP_REPLY_MORE) {
				ck_assert_uint_eq(used, cut);
				event = feed(&p, rows[i].wire + cut, len - cut, &used);
				used += cut;
			}
			check_row(i, &p, event);
			if (event != SMTP_REPLY_BAD)
				ck_assert_uint_eq(used, len);
		}
	}
}
END_TEST

START_TEST(replies_in_a_row_are_taken_one_by_one)
{
	static const char wire[] = "250-2.1.0 a\r\n250 2.1.0 b\r\n354 go\r\n421 4.3.2 bye\r\n";
	struct smtp_reply_parser p;
	size_t at = 0, used;
	int codes[3] = { 0 };

	for (size_t step = 1; step < sizeof(wire); step++) {
		int n = 0;

		smtp_reply_parser_init(&p);
		for (at = 0; at < sizeof(wire) - 1; at += used) {
			size_t len = sizeof(wire) - 1 - at < step ? sizeof(wire) - 1 - at : step;

			if (feed(&p, wire + at, len, &used) == SMTP_REPLY_DONE) {
				ck_assert_int_lt(n, 3);
				codes[n++] = p.reply.code;
			}
			ck_assert_uint_gt(used, 0);
		}
		ck_assert_int_eq(n, 3);
		ck_assert_int_eq(codes[0], 250);
		ck_assert_int_eq(codes[1], 354);
		ck_assert_int_eq(codes[2], 421);
		ck_assert_str_eq(p.reply.enhanced, "4.3.2"); /* nothing of the earlier ones is left */
		ck_assert_str_eq(p.reply.text, "bye");
	}
}
END_TEST

START_TEST(what_does_not_end_is_refused)
{
	struct smtp_reply_parser p;
	char line[SMTP_REPLY_LINE_MAX + 2];
	size_t used;

	/* the longest line passes, its text is cut */
	memset(line, 'x', sizeof(line));
	memcpy(line, "250 ", 4);
	memcpy(line + SMTP_REPLY_LINE_MAX - 1, "\r\n", 2);
	smtp_reply_parser_init(&p);
	ck_assert_int_eq(feed(&p, line, SMTP_REPLY_LINE_MAX + 1, &used), SMTP_REPLY_DONE);
	ck_assert_uint_eq(strlen(p.reply.text), SMTP_REPLY_TEXT_MAX - 1);

	memset(line + 4, 'x', sizeof(line) - 4);
	smtp_reply_parser_init(&p);
	ck_assert_int_eq(feed(&p, line, SMTP_REPLY_LINE_MAX, &used), SMTP_REPLY_MORE);
	ck_assert_int_eq(feed(&p, "x", 1, &used), SMTP_REPLY_BAD);
	ck_assert_int_eq(feed(&p, "\r\n250 OK\r\n", 10, &used), SMTP_REPLY_BAD); /* and it stays refused */

	smtp_reply_parser_init(&p);
	ck_assert_int_eq(feed(&p, "what\r\n", 6, &used), SMTP_REPLY_BAD);
	ck_assert_int_eq(feed(&p, "250 OK\r\n", 8, &used), SMTP_REPLY_BAD);

	smtp_reply_parser_init(&p);
	for (int i = 0; i < SMTP_REPLY_LINES_MAX; i++)
		ck_assert_int_eq(feed(&p, "250-x\r\n", 7, &used), SMTP_REPLY_MORE);
	ck_assert_int_eq(feed(&p, "250 x\r\n", 7, &used), SMTP_REPLY_BAD);

	smtp_reply_parser_init(&p);
	for (int i = 1; i < SMTP_REPLY_LINES_MAX; i++)
		ck_assert_int_eq(feed(&p, "250-x\r\n", 7, &used), SMTP_REPLY_MORE);
	ck_assert_int_eq(feed(&p, "250 x\r\n", 7, &used), SMTP_REPLY_DONE);
}
END_TEST

START_TEST(noise_never_breaks_it)
{
	static const char alphabet[] = "2450-- .\r\n\nx\0\xff";
	unsigned seed = 1;

	for (int round = 0; round < 20000; round++) {
		struct smtp_reply_parser p;
		char data[64];
		size_t used, len = (size_t)rand_r(&seed) % sizeof(data), at = 0;

		for (size_t i = 0; i < len; i++)
			data[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		smtp_reply_parser_init(&p);
		while (at < len) {
			enum smtp_reply_event event = feed(&p, data + at, len - at, &used);

			if (event == SMTP_REPLY_BAD) {
				for (const char *c = p.why; *c; c++)
					ck_assert(*c >= ' ' && *c < 0x7f);
				break;
			}
			ck_assert_uint_gt(used, 0);
			ck_assert(event == SMTP_REPLY_DONE || used == len - at);
			if (event == SMTP_REPLY_DONE)
				ck_assert(p.reply.code >= 200 && p.reply.code <= 599);
			at += used;
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("reply");

	UNIT_CASE(s, each_reply_whole_and_cut_at_every_byte, replies_in_a_row_are_taken_one_by_one,
		  what_does_not_end_is_refused, noise_never_breaks_it);
	return unit_run(s);
}
