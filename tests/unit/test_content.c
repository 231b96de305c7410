/* SPDX-License-Identifier: ISC */
/* upstream/: features of an EHLO, the commands made from them, and content on its way out. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fake_txn.h"
#include "unit.h"
#include "upstream/command.h"
#include "upstream/content.h"
#include "upstream/features.h"

static struct upstream_features announced(const char *keywords)
{
	struct upstream_features f = { 0 };
	char copy[400], *save, *line;

	snprintf(copy, sizeof(copy), "%s", keywords);
	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		upstream_features_note(&f, line, strlen(line), 0);
	return f;
}

START_TEST(keywords_are_read_without_regard_to_case)
{
	struct upstream_features f = announced("PIPELINING\n8bitmime\nSmtpUtf8\nCHUNKING\nDSN\nSTARTTLS\n"
					       "ENHANCEDSTATUSCODES\nSIZE 35882577\nAUTH PLAIN LOGIN");

	ck_assert(f.pipelining && f.eightbitmime && f.smtputf8 && f.chunking && f.dsn && f.starttls);
	ck_assert(f.enhancedstatuscodes && f.size && f.size_limit_bytes == 35882577);
	ck_assert(!f.esmtp && !f.tls && !f.requiretls);
	ck_assert_str_eq(f.auth, "PLAIN LOGIN");
	f = announced("RequireTLS\nAUTH=LOGIN\nauth CRAM-MD5 \x1b[2J");
	ck_assert(f.requiretls);
	ck_assert_str_eq(f.auth, "CRAM-MD5 ?[2J");
}
END_TEST

START_TEST(what_only_looks_like_a_keyword_is_none)
{
	struct upstream_features f =
		announced("PIPELININGS\nPIPE\n8BITMIMEX\nXSMTPUTF8\nSIZED 5\n DSN\nX STARTTLS\n");

	ck_assert(!f.pipelining && !f.eightbitmime && !f.smtputf8 && !f.size && !f.dsn && !f.starttls);
	f = announced("PIPELINING yes please"); /* parameters are no reason to lose it */
	ck_assert(f.pipelining);
	upstream_features_note(&f, "", 0, 0);
}
END_TEST

START_TEST(an_odd_size_is_no_limit)
{
	static const char *const odd[] = {
		"SIZE", "SIZE ", "SIZE 0", "SIZE x", "SIZE 10 20", "SIZE -1", "SIZE 99999999999999999999999"
	};

	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		struct upstream_features f = announced(odd[i]);

		ck_assert_msg(f.size && f.size_limit_bytes == 0, "%s", odd[i]);
	}
}
END_TEST

#define EVERYTHING "SIZE 100\n8BITMIME\nSMTPUTF8"

static const struct {
	const char *features;
	enum upstream_eightbit eightbit;
	const char *sender, *rcpt;
	enum envelope_body body;
	bool smtputf8, has_eightbit;
	uint64_t bytes;
	const char *mail; /* what is said, or the code of the refusal */
} rows[] = {
	{ "", 0, "a@b", "c@d", BODY_7BIT, false, false, 7, "MAIL FROM:<a@b>" },
	{ "", 0, "", "c@d", BODY_7BIT, false, false, 7, "MAIL FROM:<>" },
	{ EVERYTHING, 0, "a@b", "c@d", BODY_7BIT, false, false, 100, "MAIL FROM:<a@b> SIZE=100" },
	{ EVERYTHING, 0, "a@b", "c@d", BODY_7BIT, false, false, 101, "552 5.3.4" },
	{ "SIZE", 0, "a@b", "c@d", BODY_7BIT, false, false, 1ULL << 40,
	  "MAIL FROM:<a@b> SIZE=1099511627776" },
	/* 8BITMIME: said for what is or claims to be 8-bit; needed only for what is */
	{ EVERYTHING, 0, "a@b", "c@d", BODY_8BITMIME, false, false, 7,
	  "MAIL FROM:<a@b> SIZE=7 BODY=8BITMIME" },
	{ EVERYTHING, 0, "a@b", "c@d", BODY_7BIT, false, true, 7, "MAIL FROM:<a@b> SIZE=7 BODY=8BITMIME" },
	{ "", 0, "a@b", "c@d", BODY_8BITMIME, false, false, 7, "MAIL FROM:<a@b>" },
	{ "", UPSTREAM_EIGHTBIT_STRICT, "a@b", "c@d", BODY_8BITMIME, false, true, 7, "554 5.6.3" },
	{ "", UPSTREAM_EIGHTBIT_PASS, "a@b", "c@d", BODY_8BITMIME, false, true, 7, "MAIL FROM:<a@b>" },
	{ EVERYTHING, 0, "a@b", "c@d", BODY_BINARYMIME, false, false, 7, "554 5.6.3" },
	/* SMTPUTF8: said when an address needs it, or the message may; needed only by addresses */
	{ EVERYTHING, 0, "a@b", "c@d", BODY_7BIT, true, false, 7, "MAIL FROM:<a@b> SIZE=7" },
	{ EVERYTHING, 0, "a@b", "c@d", BODY_7BIT, true, true, 7,
	  "MAIL FROM:<a@b> SIZE=7 BODY=8BITMIME SMTPUTF8" },
	{ EVERYTHING, 0, "a@b", "\xc3\xa9@d", BODY_7BIT, true, false, 7, "MAIL FROM:<a@b> SIZE=7 SMTPUTF8" },
	{ EVERYTHING, 0, "a@\xc3\xa9", "c@d", BODY_7BIT, false, false, 7,
	  "MAIL FROM:<a@\xc3\xa9> SIZE=7 SMTPUTF8" },
	{ "", 0, "a@b", "c@d", BODY_7BIT, true, false, 7, "MAIL FROM:<a@b>" },
	{ "8BITMIME", 0, "a@b", "c@d", BODY_7BIT, true, true, 7, "MAIL FROM:<a@b> BODY=8BITMIME" },
	{ "", 0, "a@b", "\xc3\xa9@d", BODY_7BIT, true, false, 7, "550 5.6.7" },
	{ "", 0, "\xc3\xa9@b", "c@d", BODY_7BIT, true, false, 7, "550 5.6.7" },
	/* an address can never become a second command */
	{ EVERYTHING, 0, "a@b>\r\nRCPT TO:<x@y", "c@d", BODY_7BIT, false, false, 7, "553 5.1.3" },
	{ EVERYTHING, 0, "a@b", "c@d>\nDATA", BODY_7BIT, false, false, 7, "553 5.1.3" },
	{ EVERYTHING, 0, "a@b", "c\r@d", BODY_7BIT, false, false, 7, "553 5.1.3" },
	{ EVERYTHING, 0, "a@b", "c\x7f@d", BODY_7BIT, false, false, 7, "553 5.1.3" },
};

START_TEST(parameters_follow_from_message_and_features)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct upstream_features f = announced(rows[i].features);
		struct fake_txn *t = fake_new("x", 1, "", 0);
		char line[COMMAND_MAX];
		struct smtp_reply refusal;

		envelope_set(&t->env.sender, rows[i].sender, strlen(rows[i].sender));
		envelope_set(&t->env.rcpt[0].address, rows[i].rcpt, strlen(rows[i].rcpt));
		t->env.body = rows[i].body;
		t->env.smtputf8 = rows[i].smtputf8;
		t->txn.has_eightbit = rows[i].has_eightbit;
		t->txn.content_bytes = rows[i].bytes;
		if (command_can_take(&f, &(struct upstream_settings){ .eightbit = rows[i].eightbit }, &t->txn, &refusal)) {
			ck_assert_uint_eq(command_mail(line, &f, &t->txn), strlen(line));
			ck_assert_msg(strcmp(line, rows[i].mail) == 0, "row %zu: %s", i, line);
			ck_assert_uint_eq(command_rcpt(line, &f, &t->txn, 0), strlen(line));
			ck_assert(strstr(line, rows[i].rcpt) != NULL);
		} else {
			snprintf(line, sizeof(line), "%d %s", refusal.code, refusal.enhanced);
			ck_assert_msg(strcmp(line, rows[i].mail) == 0, "row %zu: %s", i, line);
			ck_assert(refusal.text[0]);
		}
		fake_free(t);
	}
}
END_TEST

#define LONG_ENVID "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
static const struct {
	const char *features, *envid;
	enum envelope_ret ret;
	const char *address, *orcpt;
	unsigned notify;
	bool smtputf8;
	const char *mail, *rcpt;
} dsn_rows[] = {
	{ "DSN", NULL, RET_UNSET, "c@d", NULL, 0, false, "MAIL FROM:<a@b>", "RCPT TO:<c@d>" },
	{ "DSN", "QQ314159", RET_HDRS, "c@d", "rfc822;Bob@x+2By", ENVELOPE_NOTIFY_NEVER, false,
	  "MAIL FROM:<a@b> RET=HDRS ENVID=QQ314159", "RCPT TO:<c@d> NOTIFY=NEVER ORCPT=rfc822;Bob@x+2By" },
	{ "DSN", LONG_ENVID, RET_FULL, "c@d", NULL, ENVELOPE_NOTIFY_SUCCESS | ENVELOPE_NOTIFY_DELAY, false,
	  "MAIL FROM:<a@b> RET=FULL ENVID=" LONG_ENVID, "RCPT TO:<c@d> NOTIFY=SUCCESS,DELAY" },
	{ "DSN", NULL, RET_UNSET, "c@d", NULL,
	  ENVELOPE_NOTIFY_SUCCESS | ENVELOPE_NOTIFY_FAILURE | ENVELOPE_NOTIFY_DELAY, false, "MAIL FROM:<a@b>",
	  "RCPT TO:<c@d> NOTIFY=SUCCESS,FAILURE,DELAY" },
	{ "DSN", NULL, RET_UNSET, "c@d", NULL, ENVELOPE_NOTIFY_FAILURE, false, "MAIL FROM:<a@b>",
	  "RCPT TO:<c@d> NOTIFY=FAILURE" },
	/* not announced: nothing is asked */
	{ "8BITMIME SIZE", "QQ314159", RET_HDRS, "c@d", "rfc822;x@y", ENVELOPE_NOTIFY_NEVER, false, "MAIL FROM:<a@b>",
	  "RCPT TO:<c@d>" },
	/* what is no xtext never gets onto the wire, whoever put it into the spool */
	{ "DSN", "a\r\nRSET", RET_UNSET, "c@d", "rfc822;a\r\nDATA", 0, false, "MAIL FROM:<a@b>", "RCPT TO:<c@d>" },
	{ "DSN", "a+0Ab", RET_UNSET, "c@d", "rfc822;a+0Db", 0, false, "MAIL FROM:<a@b>", "RCPT TO:<c@d>" },
	{ "DSN", LONG_ENVID "0", RET_UNSET, "c@d", "no-type", 0, false, "MAIL FROM:<a@b>", "RCPT TO:<c@d>" },
	/* RFC 6533 3 */
	{ "DSN", NULL, RET_UNSET, "c@d", "utf-8;\\x{E9}@d", 0, false, "MAIL FROM:<a@b>",
	  "RCPT TO:<c@d> ORCPT=utf-8;\\x{E9}@d" },
	{ "DSN", NULL, RET_UNSET, "c@d", "utf-8;\xc3\xa9@d", 0, true, "MAIL FROM:<a@b>", "RCPT TO:<c@d>" },
	{ "DSN\nSMTPUTF8", NULL, RET_UNSET, "\xc3\xa9@d", "utf-8;\xc3\xa9@d", 0, true, "MAIL FROM:<a@b> SMTPUTF8",
	  "RCPT TO:<\xc3\xa9@d> ORCPT=utf-8;\xc3\xa9@d" },
};

START_TEST(notifications_are_asked_of_those_who_know_them)
{
	for (size_t i = 0; i < sizeof(dsn_rows) / sizeof(*dsn_rows); i++) {
		struct upstream_features f = announced(dsn_rows[i].features);
		struct fake_txn *t = fake_new("x", 1, "", 0);
		struct envelope_rcpt *rcpt = &t->env.rcpt[0];
		char line[COMMAND_MAX];

		envelope_set(&t->env.sender, "a@b", 3);
		envelope_set(&rcpt->address, dsn_rows[i].address, strlen(dsn_rows[i].address));
		if (dsn_rows[i].envid)
			envelope_set(&t->env.envid, dsn_rows[i].envid, strlen(dsn_rows[i].envid));
		if (dsn_rows[i].orcpt)
			envelope_set(&rcpt->orcpt, dsn_rows[i].orcpt, strlen(dsn_rows[i].orcpt));
		t->env.ret = dsn_rows[i].ret;
		t->env.smtputf8 = dsn_rows[i].smtputf8;
		rcpt->notify = dsn_rows[i].notify;
		ck_assert_uint_eq(command_mail(line, &f, &t->txn), strlen(line));
		ck_assert_msg(strncmp(line, dsn_rows[i].mail, strlen(dsn_rows[i].mail)) == 0 &&
				      strlen(line) - strlen(dsn_rows[i].mail) < sizeof(" SIZE=0000"),
			      "row %zu: %s", i, line);
		ck_assert_uint_eq(command_rcpt(line, &f, &t->txn, 0), strlen(line));
		ck_assert_msg(strcmp(line, dsn_rows[i].rcpt) == 0, "row %zu: %s", i, line);
		fake_free(t);
	}
}
END_TEST

START_TEST(the_longest_commands_fit)
{
	struct upstream_features f = announced("DSN\nSIZE\n8BITMIME\nSMTPUTF8");
	struct fake_txn *t = fake_new("x", 1, "", 0);
	char text[COMMAND_ADDRESS_MAX + 1], envid[301] = "", line[COMMAND_MAX];

	memset(text, 'x', sizeof(text));
	envelope_set(&t->env.sender, text, COMMAND_ADDRESS_MAX);
	envelope_set(&t->env.rcpt[0].address, text, COMMAND_ADDRESS_MAX);
	memcpy(text, "rfc822;", 7);
	envelope_set(&t->env.rcpt[0].orcpt, text, 500);
	for (size_t i = 0; i < 100; i++)
		memcpy(envid + 3 * i, "+2B", 4);
	envelope_set(&t->env.envid, envid, 300);
	t->env.ret = RET_FULL;
	t->env.rcpt[0].notify = ENVELOPE_NOTIFY_SUCCESS | ENVELOPE_NOTIFY_FAILURE | ENVELOPE_NOTIFY_DELAY;
	t->txn.content_bytes = UINT64_MAX;
	ck_assert_uint_gt(command_mail(line, &f, &t->txn), COMMAND_ADDRESS_MAX + 300);
	ck_assert_uint_gt(command_rcpt(line, &f, &t->txn, 0), COMMAND_ADDRESS_MAX + 500);
	fake_free(t);
}
END_TEST

START_TEST(requiretls_goes_verified_or_not_at_all)
{
	static const struct {
		bool announced;
		enum upstream_verified verified;
		const char *sender, *mail; /* NULL: refused */
	} cases[] = {
		{ true, UPSTREAM_VERIFIED_CA, "a@b", "MAIL FROM:<a@b> REQUIRETLS" },
		{ true, UPSTREAM_VERIFIED_PIN, "a@b", "MAIL FROM:<a@b> REQUIRETLS" },
		{ true, UPSTREAM_NOT_VERIFIED, "a@b", NULL },
		{ false, UPSTREAM_VERIFIED_CA, "a@b", NULL },
		/* RFC 8689 5: a report is not given up for it */
		{ true, UPSTREAM_VERIFIED_CA, "", "MAIL FROM:<> REQUIRETLS" },
		{ true, UPSTREAM_NOT_VERIFIED, "", "MAIL FROM:<>" },
		{ false, UPSTREAM_VERIFIED_CA, "", "MAIL FROM:<>" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct upstream_features f = { .requiretls = cases[i].announced, .verified = cases[i].verified };
		struct fake_txn *t = fake_new("x", 1, "", 0);
		char line[COMMAND_MAX];
		struct smtp_reply refusal;

		envelope_set(&t->env.sender, cases[i].sender, strlen(cases[i].sender));
		t->env.requiretls = true;
		ck_assert_int_eq(command_can_take(&f, &(struct upstream_settings){ .eightbit = UPSTREAM_EIGHTBIT_STRICT }, &t->txn, &refusal), cases[i].mail != NULL);
		if (cases[i].mail) {
			command_mail(line, &f, &t->txn);
			ck_assert_str_eq(line, cases[i].mail);
		} else {
			ck_assert_int_eq(refusal.code, 550);
			ck_assert_str_eq(refusal.enhanced, "5.7.30");
		}
		t->env.requiretls = false; /* and nobody else is told to */
		ck_assert(command_can_take(&f, &(struct upstream_settings){ .eightbit = UPSTREAM_EIGHTBIT_STRICT }, &t->txn, &refusal));
		command_mail(line, &f, &t->txn);
		ck_assert_ptr_null(strstr(line, "REQUIRETLS"));
		fake_free(t);
	}
}
END_TEST

/* RFC 2852 4.1: what is left of the time goes on; with R only to who keeps it. */
START_TEST(a_time_to_deliver_by)
{
	static const struct {
		struct deliver_by by; /* wall_us: seconds from now */
		bool announced, lmtp;
		uint64_t min_s;
		const char *mail; /* NULL: refused, */
		const char *enhanced; /* with that */
	} times[] = {
		{ { DELIVER_BY_NONE, false, 0 }, true, false, 0, "MAIL FROM:<a@from>", NULL },
		{ { DELIVER_BY_RETURN, false, 120 }, true, false, 0, "MAIL FROM:<a@from> BY=120;R", NULL },
		{ { DELIVER_BY_RETURN, true, 120 }, true, false, 120, "MAIL FROM:<a@from> BY=120;RT", NULL },
		{ { DELIVER_BY_RETURN, false, 119 }, true, false, 120, NULL, "5.4.7" },
		{ { DELIVER_BY_RETURN, false, 120 }, false, false, 0, NULL, "5.3.3" },
		{ { DELIVER_BY_RETURN, false, 0 }, true, false, 0, NULL, "5.4.7" },
		{ { DELIVER_BY_RETURN, false, -5 }, false, true, 0, NULL, "5.4.7" },
		/* LMTP delivers: nothing is left to be promised */
		{ { DELIVER_BY_RETURN, false, 5 }, false, true, 0, "MAIL FROM:<a@from>", NULL },
		{ { DELIVER_BY_NOTIFY, false, 5 }, false, false, 0, "MAIL FROM:<a@from>", NULL },
		{ { DELIVER_BY_NOTIFY, false, 5 }, true, false, 100, "MAIL FROM:<a@from> BY=5;N", NULL },
		{ { DELIVER_BY_NOTIFY, true, -70 }, true, false, 0, "MAIL FROM:<a@from> BY=-70;NT", NULL },
	};
	const int64_t now = 1795000000000000;

	clock_freeze(now, 0);
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		struct upstream_features f = { .deliverby = times[i].announced, .deliverby_min_s = times[i].min_s };
		struct upstream_settings settings = { .lmtp = times[i].lmtp };
		struct fake_txn *t = fake_new("a", 1, "", 0);
		struct smtp_reply refusal;
		char line[COMMAND_MAX];

		t->env.by = times[i].by;
		if (t->env.by.mode != DELIVER_BY_NONE)
			t->env.by.wall_us = now + times[i].by.wall_us * 1000000;
		ck_assert_msg(command_can_take(&f, &settings, &t->txn, &refusal) == (times[i].mail != NULL), "row %zu", i);
		if (times[i].mail) {
			command_mail(line, &f, &t->txn);
			ck_assert_str_eq(line, times[i].mail);
		} else {
			ck_assert_int_eq(refusal.code, 550);
			ck_assert_str_eq(refusal.enhanced, times[i].enhanced);
		}
		if (times[i].mail && times[i].by.mode == DELIVER_BY_RETURN && times[i].announced) {
			/* the clock went on since: no BY=0;R, which nobody takes */
			clock_freeze(t->env.by.wall_us + 1, 0);
			command_mail(line, &f, &t->txn);
			ck_assert_ptr_nonnull(strstr(line, " BY=1;R"));
			clock_freeze(now, 0);
		}
		fake_free(t);
	}
	clock_thaw();
}
END_TEST

/* RFC 9422 */
START_TEST(limits_are_read)
{
	static const struct {
		const char *line;
		unsigned rcptmax, mailmax, rcptdomainmax;
	} lines[] = {
		{ "LIMITS RCPTMAX=100 MAILMAX=5 RCPTDOMAINMAX=1", 100, 5, 1 },
		{ "limits rcptmax=7", 7, 0, 0 },
		{ "LIMITS", 0, 0, 0 },
		{ "LIMITS ", 0, 0, 0 },
		{ "LIMITS RCPTMAX=x MAILMAX= RCPTDOMAINMAX", 0, 0, 0 },
		{ "LIMITS OTHER=3 XRCPTMAX=4 RCPTMAX=99999999999 MAILMAX=2", 0, 2, 0 },
		{ "LIMITS  RCPTMAX=1  MAILMAX=2 ", 1, 2, 0 },
		{ "DELIVERBY 240", 0, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct upstream_features f = { 0 };

		upstream_features_note(&f, lines[i].line, strlen(lines[i].line), 0);
		ck_assert_uint_eq(f.rcptmax, lines[i].rcptmax);
		ck_assert_uint_eq(f.mailmax, lines[i].mailmax);
		ck_assert_uint_eq(f.rcptdomainmax, lines[i].rcptdomainmax);
		ck_assert_uint_eq(f.deliverby_min_s, f.deliverby ? 240 : 0);
	}
}
END_TEST

START_TEST(an_address_of_any_length_fits_or_is_refused)
{
	for (size_t len = COMMAND_ADDRESS_MAX - 1; len <= COMMAND_ADDRESS_MAX + 1; len++) {
		struct upstream_features f = announced(EVERYTHING);
		struct fake_txn *t = fake_new("x", 1, "", 0);
		char address[COMMAND_ADDRESS_MAX + 2], line[COMMAND_MAX];
		struct smtp_reply refusal;

		memset(address, 0xc3, sizeof(address));
		envelope_set(&t->env.sender, address, len);
		t->txn.has_eightbit = true;
		ck_assert(command_can_take(&f, &(struct upstream_settings){ .eightbit = UPSTREAM_EIGHTBIT_STRICT }, &t->txn, &refusal) == (len <= COMMAND_ADDRESS_MAX));
		if (len <= COMMAND_ADDRESS_MAX)
			command_mail(line, &f, &t->txn); /* asserts that it fits */
		fake_free(t);
	}
}
END_TEST

static const struct {
	const char *content, *wire;
} stuffed[] = {
	{ "", ".\r\n" },
	{ "a\r\n", "a\r\n.\r\n" },
	{ "a", "a\r\n.\r\n" },
	{ "a\r", "a\r\r\n.\r\n" },
	{ "a\n", "a\n\r\n.\r\n" },
	{ "\n", "\n\r\n.\r\n" },
	{ "\r\n", "\r\n.\r\n" },
	{ ".", "..\r\n.\r\n" },
	{ ".\r\n", "..\r\n.\r\n" },
	{ "..\r\n", "...\r\n.\r\n" },
	{ "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n" },
	{ "a\r\n.b.\r\n.", "a\r\n..b.\r\n..\r\n.\r\n" },
	{ "a.\r\nb\r\n", "a.\r\nb\r\n.\r\n" },
	{ "a\n.\nb\r\n",
	  "a\n..\nb\r\n.\r\n" }, /* no such content is let in; it could not end the data either */
	{ "\r\n\r\n.\r\n\r\n", "\r\n\r\n..\r\n\r\n.\r\n" },
};

static void check_wire(struct fake_txn *t, size_t room, const char *wire, size_t wire_len)
{
	char *out = malloc(room), *all = malloc(wire_len + room);
	enum content_result result;
	struct content c;
	struct err e;
	size_t n, len = 0;

	content_init(&c, false);
	do {
		result = content_write(&c, &t->txn, out, room, &n, &e);
		ck_assert_int_ne(result, CONTENT_FAILED);
		ck_assert_uint_le(n, room);
		ck_assert_uint_le(len + n, wire_len);
		ck_assert(result == CONTENT_END || n > 0);
		memcpy(all + len, out, n);
		len += n;
	} while (result == CONTENT_MORE);
	ck_assert_uint_eq(len, wire_len);
	ck_assert_mem_eq(all, wire, len);
	free(out);
	free(all);
}

START_TEST(content_is_stuffed_and_ended_wherever_it_is_cut)
{
	for (size_t i = 0; i < sizeof(stuffed) / sizeof(*stuffed); i++) {
		struct fake_txn *t = fake_new("x", 1, stuffed[i].content, strlen(stuffed[i].content));

		for (t->piece = 0; t->piece < 5; t->piece++)
			for (size_t room = CONTENT_ROOM_MIN; room < CONTENT_ROOM_MIN + 20; room++)
				check_wire(t, room, stuffed[i].wire, strlen(stuffed[i].wire));
		fake_free(t);
	}
}
END_TEST

/* Independent of the code under test: byte by byte. */
static size_t stuff_slowly(const char *content, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (content[i] == '.' && (i == 0 || content[i - 1] == '\n'))
			out[n++] = '.';
		out[n++] = content[i];
	}
	if (len > 0 && (len < 2 || content[len - 2] != '\r' || content[len - 1] != '\n'))
		out[n++] = '\r', out[n++] = '\n';
	memcpy(out + n, ".\r\n", 3);
	return n + 3;
}

START_TEST(random_content_is_stuffed_as_the_slow_way)
{
	static char content[50000], wire[110000];
	unsigned seed = 7;

	for (int round = 0; round < 300; round++) {
		size_t len = (size_t)rand_r(&seed) % (round % 10 == 0 ? sizeof(content) : 300);
		struct fake_txn *t;

		for (size_t i = 0; i < len; i++)
			content[i] = "..\r\nx\r\n."[rand_r(&seed) % 8];
		t = fake_new("x", 1, content, len);
		t->piece = (size_t)rand_r(&seed) % 40;
		check_wire(t, CONTENT_ROOM_MIN + (size_t)rand_r(&seed) % 5000, wire,
			   stuff_slowly(content, len, wire));
		t->piece = 0;
		check_wire(t, 65536, wire, stuff_slowly(content, len, wire));
		fake_free(t);
	}
}
END_TEST

static ssize_t read_nothing(struct upstream_txn *t, uint64_t offset, void *data, size_t cap, struct err *e)
{
	(void)t, (void)offset, (void)data, (void)cap, (void)e;
	return 0;
}

START_TEST(a_source_that_fails_or_is_short_never_ends)
{
	struct fake_txn *t = fake_new("x", 1, "hello\r\nworld\r\n", 14);
	char out[1000];
	struct content c;
	struct err e;
	size_t n;

	for (int dots = 0; dots < 2; dots++) {
		t->txn.has_dot_lines = dots;
		t->piece = 3;
		t->fails_at = 9;
		content_init(&c, false);
		ck_assert_int_eq(content_write(&c, &t->txn, out, sizeof(out), &n, &e), CONTENT_FAILED);
		ck_assert_str_eq(e.text, "the disk is gone");
		t->txn.read = read_nothing;
		content_init(&c, false);
		ck_assert_int_eq(content_write(&c, &t->txn, out, sizeof(out), &n, &e), CONTENT_FAILED);
		ck_assert_str_eq(e.text, "the content ends after 0 of 14 bytes");
		t->txn.read = fake_read;
	}
	fake_free(t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("content");

	UNIT_CASE(s, keywords_are_read_without_regard_to_case, what_only_looks_like_a_keyword_is_none,
		  an_odd_size_is_no_limit, parameters_follow_from_message_and_features,
		  notifications_are_asked_of_those_who_know_them,
		  the_longest_commands_fit,
		  requiretls_goes_verified_or_not_at_all, a_time_to_deliver_by,
		  limits_are_read, an_address_of_any_length_fits_or_is_refused,
		  content_is_stuffed_and_ended_wherever_it_is_cut, random_content_is_stuffed_as_the_slow_way,
		  a_source_that_fails_or_is_short_never_ends);
	return unit_run(s);
}
