/* SPDX-License-Identifier: ISC */
/*
 * What the dialogues of tests/transcripts cannot show: every verb in every
 * state, time and its end, what the handler and the owner are told, limits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fake_handler.h"
#include "session/command.h"
#include "session/input.h"
#include "transcript.h"
#include "fake_policy.h"
#include "unit.h"

/* One session with everything around it. */
struct run {
	struct session_config cfg;
	struct session_peer peer;
	struct session_events events;
	struct fake_handler handler;
	struct fake_io io;
	struct buf told; /* by the events */
	enum session_end end;
};

static void setup(struct run *r, const char *input)
{
	memset(r, 0, sizeof(*r));
	transcript_default_config(&r->cfg);
	r->peer = (struct session_peer){ .text = "192.0.2.1:4711", .address = "192.0.2.1", .listener = "lan" };
	fake_handler_init(&r->handler, true);
	fake_io_init(&r->io, input, strlen(input), FAKE_WHOLE);
	buf_init(&r->told, 1 << 20);
	r->events.ctx = r;
}

static void run(struct run *r)
{
	r->end = session_run(&r->cfg, &r->peer, &r->io.io, &r->handler.handler, &r->events);
	ck_assert_int_eq(r->handler.last, FAKE_NONE);
}

static void teardown(struct run *r)
{
	fake_io_release(&r->io);
	fake_handler_release(&r->handler);
	buf_release(&r->told);
}

/* The last line of the output, without CRLF, in a buffer of its own. */
static const char *last_line(const struct run *r)
{
	static char line[2048];
	const char *start = r->io.out.data, *p;

	for (p = start; (p = strstr(p, "\r\n")) && p[2]; p += 2)
		start = p + 2;
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(start, "\r"), start);
	return line;
}

#define HELLO "HELO client.example.net\r\n"
#define EHLO "EHLO client.example.net\r\n"
#define MAIL "MAIL FROM:<alice@example.net>\r\n"
#define RCPT "RCPT TO:<bob@example.org>\r\n"
#define TO_DATA HELLO MAIL RCPT "DATA\r\n"

/* ---- verbs and states -------------------------------------------------------------- */

/* A correct use of each verb and what it is answered where it is allowed. */
static const struct {
	const char *name, *line, *reply;
} samples[] = {
	{ "EHLO", "EHLO x", "250 HELP" },
	{ "HELO", "HELO x", "250 relay.example.org" },
	{ "STARTTLS", "STARTTLS", "502 5.5.1 Error: STARTTLS is not offered here" },
	{ "XCLIENT", "XCLIENT ADDR=192.0.2.1", "550 5.7.0 Error: insufficient authorization" },
	{ "PROXY", "PROXY TCP4 192.0.2.1 192.0.2.2 1 25",
	  "421 4.7.0 relay.example.org Error: a PROXY header is expected from those in proxy_protocol only" },
	{ "AUTH", "AUTH PLAIN", "503 5.5.1 Error: send EHLO first" },
	{ "MAIL", "MAIL FROM:<carol@example.net>", "250 2.1.0 OK" },
	{ "RCPT", "RCPT TO:<dave@example.org>", "250 2.1.5 OK" },
	{ "DATA", "DATA", "354 End data with <CR><LF>.<CR><LF>" },
	{ "BDAT", "BDAT 0", "250 2.0.0 0 octets received" },
	{ "RSET", "RSET", "250 2.0.0 OK" },
	{ "NOOP", "NOOP x y", "250 2.0.0 OK" },
	{ "QUIT", "QUIT", "221 2.0.0 Bye" },
	{ "VRFY", "VRFY bob", "252 2.5.2 Cannot VRFY user, but will accept message and attempt delivery" },
	{ "EXPN", "EXPN list", "502 5.5.1 EXPN not implemented" },
	{ "ETRN", "ETRN example.org", "251 2.0.0 OK, no messages waiting for node example.org" },
	{ "HELP", "HELP", "250 2.0.0 Supported commands: EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY" },
};

/* Commands that must be announced have EHLO; the others HELO, so that no extension is at work. */
static const struct {
	enum command_state state;
	const char *input, *extended;
} states[] = {
	{ COMMAND_START, "", "" },
	{ COMMAND_GREETED, HELLO, EHLO },
	{ COMMAND_MAIL, HELLO MAIL, EHLO MAIL },
	{ COMMAND_RCPT, HELLO MAIL RCPT, EHLO MAIL RCPT },
	{ COMMAND_BDAT, EHLO MAIL RCPT "BDAT 1\r\nx", EHLO MAIL RCPT "BDAT 1\r\nx" },
};

static void sample_of(const struct command_verb *v, const char **line, const char **reply)
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++) {
		if (strcmp(samples[i].name, v->name) == 0) {
			*line = samples[i].line;
			*reply = samples[i].reply;
			return;
		}
	}
	ck_assert_msg(v->run == verb_http, "no sample of %s", v->name);
	*line = v->name;
	*reply = "421 4.7.0 relay.example.org Error: this is SMTP, not HTTP";
}

static void expected_refusal(const struct command_verb *v, enum command_state state, char *out, size_t cap)
{
	if (state == COMMAND_BDAT && (v->run == verb_data || v->run == verb_rcpt))
		snprintf(out, cap, "503 5.5.1 Error: no %s after BDAT", v->name);
	else
		snprintf(out, cap, "503 5.5.1 Error: %s",
			 state == COMMAND_START ? "send HELO first" : v->out_of_order);
}

START_TEST(every_verb_in_every_state)
{
	unsigned refused = 0;

	for (const struct command_verb *v = command_verbs; v->name; v++) {
		for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
			char input[1024], refusal[256];
			const char *line, *reply;
			struct run r;

			sample_of(v, &line, &reply);
			if (!(v->states & states[i].state)) {
				expected_refusal(v, states[i].state, refusal, sizeof(refusal));
				reply = refusal;
				refused++;
			}
			/* allowed as such, but there is no recipient yet */
			if ((v->run == verb_data || v->run == verb_bdat) && states[i].state == COMMAND_MAIL)
				reply = "503 5.5.1 Error: need RCPT command";
			/* it was not announced yet */
			if (v->run == verb_etrn && states[i].state == COMMAND_START)
				reply = "500 5.5.2 Error: command \"ETRN\" not recognized";
			if (v->run == verb_bdat && states[i].state == COMMAND_START)
				reply = "421 4.7.0 relay.example.org Error: it is not known where the next command begins";
			/* that state needs EHLO */
			if (v->run == verb_help && states[i].state == COMMAND_BDAT)
				reply = "250 2.0.0 Supported commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY ETRN";
			snprintf(input, sizeof(input), "%s%s\r\n",
				 v->flags & COMMAND_ANNOUNCED ? states[i].extended : states[i].input, line);
			setup(&r, input);
			run(&r);
			ck_assert_msg(strcmp(last_line(&r), reply) == 0, "%s in state %d: %s", v->name,
				      (int)states[i].state, last_line(&r));
			teardown(&r);
		}
	}
	/* STARTTLS in three states, AUTH and MAIL in four ...: the test itself must see refusals */
	ck_assert_uint_eq(refused, 3 + 4 + 3 + 4 + 3 + 3 + 2 + 4);
}
END_TEST

START_TEST(arguments_by_the_table)
{
	for (const struct command_verb *v = command_verbs; v->name; v++) {
		char input[1024], syntax[256];
		struct run r;

		if (v->argument == COMMAND_MAY_ARGUMENT || !v->syntax)
			continue;
		snprintf(input, sizeof(input), EHLO "%s%s%s\r\n",
			 v->states & COMMAND_GREETED ? "" : MAIL RCPT, v->name,
			 v->argument == COMMAND_NO_ARGUMENT ? " x" : " ");
		snprintf(syntax, sizeof(syntax), "501 5.5.4 Syntax: %s%s", v->syntax,
			 v->flags & COMMAND_PARAMETERS ? " [SP <mail-parameters>]" : "");
		setup(&r, input);
		run(&r);
		ck_assert_str_eq(last_line(&r), syntax);
		teardown(&r);
	}
}
END_TEST

/* ---- time ------------------------------------------------------------------------------ */

static const struct {
	const char *input;
	enum io_result result;
	enum session_end end;
	const char *last;
	const char *log;
} endings[] = {
	{ "", IO_TIMEOUT, SESSION_TIMED_OUT,
	  "421 4.4.2 relay.example.org Error: timeout exceeded, closing connection", "" },
	{ "NOOP", IO_TIMEOUT, SESSION_TIMED_OUT,
	  "421 4.4.2 relay.example.org Error: timeout exceeded, closing connection", "" },
	{ HELLO MAIL, IO_TIMEOUT, SESSION_TIMED_OUT,
	  "421 4.4.2 relay.example.org Error: timeout exceeded, closing connection",
	  "mail <alice@example.net>;abort;" },
	{ TO_DATA "x\r\n.", IO_TIMEOUT, SESSION_TIMED_OUT,
	  "421 4.4.2 relay.example.org Error: timeout exceeded, closing connection",
	  "mail <alice@example.net>;rcpt <bob@example.org>;begin;abort;" },
	{ "", IO_STOP, SESSION_STOPPED,
	  "421 4.3.2 relay.example.org Service shutting down, closing connection", "" },
	{ TO_DATA "x\r\n", IO_STOP, SESSION_STOPPED,
	  "421 4.3.2 relay.example.org Service shutting down, closing connection",
	  "mail <alice@example.net>;rcpt <bob@example.org>;begin;abort;" },
	{ HELLO, IO_SHED, SESSION_SHED,
	  "421 4.3.2 relay.example.org Error: too busy to wait for you any longer, try again later", "" },
	{ TO_DATA "x\r\n", IO_SHED, SESSION_SHED,
	  "421 4.3.2 relay.example.org Error: too busy to wait for you any longer, try again later",
	  "mail <alice@example.net>;rcpt <bob@example.org>;begin;abort;" },
	{ "", IO_EOF, SESSION_LOST, "220 relay.example.org ESMTP Posthouse", "" },
	{ HELLO MAIL RCPT, IO_ERROR, SESSION_LOST, "250 2.1.5 OK",
	  "mail <alice@example.net>;rcpt <bob@example.org>;abort;" },
	{ TO_DATA "x\r\n.\r", IO_EOF, SESSION_LOST, "354 End data with <CR><LF>.<CR><LF>",
	  "mail <alice@example.net>;rcpt <bob@example.org>;begin;abort;" },
	{ EHLO MAIL RCPT "BDAT 4 LAST\r\nabc", IO_TIMEOUT, SESSION_TIMED_OUT,
	  "421 4.4.2 relay.example.org Error: timeout exceeded, closing connection",
	  "mail <alice@example.net>;rcpt <bob@example.org>;begin;abort;" },
	{ EHLO MAIL RCPT "BDAT 4 LAST\r\na\nc", IO_EOF, SESSION_LOST, "250 2.1.5 OK",
	  "mail <alice@example.net>;rcpt <bob@example.org>;begin;abort;" },
	{ EHLO MAIL RCPT "BDAT 3\r\nabc", IO_STOP, SESSION_STOPPED,
	  "421 4.3.2 relay.example.org Service shutting down, closing connection",
	  "mail <alice@example.net>;rcpt <bob@example.org>;begin;abort;" },
	{ EHLO MAIL "BDAT 4 LAST\r\nabc", IO_TIMEOUT, SESSION_TIMED_OUT,
	  "421 4.4.2 relay.example.org Error: timeout exceeded, closing connection", "mail <alice@example.net>;abort;" },
	{ EHLO MAIL RCPT "BDAT 3\r\nabcQUIT\r\n", IO_EOF, SESSION_QUIT, "221 2.0.0 Bye",
	  "mail <alice@example.net>;rcpt <bob@example.org>;begin;abort;" },
	{ HELLO MAIL "QUIT\r\n", IO_EOF, SESSION_QUIT, "221 2.0.0 Bye", "mail <alice@example.net>;abort;" },
	{ HELLO MAIL "RSET\r\nQUIT\r\n", IO_EOF, SESSION_QUIT, "221 2.0.0 Bye",
	  "mail <alice@example.net>;abort;" },
	{ HELLO MAIL HELLO "QUIT\r\n", IO_EOF, SESSION_QUIT, "221 2.0.0 Bye",
	  "mail <alice@example.net>;abort;" },
	{ HELLO MAIL "GET / HTTP/1.0\r\n", IO_EOF, SESSION_REFUSED,
	  "421 4.7.0 relay.example.org Error: this is SMTP, not HTTP", "mail <alice@example.net>;abort;" },
};

START_TEST(ways_to_end)
{
	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
		struct run r;

		setup(&r, endings[i].input);
		r.io.at_end = endings[i].result;
		run(&r);
		ck_assert_int_eq(r.end, endings[i].end);
		ck_assert_str_eq(last_line(&r), endings[i].last);
		ck_assert_str_eq(r.handler.log.data, endings[i].log);
		teardown(&r);
	}
}
END_TEST

START_TEST(client_that_takes_no_reply)
{
	static const enum io_result results[] = { IO_ERROR, IO_TIMEOUT };
	static const enum session_end ends[] = { SESSION_LOST, SESSION_TIMED_OUT };

	for (int i = 0; i < 2; i++) {
		struct run r;

		setup(&r, HELLO);
		r.io.write_result = results[i];
		run(&r);
		ck_assert_int_eq(r.end, ends[i]);
		ck_assert_uint_eq(r.io.writes, 1);
		ck_assert_uint_eq(r.io.reads, 0);
		teardown(&r);
	}
}
END_TEST

static void with_timeouts(struct run *r, const char *input)
{
	setup(r, input);
	r->cfg.command_timeout_ms = 1000;
	r->cfg.data_timeout_ms = 300;
	r->cfg.message_timeout_ms = 100000;
	r->cfg.session_timeout_ms = 500000;
	clock_freeze(1, 7000);
}

START_TEST(deadlines)
{
	struct run r;

	with_timeouts(&r, "");
	run(&r);
	ck_assert_int_eq(r.io.last_deadline, 8000);
	teardown(&r);
	with_timeouts(&r, TO_DATA);
	run(&r);
	ck_assert_int_eq(r.io.last_deadline, 7300);
	teardown(&r);
	with_timeouts(&r, HELLO MAIL);
	r.cfg.message_timeout_ms = 500;
	run(&r);
	ck_assert_int_eq(r.io.last_deadline, 7500);
	teardown(&r);
	with_timeouts(&r, HELLO MAIL "RSET\r\n");
	r.cfg.message_timeout_ms = 500;
	run(&r);
	ck_assert_int_eq(r.io.last_deadline, 8000);
	teardown(&r);
	with_timeouts(&r, HELLO);
	r.cfg.session_timeout_ms = 5;
	run(&r);
	ck_assert_int_eq(r.io.last_deadline, 7005);
	teardown(&r);
	with_timeouts(&r, HELLO);
	r.cfg.session_timeout_ms = r.cfg.command_timeout_ms = 0;
	run(&r);
	ck_assert_int_eq(r.io.last_deadline, CLOCK_NEVER);
	teardown(&r);
	clock_thaw();
}
END_TEST

static int64_t now_ms;
static unsigned rounds;

/* Always something to read, and time goes on by 100 ms each time. */
static bool busy(struct fake_io *io, void *ctx)
{
	const char *line = ctx;

	clock_freeze(1, now_ms += 100);
	io->data = line;
	io->len = strlen(line);
	return ++rounds < 100000;
}

START_TEST(busy_clients_meet_their_deadlines)
{
	static const struct {
		const char *input, *more;
		int64_t end_ms;
	} table[] = {
		{ HELLO, "NOOP\r\n", 507000 }, /* the session's */
		{ HELLO, "x", 8000 }, /* one octet at a time is one command */
		{ HELLO MAIL, "NOOP\r\n", 107000 }, /* the message's */
		{ TO_DATA, "x\r\n", 107000 },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct run r;

		now_ms = 7000;
		rounds = 0;
		with_timeouts(&r, table[i].input);
		r.io.more = busy;
		r.io.ctx = (void *)(uintptr_t)table[i].more;
		run(&r);
		ck_assert_int_eq(r.end, SESSION_TIMED_OUT);
		ck_assert_msg(now_ms >= table[i].end_ms && now_ms <= table[i].end_ms + 200,
			      "ended at %lld, not %lld", (long long)now_ms, (long long)table[i].end_ms);
		teardown(&r);
	}
	clock_thaw();
}
END_TEST

static bool was_interruptible[8];
static unsigned asked;

static bool note_interruptible(struct fake_io *io, void *ctx)
{
	static const char *const inputs[] = { HELLO, MAIL, RCPT, "DATA\r\n", ".\r\n", MAIL, "RSET\r\n" };

	(void)ctx;
	was_interruptible[asked] = io->interruptible;
	if (asked == sizeof(inputs) / sizeof(*inputs))
		return false;
	io->data = inputs[asked++];
	io->len = strlen(io->data);
	return true;
}

START_TEST(transactions_are_not_interrupted)
{
	static const bool expected[8] = { true, true, false, false, false, true, false, true };
	struct run r;

	setup(&r, "");
	r.io.more = note_interruptible;
	run(&r);
	ck_assert_mem_eq(was_interruptible, expected, sizeof(expected));
	teardown(&r);
}
END_TEST

/* ---- the handler ------------------------------------------------------------------------- */

static const struct {
	enum fake_call at;
	unsigned after;
	const char *input;
	const char *replies; /* behind greeting and HELO */
	const char *log;
} refusals[] = {
	{ FAKE_MAIL, 0, MAIL RCPT "DATA\r\n",
	  "452 4.3.1 No\r\n503 5.5.1 Error: need MAIL command\r\n503 5.5.1 Error: need RCPT command\r\n",
	  "mail <alice@example.net>;abort;" },
	{ FAKE_RCPT, 0, MAIL RCPT "DATA\r\n",
	  "250 2.1.0 OK\r\n452 4.3.1 No\r\n554 5.5.1 Error: no valid recipients\r\n",
	  "mail <alice@example.net>;rcpt <bob@example.org>;abort;" },
	{ FAKE_RCPT, 1, MAIL RCPT "RCPT TO:<eve@example.org>\r\n" RCPT "DATA\r\n.\r\n",
	  "250 2.1.0 OK\r\n250 2.1.5 OK\r\n452 4.3.1 No\r\n250 2.1.5 OK\r\n354 End data with "
	  "<CR><LF>.<CR><LF>\r\n"
	  "250 2.0.0 OK\r\n",
	  "mail <alice@example.net>;rcpt <bob@example.org>;rcpt <eve@example.org>;begin;end;" },
	{ FAKE_BEGIN, 0, MAIL RCPT "DATA\r\nRSET\r\n" MAIL,
	  "250 2.1.0 OK\r\n250 2.1.5 OK\r\n452 4.3.1 No\r\n250 2.0.0 OK\r\n250 2.1.0 OK\r\n",
	  "mail <alice@example.net>;rcpt <bob@example.org>;begin;abort;mail <alice@example.net>;abort;" },
	{ FAKE_CHUNK, 0, MAIL RCPT "DATA\r\nx\r\n..\r\nQUIT\r\n.\r\nNOOP\r\n",
	  "250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 End data with <CR><LF>.<CR><LF>\r\n452 4.3.1 No\r\n250 2.0.0 "
	  "OK\r\n",
	  "mail <alice@example.net>;rcpt <bob@example.org>;begin;abort;" },
	{ FAKE_CHUNK, 1, MAIL RCPT "DATA\r\nx\r\n..\r\nQUIT\r\n.\r\nNOOP\r\n",
	  "250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 End data with <CR><LF>.<CR><LF>\r\n452 4.3.1 No\r\n250 2.0.0 "
	  "OK\r\n",
	  "mail <alice@example.net>;rcpt <bob@example.org>;begin;abort;" },
	{ FAKE_END, 0, MAIL RCPT "DATA\r\nx\r\n.\r\n" MAIL,
	  "250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 End data with <CR><LF>.<CR><LF>\r\n452 4.3.1 No\r\n250 2.1.0 "
	  "OK\r\n",
	  "mail <alice@example.net>;rcpt <bob@example.org>;begin;end;mail <alice@example.net>;abort;" },
};

START_TEST(handler_refuses)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		char input[1024];
		struct run r;

		snprintf(input, sizeof(input), HELLO "%s", refusals[i].input);
		setup(&r, input);
		r.handler.refuse_at = refusals[i].at;
		r.handler.refuse_after = refusals[i].after;
		smtp_reply_set(&r.handler.refusal, 452, "4.3.1", "No");
		run(&r);
		ck_assert_str_eq(strstr(r.io.out.data, "250 relay.example.org\r\n") + 23,
				 refusals[i].replies);
		ck_assert_str_eq(r.handler.log.data, refusals[i].log);
		/* a recipient that was refused is not in the envelope any more */
		if (r.handler.calls[FAKE_END] > 0)
			ck_assert_uint_eq(r.handler.seen_rcpts, 1);
		teardown(&r);
	}
}
END_TEST

START_TEST(handler_ends_the_session)
{
	for (enum fake_call at = FAKE_MAIL; at <= FAKE_END; at++) {
		struct run r;

		setup(&r, HELLO MAIL RCPT "DATA\r\nx\r\n.\r\nNOOP\r\n");
		r.handler.refuse_at = at;
		smtp_reply_set(&r.handler.refusal, 421, "4.3.2", "Enough");
		run(&r);
		ck_assert_str_eq(last_line(&r), "421 4.3.2 Enough");
		ck_assert_int_eq(r.end, SESSION_REFUSED);
		teardown(&r);
	}
}
END_TEST

START_TEST(handler_words_the_acceptance)
{
	struct run r;

	setup(&r, TO_DATA "x\r\n.\r\n");
	smtp_reply_set(&r.handler.accept_end, 250, "2.6.0", "passed on");
	r.handler.id = "0m4x7f3q9zkab1cd";
	run(&r);
	ck_assert_str_eq(last_line(&r), "250 2.6.0 passed on");
	teardown(&r);
	setup(&r, TO_DATA "x\r\n.\r\n");
	r.handler.id = "0m4x7f3q9zkab1cd";
	run(&r);
	ck_assert_str_eq(last_line(&r), "250 2.0.0 OK queued as 0m4x7f3q9zkab1cd");
	teardown(&r);
}
END_TEST

START_TEST(what_the_handler_sees)
{
	struct run r;

	clock_freeze(1795378221000000, 1);
	setup(&r, "EHLO c.example\r\nMAIL FROM:<@h:alice@example.net> size=3  BODY=8bitmime SMTPUTF8\r\n" RCPT
		  "DATA\r\nx\r\n.\r\n");
	r.cfg.enable_smtputf8 = true;
	run(&r);
	ck_assert_str_eq(r.handler.seen.sender, "alice@example.net");
	ck_assert_str_eq(r.handler.seen.mail_options, "SIZE=3 BODY=8BITMIME SMTPUTF8");
	ck_assert_str_eq(r.handler.seen.peer, "192.0.2.1:4711");
	ck_assert_str_eq(r.handler.seen.helo, "c.example");
	ck_assert_str_eq(r.handler.seen.listener, "lan");
	ck_assert_str_eq(r.handler.seen.protocol, "UTF8SMTP");
	ck_assert_int_eq(r.handler.seen.body, BODY_8BITMIME);
	ck_assert(r.handler.seen.smtputf8);
	ck_assert_uint_eq(r.handler.seen.declared_size_bytes, 3);
	ck_assert_int_eq(r.handler.seen.arrived_wall_us, 1795378221000000);
	ck_assert_str_eq(r.handler.content.data, "x\r\n");
	teardown(&r);
	/* nothing of one transaction is left in the next */
	setup(&r, "EHLO c.example\r\nMAIL FROM:<a@b> SIZE=3 BODY=8BITMIME SMTPUTF8\r\nRSET\r\n" MAIL RCPT
		  "DATA\r\n.\r\n");
	r.cfg.enable_smtputf8 = true;
	run(&r);
	ck_assert_ptr_null(r.handler.seen.mail_options);
	ck_assert_str_eq(r.handler.seen.protocol, "ESMTP");
	ck_assert_int_eq(r.handler.seen.body, BODY_7BIT);
	ck_assert(!r.handler.seen.smtputf8);
	ck_assert_uint_eq(r.handler.seen.declared_size_bytes, 0);
	teardown(&r);
	/* nor of a MAIL that was refused */
	setup(&r, "EHLO c.example\r\nMAIL FROM:<a@b> SIZE=3 BODY=8BITMIME X=1\r\nHELO c\r\n" MAIL RCPT
		  "DATA\r\n.\r\n");
	run(&r);
	ck_assert_str_eq(r.handler.seen.protocol, "SMTP");
	ck_assert_int_eq(r.handler.seen.body, BODY_7BIT);
	ck_assert_uint_eq(r.handler.seen.declared_size_bytes, 0);
	teardown(&r);
	clock_thaw();
}
END_TEST

START_TEST(relaying_is_asked_of_those_who_relay)
{
	struct run r;

	setup(&r, HELLO MAIL RCPT);
	r.cfg.policy = &fake_policy_closed;
	run(&r);
	ck_assert_str_eq(last_line(&r), "554 5.7.1 Relay access denied: 192.0.2.1 is not in relay_from");
	teardown(&r);
	setup(&r, HELLO MAIL RCPT);
	r.cfg.policy = NULL; /* forgotten is not allowed */
	run(&r);
	ck_assert_str_eq(last_line(&r), "554 5.7.1 Relay access denied");
	teardown(&r);
	setup(&r, HELLO MAIL RCPT);
	r.cfg.policy = NULL;
	fake_handler_release(&r.handler);
	fake_handler_init(&r.handler, false);
	run(&r);
	ck_assert_str_eq(last_line(&r), "250 2.1.5 OK");
	teardown(&r);
}
END_TEST

/* ---- notifications (RFC 3461); dsn.txt has what is refused ---------------------------------- */

#define FD (ENVELOPE_NOTIFY_FAILURE | ENVELOPE_NOTIFY_DELAY)

START_TEST(what_was_asked_of_notifications_is_kept)
{
	static const struct {
		const char *first, *second; /* parameters of a recipient, and of the same one again */
		unsigned notify;
		const char *orcpt;
	} rows[] = {
		{ "", NULL, 0, NULL },
		{ " NOTIFY=never", NULL, ENVELOPE_NOTIFY_NEVER, NULL },
		{ " NOTIFY=SUCCESS,delay ORCPT=RFC822;a+2Bb@c", NULL, ENVELOPE_NOTIFY_SUCCESS | ENVELOPE_NOTIFY_DELAY,
		  "RFC822;a+2Bb@c" },
		{ "", "", 0, NULL },
		{ "", " NOTIFY=NEVER", FD, NULL },
		{ " NOTIFY=NEVER", "", FD, NULL },
		{ " NOTIFY=NEVER", " NOTIFY=NEVER", ENVELOPE_NOTIFY_NEVER, NULL },
		{ " NOTIFY=NEVER", " NOTIFY=SUCCESS", ENVELOPE_NOTIFY_SUCCESS, NULL },
		{ " NOTIFY=SUCCESS", "", FD | ENVELOPE_NOTIFY_SUCCESS, NULL },
		{ " NOTIFY=SUCCESS ORCPT=x;1", " NOTIFY=FAILURE ORCPT=x;2",
		  ENVELOPE_NOTIFY_SUCCESS | ENVELOPE_NOTIFY_FAILURE, "x;1" },
		{ "", " ORCPT=x;2", 0, "x;2" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct envelope_rcpt *seen;
		struct run r;
		char text[400];

		snprintf(text, sizeof(text),
			 "EHLO x\r\nMAIL FROM:<a@b> RET=HDRS ENVID=+2B1\r\nRCPT TO:<c@d>%s\r\n%s%s%sDATA\r\nx\r\n.\r\n",
			 rows[i].first, rows[i].second ? "RCPT TO:<c@D>" : "", rows[i].second ? rows[i].second : "",
			 rows[i].second ? "\r\n" : "");
		setup(&r, text);
		run(&r);
		seen = r.handler.seen.rcpt;
		ck_assert_uint_eq(r.handler.seen.rcpt_count, 1);
		ck_assert_int_eq(r.handler.seen.ret, RET_HDRS);
		ck_assert_str_eq(r.handler.seen.envid, "+2B1");
		ck_assert_msg(seen->notify == rows[i].notify, "row %zu: %u", i, seen->notify);
		ck_assert_str_eq(seen->orcpt ? seen->orcpt : "-", rows[i].orcpt ? rows[i].orcpt : "-");
		teardown(&r);
	}
}
END_TEST

START_TEST(notifications_are_for_those_who_relay)
{
	static const char *const refused[] = { "MAIL FROM:<a@b> RET=FULL\r\n", "MAIL FROM:<a@b> ENVID=x\r\n",
					       MAIL "RCPT TO:<c@d> NOTIFY=NEVER\r\n", MAIL "RCPT TO:<c@d> ORCPT=x;y\r\n" };

	for (size_t i = 0; i < 4; i++) {
		struct run r;
		char text[200];

		snprintf(text, sizeof(text), "EHLO x\r\n%s", refused[i]);
		setup(&r, text);
		fake_handler_release(&r.handler);
		fake_handler_init(&r.handler, false);
		run(&r);
		ck_assert_msg(strncmp(last_line(&r), "555 5.5.4 ", 10) == 0, "%s", last_line(&r));
		teardown(&r);
	}
}
END_TEST

/* ---- the owner ---------------------------------------------------------------------------- */

static void told_verb(void *ctx, const char *verb)
{
	buf_addf(&((struct run *)ctx)->told, "(%s)", verb);
}

static void told_accepted(void *ctx, const struct envelope *env, uint64_t size_bytes,
			  const struct smtp_reply *reply)
{
	buf_addf(&((struct run *)ctx)->told, "accepted %s %zu %llu %d;", env->sender, env->rcpt_count,
		 (unsigned long long)size_bytes, reply->code);
}

static void told_rejected(void *ctx, const struct envelope *env, const char *verb, const char *line,
			  size_t len, const struct smtp_reply *reply)
{
	buf_addf(&((struct run *)ctx)->told, "rejected %s %s [%.*s] %d;", env->sender ? env->sender : "-",
		 verb, (int)len, line, reply->code);
}

static void told_trace(void *ctx, bool from_client, const char *text, size_t len)
{
	buf_addf(&((struct run *)ctx)->told, "%c%.*s|", from_client ? '>' : '<', (int)len, text);
}

START_TEST(events)
{
	struct run r;

	setup(&r,
	      HELLO "foo\r\nMAIL x\r\n" MAIL RCPT "DATA\r\n..\r\n.\r\n" MAIL RCPT "DATA\r\n\n\r\n.\r\n\r\n");
	r.events.verb = told_verb;
	r.events.accepted = told_accepted;
	r.events.rejected = told_rejected;
	run(&r);
	ck_assert_str_eq(r.told.data, "(HELO)()rejected - ? [foo] 500;(MAIL)rejected - MAIL [MAIL x] 501;()"
				      "(MAIL)()(RCPT)()(DATA)accepted alice@example.net 1 3 250;()"
				      "(MAIL)()(RCPT)()(DATA)rejected alice@example.net DATA [.] 550;()"
				      "rejected - ? [] 500;");
	teardown(&r);
	setup(&r, "EHLO x\r\n" MAIL RCPT "DATA\r\nsecret\r\n.\r\nN\nOOP\r\nQUIT\r\n");
	r.events.trace = told_trace;
	r.cfg.data_size_limit_bytes = 0;
	run(&r);
	ck_assert_str_eq(
		r.told.data,
		"<220 relay.example.org ESMTP Posthouse|>EHLO x|<250-relay.example.org|<250-PIPELINING|"
		"<250-SIZE|<250-ETRN|<250-8BITMIME|<250-ENHANCEDSTATUSCODES|<250-DSN|<250-CHUNKING|<250-DELIVERBY|<250-LIMITS RCPTMAX=1000|<250 HELP|"
		">MAIL FROM:<alice@example.net>|<250 2.1.0 OK|>RCPT TO:<bob@example.org>|<250 2.1.5 OK|"
		">DATA|<354 End data with <CR><LF>.<CR><LF>|<250 2.0.0 OK|"
		">N|<500 5.5.2 Error: bare <LF>, a command must end with <CR><LF>|>QUIT|<221 2.0.0 Bye|");
	teardown(&r);
}
END_TEST

START_TEST(end_names)
{
	static const char *const names[] = { "quit", "lost", "timeout", "errors", "stopped", "shed", "refused" };

	for (enum session_end end = SESSION_QUIT; end <= SESSION_REFUSED; end++)
		ck_assert_str_eq(session_end_name(end), names[end]);
}
END_TEST

/* ---- bounds ----------------------------------------------------------------------------------- */

/* The same octets again and again, so often. */
struct endless {
	const char *piece;
	size_t len, times;
};

static bool once_more(struct fake_io *io, void *ctx)
{
	struct endless *e = ctx;

	if (e->times == 0)
		return false;
	e->times--;
	io->data = e->piece;
	io->len = e->len;
	return true;
}

static void run_endless(struct run *r, const char *start, const char *piece, size_t times)
{
	struct endless e = { piece, strlen(piece), times };

	setup(r, start);
	r->handler.keep_content = false;
	r->io.more = once_more;
	r->io.ctx = &e;
	run(r);
}

static char kilobytes[64 * 1024 + 1];

START_TEST(endless_input)
{
	struct run r;

	memset(kilobytes, 'x', sizeof(kilobytes) - 1);
	/* a command without an end: never more than the small buffer */
	run_endless(&r, HELLO, kilobytes, 1000);
	ck_assert_uint_le(r.io.largest_read, 8192);
	ck_assert_str_eq(last_line(&r), "250 relay.example.org");
	teardown(&r);
	/* a header field without an end: too much mail data, at the end of data */
	run_endless(&r, TO_DATA "Subject: ", kilobytes, 1000);
	ck_assert_uint_le(r.io.largest_read, 65536);
	ck_assert_uint_le(r.handler.content_bytes, 33554432);
	ck_assert_str_eq(r.handler.log.data, "mail <alice@example.net>;rcpt <bob@example.org>;begin;abort;");
	ck_assert_str_eq(last_line(&r), "354 End data with <CR><LF>.<CR><LF>");
	teardown(&r);
}
END_TEST

START_TEST(replies_are_gathered_but_bounded)
{
	struct run r;

	setup(&r, HELLO MAIL RCPT "RCPT TO:<x@y>\r\nRSET\r\n" MAIL RCPT);
	run(&r);
	ck_assert_uint_eq(r.io.writes, 3); /* greeting, HELO, then one for the whole group */
	teardown(&r);
	/* the end of data is answered at once, whatever is waiting: what is durable is also acknowledged */
	setup(&r, TO_DATA ".\r\n" MAIL RCPT "DATA\r\n.\r\n" MAIL RCPT);
	run(&r);
	ck_assert_uint_eq(r.io.writes, 5);
	teardown(&r);
	/* more commands than one buffer of replies holds, read at once */
	for (size_t i = 0; i + 6 < sizeof(kilobytes); i += 6)
		memcpy(kilobytes + i, "RSET\r\n", 7);
	run_endless(&r, "", kilobytes, 10);
	ck_assert_uint_lt(r.io.writes, 10 * strlen(kilobytes) / 6 / 10);
	ck_assert_uint_gt(r.io.writes, 10);
	ck_assert_uint_eq(r.io.out.len, strlen("220 relay.example.org ESMTP Posthouse\r\n") +
						10 * (strlen(kilobytes) / 6) * strlen("250 2.0.0 OK\r\n"));
	teardown(&r);
}
END_TEST

START_TEST(thousands_of_recipients)
{
	struct buf input;
	struct run r;

	buf_init(&input, 1 << 24);
	buf_adds(&input, HELLO MAIL);
	for (int i = 0; i < 5000; i++)
		buf_addf(&input, "RCPT TO:<r%d@example.org>\r\n", i % 4000);
	buf_adds(&input, "RCPT TO:<one-too-many@example.org>\r\nDATA\r\n.\r\n");
	setup(&r, input.data);
	r.cfg.max_recipients = 4000;
	run(&r);
	ck_assert_uint_eq(r.handler.seen_rcpts, 4000);
	ck_assert_uint_eq(r.handler.calls[FAKE_RCPT], 4000);
	ck_assert_ptr_nonnull(strstr(r.io.out.data, "452 4.5.3 Error: too many recipients\r\n354 "));
	ck_assert_str_eq(last_line(&r), "250 2.0.0 OK");
	teardown(&r);
	buf_release(&input);
}
END_TEST

START_TEST(large_messages_come_in_large_pieces)
{
	struct run r;

	for (size_t i = 0; i + 64 < sizeof(kilobytes); i += 64) {
		memset(kilobytes + i, 'x', 64);
		memcpy(kilobytes + i + 62, "\r\n", 3);
	}
	run_endless(&r, TO_DATA, kilobytes, 16);
	ck_assert_uint_gt(r.handler.largest_chunk, 60000);
	ck_assert_uint_eq(r.handler.content_bytes, 16 * strlen(kilobytes));
	/* some 17 reads of 64 KiB, not 130 of 8 KiB */
	ck_assert_uint_lt(r.io.reads, 30);
	teardown(&r);
}
END_TEST

/* A group that is larger than the small buffer waits behind the content in the large one. */
START_TEST(a_large_group_behind_a_message)
{
	for (enum fake_cut cut = FAKE_WHOLE; cut <= FAKE_RANDOM; cut++) {
		struct buf input;
		struct run r;

		buf_init(&input, 1 << 20);
		buf_adds(&input, TO_DATA);
		for (int i = 0; i < 2000; i++)
			buf_adds(&input, "0123456789\r\n");
		buf_adds(&input, ".\r\n" MAIL);
		for (int i = 0; i < 1500; i++)
			buf_addf(&input, "RCPT TO:<r%d@example.org>\r\n", i);
		buf_adds(&input, "RSET\r\n" MAIL RCPT "DATA\r\nlast\r\n.\r\nQUIT\r\n");
		setup(&r, input.data);
		r.cfg.max_recipients = 2000;
		r.io.cut = cut;
		run(&r);
		ck_assert_int_eq(r.end, SESSION_QUIT);
		ck_assert_uint_eq(r.handler.calls[FAKE_RCPT], 1502);
		ck_assert_uint_eq(r.handler.calls[FAKE_END], 2);
		ck_assert_str_eq(r.handler.content.data, "last\r\n");
		teardown(&r);
		buf_release(&input);
	}
}
END_TEST

START_TEST(the_large_buffer_goes_when_it_is_not_needed)
{
	struct input in;
	const char *line;
	size_t len, room;
	char *to;

	input_init(&in);
	input_widen(&in);
	room = input_room(&in, &to);
	ck_assert_uint_eq(room, INPUT_LARGE);
	memset(to, 'x', 10000);
	memcpy(to + 1998, "\r\n", 2);
	memcpy(to + 9990, "\r\nNOOP", 6);
	input_added(&in, 9996);
	ck_assert_int_eq(input_line(&in, &line, &len), INPUT_LINE);
	input_narrow(&in);
	ck_assert_uint_eq(in.cap, INPUT_LARGE); /* too much is left */
	ck_assert_int_eq(input_line(&in, &line, &len), INPUT_TOO_LONG);
	ck_assert_int_eq(input_line(&in, &line, &len), INPUT_MORE);
	input_narrow(&in);
	ck_assert_uint_eq(in.cap, INPUT_SMALL);
	ck_assert_uint_eq(in.end - in.start, 4);
	ck_assert_mem_eq(in.data + in.start, "NOOP", 4);
	input_room(&in, &to);
	memcpy(to, "\r\n", 2);
	input_added(&in, 2);
	ck_assert_int_eq(input_line(&in, &line, &len), INPUT_LINE);
	ck_assert_uint_eq(len, 4);
	input_release(&in);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session");

	UNIT_CASE(suite, every_verb_in_every_state, arguments_by_the_table, ways_to_end,
		  client_that_takes_no_reply, deadlines, busy_clients_meet_their_deadlines,
		  transactions_are_not_interrupted, handler_refuses, handler_ends_the_session,
		  handler_words_the_acceptance, what_the_handler_sees, relaying_is_asked_of_those_who_relay,
		  what_was_asked_of_notifications_is_kept, notifications_are_for_those_who_relay,
		  events, end_names, endless_input, replies_are_gathered_but_bounded, thousands_of_recipients,
		  large_messages_come_in_large_pieces, a_large_group_behind_a_message,
		  the_large_buffer_goes_when_it_is_not_needed);
	return unit_run(suite);
}
