/* SPDX-License-Identifier: ISC */
/* sendmail/ and what it uses of submit/: the command line as a table, exit statuses, dots, names, the header. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "sendmail/options.h"
#include "sendmail/status.h"
#include "submit/submit.h"
#include "unit.h"

/* ---- the command line ------------------------------------------------------------ */

struct row {
	const char *words; /* separated by one space; "~" is an empty word */
	int mode; /* -1: EX_USAGE */
	const char *sender, *operands;
	const char *flags; /* t i G v q in this order, as they are set */
	const char *more; /* "notify/ret/envid/body" where not all are unset */
};

static const struct row rows[] = {
	/* submission, as programs do it */
	{ "sendmail a@b", SENDMAIL_SUBMIT, NULL, "a@b", "", NULL },
	{ "/usr/sbin/sendmail -t -i", SENDMAIL_SUBMIT, NULL, "", "ti", NULL }, /* PHP */
	{ "sendmail -ti", SENDMAIL_SUBMIT, NULL, "", "ti", NULL },
	{ "/usr/lib/sendmail -FCronDaemon -i -B8BITMIME -oem root", SENDMAIL_SUBMIT, NULL, "root", "i", "0/0//1" },
	{ "sendmail -oi -oem -f a@b -- c@d", SENDMAIL_SUBMIT, "a@b", "c@d", "i", NULL },
	{ "sendmail -fa@b c@d", SENDMAIL_SUBMIT, "a@b", "c@d", "", NULL },
	{ "sendmail -ra@b c@d", SENDMAIL_SUBMIT, "a@b", "c@d", "", NULL },
	{ "sendmail -f ~ c@d", SENDMAIL_SUBMIT, "", "c@d", "", NULL },
	{ "sendmail -f <> c@d", SENDMAIL_SUBMIT, "<>", "c@d", "", NULL },
	{ "sendmail c@d -f a@b e@f -i", SENDMAIL_SUBMIT, "a@b", "c@d e@f", "i", NULL },
	{ "sendmail c@d -- -f", SENDMAIL_SUBMIT, NULL, "c@d -f", "", NULL },
	{ "sendmail -bm -v c@d", SENDMAIL_SUBMIT, NULL, "c@d", "v", NULL },
	{ "sendmail -oeq c@d", SENDMAIL_SUBMIT, NULL, "c@d", "q", NULL },
	{ "sendmail -oee -eq c@d", SENDMAIL_SUBMIT, NULL, "c@d", "q", NULL },
	{ "sendmail -o i c@d", SENDMAIL_SUBMIT, NULL, "c@d", "i", NULL },
	{ "mailq -bm c@d", SENDMAIL_SUBMIT, NULL, "c@d", "", NULL },
	/* tolerated */
	{ "sendmail -Am -U -G -n -m -x -c -L tag -h 20 -Mrx -O DeliveryMode=b -ODeliveryMode=b -p ESMTP -X /x c@d",
	  SENDMAIL_SUBMIT, NULL, "c@d", "G", NULL },
	{ "sendmail -om -o7 -odb -oXy -oItem c@d", SENDMAIL_SUBMIT, NULL, "c@d", "", NULL },
	/* reports */
	{ "sendmail -N never c@d", SENDMAIL_SUBMIT, NULL, "c@d", "", "1/0//0" },
	{ "sendmail -N success,Failure,delay -R hdrs -V id+1 c@d", SENDMAIL_SUBMIT, NULL, "c@d", "", "14/2/id+1/0" },
	{ "sendmail -N failure -R full c@d", SENDMAIL_SUBMIT, NULL, "c@d", "", "4/1//0" },
	{ "sendmail -N never,delay c@d", SENDMAIL_SUBMIT, NULL, "c@d", "", "warn" },
	{ "sendmail -N ~ c@d", SENDMAIL_SUBMIT, NULL, "c@d", "", "warn" },
	{ "sendmail -R half c@d", SENDMAIL_SUBMIT, NULL, "c@d", "", "warn" },
	{ "sendmail -V \x01 c@d", SENDMAIL_SUBMIT, NULL, "c@d", "", "warn" },
	{ "sendmail -B 7BIT c@d", SENDMAIL_SUBMIT, NULL, "c@d", "", NULL },
	{ "sendmail -B BINARY c@d", -1, NULL, NULL, NULL, NULL },
	/* other modes */
	{ "sendmail -bp", SENDMAIL_QUEUE, NULL, "", "", NULL },
	{ "mailq", SENDMAIL_QUEUE, NULL, "", "", NULL },
	{ "/usr/bin/newaliases", SENDMAIL_ALIASES, NULL, "", "", NULL },
	{ "newaliases -bp", SENDMAIL_QUEUE, NULL, "", "", NULL },
	{ "sendmail -bi", SENDMAIL_ALIASES, NULL, "", "", NULL },
	{ "sendmail -I", SENDMAIL_ALIASES, NULL, "", "", NULL },
	{ "sendmail -bs", SENDMAIL_SMTP, NULL, "", "", NULL },
	{ "sendmail -q", SENDMAIL_FLUSH, NULL, "", "", NULL },
	{ "sendmail -q -v", SENDMAIL_FLUSH, NULL, "", "v", NULL },
	{ "sendmail -qI1k0w", SENDMAIL_FLUSH, NULL, "", "", NULL },
	{ "sendmail -qRexample.org", SENDMAIL_FLUSH, NULL, "", "", NULL },
	{ "sendmail -q30m", SENDMAIL_NOTHING, NULL, "", "", NULL },
	{ "sendmail --help", SENDMAIL_HELP, NULL, "", "", NULL },
	{ "sendmail --version", SENDMAIL_VERSION, NULL, "", "", NULL },
	/* refused */
	{ "sendmail -bd", -1, NULL, NULL, NULL, NULL },
	{ "sendmail -bh", -1, NULL, NULL, NULL, NULL },
	{ "sendmail -bt", -1, NULL, NULL, NULL, NULL },
	{ "sendmail -bv a@b", -1, NULL, NULL, NULL, NULL },
	{ "sendmail -bz", -1, NULL, NULL, NULL, NULL },
	{ "sendmail -qSsite", -1, NULL, NULL, NULL, NULL },
	{ "sendmail -qI", -1, NULL, NULL, NULL, NULL },
	{ "sendmail -qR", -1, NULL, NULL, NULL, NULL },
	{ "sendmail -qI1k0w a@b", -1, NULL, NULL, NULL, NULL },
	{ "sendmail -XV a@b", -1, NULL, NULL, NULL, NULL },
	{ "sendmail -t -bs", -1, NULL, NULL, NULL, NULL },
	{ "sendmail -f", -1, NULL, NULL, NULL, NULL },
	{ "sendmail -Z", -1, NULL, NULL, NULL, NULL },
	{ "sendmail -tZ", -1, NULL, NULL, NULL, NULL },
};

static void count_warning(void *ctx, const char *message)
{
	ck_assert(message[0]);
	++*(int *)ctx;
}

static void check_row(const struct row *row)
{
	char text[512], *argv[40], flags[8] = "", operands[256] = "", more[64] = "";
	struct sendmail_options o;
	struct err e = { 0 };
	int argc = 0, warnings = 0, r;

	strcpy(text, row->words);
	for (char *w = strtok(text, " "); w; w = strtok(NULL, " "))
		argv[argc++] = strcmp(w, "~") == 0 ? w + 1 : w;
	argv[argc] = NULL;
	r = sendmail_options_parse(&o, argc, argv, count_warning, &warnings, &e);
	ck_assert_msg(r == (row->mode < 0 ? -1 : 0), "%s: %s", row->words, e.text);
	if (r == 0) {
		ck_assert_msg((int)o.mode == row->mode, "%s", row->words);
		ck_assert_msg(!o.sender == !row->sender && (!o.sender || strcmp(o.sender, row->sender) == 0), "%s",
			      row->words);
		for (size_t i = 0; i < o.operand_count; i++)
			strcat(strcat(operands, i ? " " : ""), o.operand[i]);
		snprintf(flags, sizeof(flags), "%s%s%s%s%s", o.read_recipients ? "t" : "", o.dot_is_text ? "i" : "",
			 o.gateway ? "G" : "", o.verbose ? "v" : "", o.quiet ? "q" : "");
		snprintf(more, sizeof(more), "%u/%d/%s/%d", o.notify, (int)o.ret, o.envid ? o.envid : "", (int)o.body);
		if (warnings)
			strcpy(more, "warn");
		ck_assert_str_eq(operands, row->operands);
		ck_assert_msg(strcmp(flags, row->flags) == 0, "%s: %s", row->words, flags);
		ck_assert_msg(strcmp(more, row->more ? row->more : "0/0//0") == 0, "%s: %s", row->words, more);
	} else {
		ck_assert(e.text[0]);
	}
	sendmail_options_release(&o);
}

START_TEST(the_command_line_is_read_as_postfix_does)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
}
END_TEST

START_TEST(every_letter_of_the_table_is_known_to_the_parser)
{
	for (size_t i = 0; i < sendmail_letter_count; i++) {
		char word[3] = { '-', sendmail_letters[i].letter, '\0' };
		char *argv[] = { word, word, NULL };
		struct sendmail_options o;
		int warnings = 0, r;
		struct err e = { 0 };

		argv[0] = (char[]){ "sendmail" };
		r = sendmail_options_parse(&o, 2, argv, count_warning, &warnings, &e);
		/* who needs a value and has none says so; -q has none */
		ck_assert_msg(r == (sendmail_letters[i].value && word[1] != 'q' ? -1 : 0), "%s: %s", word, e.text);
		ck_assert(sendmail_letters[i].help[0]);
		sendmail_options_release(&o);
	}
}
END_TEST

/* ---- exit statuses --------------------------------------------------------------- */

START_TEST(refusals_become_exit_statuses)
{
	static const struct {
		enum upstream_phase phase;
		int code;
		const char *enhanced;
		int status;
	} table[] = {
		{ UPSTREAM_RCPT, 550, "5.1.1", EX_NOUSER },	  { UPSTREAM_RCPT, 550, "", EX_NOUSER },
		{ UPSTREAM_RCPT, 550, "5.1.2", EX_NOHOST },	  { UPSTREAM_RCPT, 553, "5.1.3", EX_NOUSER },
		{ UPSTREAM_RCPT, 554, "5.7.1", EX_NOPERM },	  { UPSTREAM_RCPT, 450, "4.2.0", EX_TEMPFAIL },
		{ UPSTREAM_MAIL, 552, "5.3.4", EX_UNAVAILABLE },  { UPSTREAM_MAIL, 452, "4.3.1", EX_TEMPFAIL },
		{ UPSTREAM_FINAL_DOT, 554, "5.6.0", EX_DATAERR }, { UPSTREAM_FINAL_DOT, 550, "", EX_UNAVAILABLE },
		{ UPSTREAM_FINAL_DOT, 554, "", EX_UNAVAILABLE },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct smtp_reply reply;

		smtp_reply_set(&reply, table[i].code, table[i].enhanced, "words");
		ck_assert_msg(sendmail_status(table[i].phase, &reply) == table[i].status, "row %zu", i);
	}
	ck_assert_int_eq(sendmail_worse(EX_OK, EX_NOUSER), EX_NOUSER);
	ck_assert_int_eq(sendmail_worse(EX_NOUSER, EX_OK), EX_NOUSER);
	ck_assert_int_eq(sendmail_worse(EX_NOUSER, EX_DATAERR), EX_NOUSER);
	ck_assert_int_eq(sendmail_worse(EX_NOUSER, EX_TEMPFAIL), EX_TEMPFAIL);
	ck_assert_int_eq(sendmail_worse(EX_TEMPFAIL, EX_NOUSER), EX_TEMPFAIL);
	ck_assert_int_eq(sendmail_worse(EX_OK, EX_OK), EX_OK);
}
END_TEST

/* ---- dots ------------------------------------------------------------------------- */

START_TEST(a_lone_dot_ends_the_text_however_it_is_cut)
{
	static const struct {
		const char *in, *out;
		bool ended;
	} table[] = {
		{ "a\r\n.\r\nb\r\n", "a\r\n", true }, { ".\r\nb\r\n", "", true },
		{ "a\r\n..\r\nb", "a\r\n..\r\nb", false }, { "a\r\n.b\r\n", "a\r\n.b\r\n", false },
		{ "a.\r\n", "a.\r\n", false }, { "a\r\n.", "a\r\n", false },
		{ "a\r\n \r\n. \r\n", "a\r\n \r\n. \r\n", false }, { "", "", false },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t len = strlen(table[i].in);

		for (size_t cut = 0; cut <= len; cut++) {
			enum dot_seen seen = DOT_LINE_START;
			struct buf out;
			bool ended;

			buf_init(&out, 100);
			ended = dot_filter(&seen, table[i].in, cut, &out) ||
				dot_filter(&seen, table[i].in + cut, len - cut, &out);
			ck_assert_msg(ended == table[i].ended, "row %zu cut %zu", i, cut);
			ck_assert_str_eq(out.data, table[i].out);
			buf_release(&out);
		}
	}
}
END_TEST

/* ---- the message ------------------------------------------------------------------ */

static enum submit_result submit(const char *text, const struct submit_options *o, struct buf *content,
				 struct buf *envelope)
{
	int fd = memfd_create("message", MFD_CLOEXEC);
	enum submit_result r;
	struct submission s;
	char block[4096];
	struct err e = { 0 };
	ssize_t n;

	ck_assert(write(fd, text, strlen(text)) == (ssize_t)strlen(text) && lseek(fd, 0, SEEK_SET) == 0);
	r = submission_read(&s, fd, o, &e);
	close(fd);
	buf_init(content, 1u << 20);
	buf_init(envelope, 1u << 20);
	if (r != SUBMIT_OK) {
		buf_adds(envelope, e.text);
		return r;
	}
	n = pread(s.fd, block, sizeof(block), 0);
	ck_assert(n >= 0);
	buf_add(content, block, (size_t)n);
	buf_adds(envelope, s.env.sender);
	for (size_t i = 0; i < s.env.rcpt_count; i++)
		buf_addf(envelope, " %s", s.env.rcpt[i].address);
	submission_release(&s);
	return r;
}

static const char *without_added(struct buf *content)
{
	static const char *const names[] = { "Message-ID: ", "Date: " };

	for (size_t i = 0; i < 2; i++) {
		char *at = strstr(content->data, names[i]), *end = at ? strstr(at, "\r\n") : NULL;

		if (at)
			memmove(at + strlen(names[i]) - 1, end, strlen(end) + 1);
	}
	return content->data;
}

START_TEST(the_rules_of_sendmail)
{
	static char *const to[] = { (char *)"root", (char *)"X <x@y>, z@y" };
	static const struct {
		const char *in, *from;
		size_t to_count;
		bool read_recipients;
		enum submit_result result;
		const char *envelope, *content;
	} table[] = {
		{ "Subject: s\n\nb\n", "me", 2, false, SUBMIT_OK, "me@h root@h x@y z@y",
		  "Subject: s\r\nDate:\r\nMessage-ID:\r\nFrom: Jane <me@h>\r\n\r\nb\r\n" },
		/* -t adds to the operands; Bcc, Return-Path and Content-Length leave in any case */
		{ "To: a\nBcc: b@y\nReturn-Path: <c>\nContent-Length: 1\n\nb\n", "me@z", 1, true, SUBMIT_OK,
		  "me@z root@h a@h b@y", "To: a\r\nDate:\r\nMessage-ID:\r\nFrom: Jane <me@z>\r\n\r\nb\r\n" },
		{ "To: a\nBcc: b@y\nFrom: f\n\nb\n", "", 1, false, SUBMIT_OK, " root@h",
		  "To: a\r\nFrom: f\r\nDate:\r\nMessage-ID:\r\n\r\nb\r\n" },
		{ "To: a\n\n", "<>", 1, false, SUBMIT_OK, " root@h",
		  "To: a\r\nDate:\r\nMessage-ID:\r\nFrom: MAILER-DAEMON@h\r\n\r\n" },
		/* what is sent again goes to those of this time */
		{ "Resent-To: r@y\nResent-Bcc: q@y\nTo: a@y\nFrom: f@y\n\nb\n", "me", 0, true, SUBMIT_OK, "me@h r@y q@y",
		  "Resent-To: r@y\r\nTo: a@y\r\nFrom: f@y\r\nResent-Date:\r\nResent-Message-ID:\r\n"
		  "Resent-From: Jane <me@h>\r\n\r\nb\r\n" },
		{ "From x Mon\n>From y\nSubject: s\n\n", "me", 1, false, SUBMIT_OK, "me@h root@h",
		  "Subject: s\r\nDate:\r\nMessage-ID:\r\nFrom: Jane <me@h>\r\n\r\n" },
		{ "Subject: s\n\na\n.\nb\n", "me", 1, false, SUBMIT_OK, "me@h root@h",
		  "Subject: s\r\nDate:\r\nMessage-ID:\r\nFrom: Jane <me@h>\r\n\r\na\r\n" },
		{ ".\n", "me", 1, false, SUBMIT_OK, "me@h root@h", "Date:\r\nMessage-ID:\r\nFrom: Jane <me@h>\r\n" },
		{ "", "\"a b\"", 1, false, SUBMIT_OK, "\"a b\"@h root@h",
		  "Date:\r\nMessage-ID:\r\nFrom: Jane <\"a b\"@h>\r\n" },
		{ "Subject: s\n\n", "me", 0, true, SUBMIT_NOBODY, "no recipients: To, Cc and Bcc name nobody", "" },
		{ "To: <a\n\n", "me", 0, true, SUBMIT_INVALID, "To: a '<' without its '>'", "" },
		{ "To: a\n\n", "(nobody)", 0, true, SUBMIT_INVALID, "-f: \"(nobody)\" is no address", "" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct submit_options o = { .from = table[i].from, .to = to, .to_count = table[i].to_count,
					    .read_recipients = table[i].read_recipients, .add_headers = true,
					    .hostname = "h", .sendmail_rules = true, .dot_ends = true,
					    .full_name = "Jane" };
		struct buf content, envelope;

		ck_assert_msg(submit(table[i].in, &o, &content, &envelope) == table[i].result, "row %zu: %s", i,
			      envelope.data);
		ck_assert_str_eq(envelope.data, table[i].envelope);
		ck_assert_str_eq(without_added(&content), table[i].content);
		buf_release(&content);
		buf_release(&envelope);
	}
}
END_TEST

START_TEST(a_name_stands_in_a_header_as_it_must)
{
	static const struct {
		const char *name, *phrase;
	} table[] = {
		{ "Jane Doe", "Jane Doe" },
		{ "J. Doe", "\"J. Doe\"" },
		{ "a \"b\" \\c", "\"a \\\"b\\\" \\\\c\"" },
		{ "J\xc3\xbcrgen", "=?UTF-8?B?SsO8cmdlbg==?=" },
		{ "J\xfcrgen", "\"J?rgen\"" },
		{ "x\r\nBcc: y", "\"x??Bcc: y\"" },
		{ "\xc3\xa4\n\x01", "\"????\"" },
		{ "\xc3\xa4" "0123456789012345678901234567890123456789abc" "\xc3\xb6" "d",
		  "=?UTF-8?B?w6QwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5YWJj?=\r\n =?UTF-8?B?w7Zk?=" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct buf out;

		buf_init(&out, 1000);
		ck_assert(phrase_write(table[i].name, &out));
		ck_assert_str_eq(out.data, table[i].phrase);
		buf_release(&out);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sendmail");

	UNIT_CASE(suite, the_command_line_is_read_as_postfix_does, every_letter_of_the_table_is_known_to_the_parser,
		  refusals_become_exit_statuses, a_lone_dot_ends_the_text_however_it_is_cut, the_rules_of_sendmail,
		  a_name_stands_in_a_header_as_it_must);
	return unit_run(suite);
}
