/* SPDX-License-Identifier: ISC */
/* What the session does for its hooks (session/hooks.h): when each is asked, and what their answers lead to. */
#include <stdio.h>
#include <string.h>

#include "fake_handler.h"
#include "fake_policy.h"
#include "session/hooks.h"
#include "transcript.h"
#include "unit.h"

/* Hooks that write down what they are asked, and answer one verb as the test wants. */
struct fake_hooks {
	struct session_hooks hooks;
	const struct session *session;
	struct buf told;
	const char *verb; /* answered ... */
	enum hook_moment moment; /* ... then */
	unsigned refuse_after; /* only when it was asked so often */
	struct smtp_reply reply; /* code 0: pass */
	const char *argument; /* instead of the client's; NULL: as it is */
	struct smtp_reply welcome; /* code 0: pass */
	const char *line; /* added to EHLO */
};

static const struct command_verb added[] = {
	{ "XTEST", NULL, COMMAND_AFTER_HELLO, NULL, COMMAND_MAY_ARGUMENT, "XTEST [word]",
	  COMMAND_HOOKED | COMMAND_ANSWERED, 0 },
	{ "XNEEDS", NULL, COMMAND_GREETED, "no XNEEDS here", COMMAND_NEEDS_ARGUMENT, "XNEEDS word",
	  COMMAND_HOOKED | COMMAND_ANSWERED, 0 },
};

static enum hook_verdict fake_begin(struct session_hooks *h, const struct session *s,
				    struct smtp_reply *reply)
{
	struct fake_hooks *f = (struct fake_hooks *)h;
	struct session_view view;

	ck_assert_ptr_null(f->session);
	f->session = s;
	session_look(s, &view);
	ck_assert_str_eq(view.client.helo, "");
	buf_adds(&f->told, "begin;");
	*reply = f->welcome;
	return reply->code ? HOOK_REPLY : HOOK_PASS;
}

static void fake_end(struct session_hooks *h)
{
	struct fake_hooks *f = (struct fake_hooks *)h;

	ck_assert_ptr_nonnull(f->session);
	f->session = NULL;
	buf_adds(&f->told, "end;");
}

static const struct command_verb *fake_find(struct session_hooks *h, const char *name, size_t len)
{
	(void)h;
	for (size_t i = 0; i < 2; i++)
		if (strlen(added[i].name) == len && strncasecmp(added[i].name, name, len) == 0)
			return &added[i];
	return NULL;
}

static enum hook_verdict fake_command(struct session_hooks *h, const struct command_verb *verb,
				      enum hook_moment moment, const char **arg, size_t *len,
				      struct smtp_reply *reply)
{
	struct fake_hooks *f = (struct fake_hooks *)h;
	struct session_view view;

	session_look(f->session, &view);
	/* BDAT is a kind of DATA */
	ck_assert_str_eq(view.verb, strcmp(verb->name, "DATA") == 0 && view.verb[0] == 'B' ? "BDAT" : verb->name);
	buf_addf(&f->told, "%s%s(%.*s)", verb->name, moment == HOOK_FIRST ? "?" : "!", (int)*len, *arg);
	if (!f->verb || strcmp(f->verb, verb->name) != 0 || f->moment != moment)
		return HOOK_PASS;
	if (f->refuse_after > 0) {
		f->refuse_after--;
		return HOOK_PASS;
	}
	if (f->argument) {
		*arg = f->argument;
		*len = strlen(f->argument);
	}
	*reply = f->reply;
	return reply->code ? HOOK_REPLY : HOOK_PASS;
}

static void fake_replied(struct session_hooks *h, const char *verb, const struct smtp_reply *reply)
{
	buf_addf(&((struct fake_hooks *)h)->told, "%s=%d;", verb, reply->code);
}

static void fake_announce(struct session_hooks *h, struct buf *out)
{
	if (((struct fake_hooks *)h)->line)
		buf_addf(out, "\n%s", ((struct fake_hooks *)h)->line);
}

static const struct session_hooks_ops fake_ops = { fake_begin,   fake_find,     fake_command,
						   fake_replied, fake_announce, fake_end };

struct run {
	struct session_config cfg;
	struct session_peer peer;
	struct fake_handler handler;
	struct fake_io io;
	struct fake_hooks hooks;
};

static void setup(struct run *r, const char *input)
{
	memset(r, 0, sizeof(*r));
	transcript_default_config(&r->cfg);
	r->peer =
		(struct session_peer){ .text = "192.0.2.1:4711", .address = "192.0.2.1", .listener = "lan" };
	fake_handler_init(&r->handler, true);
	fake_io_init(&r->io, input, strlen(input), FAKE_WHOLE);
	r->hooks.hooks.ops = &fake_ops;
	buf_init(&r->hooks.told, 1 << 16);
	r->cfg.hooks = &r->hooks.hooks;
}

static enum session_end run(struct run *r)
{
	enum session_end end = session_run(&r->cfg, &r->peer, &r->io.io, &r->handler.handler, NULL);

	ck_assert_ptr_null(r->hooks.session);
	return end;
}

static void teardown(struct run *r)
{
	fake_io_release(&r->io);
	fake_handler_release(&r->handler);
	buf_release(&r->hooks.told);
}

static void answer(struct run *r, const char *verb, enum hook_moment moment, int code, const char *text)
{
	r->hooks.verb = verb;
	r->hooks.moment = moment;
	smtp_reply_set(&r->hooks.reply, code, NULL, "%s", text);
}

#define HELLO "HELO x\r\n"
#define MAIL "MAIL FROM:<a@example.net>\r\n"
#define RCPT "RCPT TO:<b@example.org>\r\n"

START_TEST(each_is_asked_in_order)
{
	struct run r;

	setup(&r, HELLO "noop a b\r\nBOGUS\r\nQUIT\r\n");
	ck_assert_int_eq(run(&r), SESSION_QUIT);
	ck_assert_str_eq(r.hooks.told.data,
			 "begin;=220;HELO?(x)HELO!(x)HELO=250;NOOP?(a b)NOOP!(a b)NOOP=250;"
			 "?=500;QUIT?()QUIT!()QUIT=221;end;");
	teardown(&r);
}
END_TEST

/* Whatever is not right yet is seen in the first moment only. */
START_TEST(out_of_order_is_seen_first_only)
{
	struct run r;

	setup(&r, RCPT HELLO RCPT "DATA x\r\nMAIL\r\nPROXY\r\n");
	run(&r);
	ck_assert_str_eq(r.hooks.told.data,
			 "begin;=220;RCPT?(TO:<b@example.org>)RCPT=503;HELO?(x)HELO!(x)HELO=250;"
			 "RCPT?(TO:<b@example.org>)RCPT=503;DATA?(x)DATA=503;MAIL?()MAIL=501;PROXY=421;end;");
	teardown(&r);
}
END_TEST

START_TEST(nothing_is_seen_before_tls_that_is_required)
{
	struct run r;

	setup(&r, "EHLO x\r\n" MAIL "VRFY bob\r\nNOOP\r\n");
	r.cfg.tls = SESSION_TLS_REQUIRED;
	run(&r);
	ck_assert_str_eq(r.hooks.told.data, "begin;=220;EHLO?(x)EHLO!(x)EHLO=250;MAIL=530;VRFY=530;"
					    "NOOP?()NOOP!()NOOP=250;end;");
	teardown(&r);
}
END_TEST

START_TEST(a_refusal_takes_the_place_of_the_verb)
{
	struct run r;

	setup(&r, HELLO MAIL RCPT "DATA\r\n");
	answer(&r, "RCPT", HOOK_IN_ORDER, 550, "not her");
	run(&r);
	ck_assert_str_eq(r.handler.log.data, "mail <a@example.net>;abort;");
	ck_assert_ptr_nonnull(strstr(r.io.out.data, "250 2.1.0 OK\r\n550 not her\r\n"
						    "554 5.5.1 Error: no valid recipients\r\n"));
	teardown(&r);
}
END_TEST

START_TEST(a_421_ends_the_session)
{
	struct run r;

	setup(&r, HELLO MAIL "NOOP\r\n");
	answer(&r, "MAIL", HOOK_FIRST, 421, "go away");
	ck_assert_int_eq(run(&r), SESSION_REFUSED);
	ck_assert_ptr_null(strstr(r.hooks.told.data, "NOOP"));
	ck_assert_ptr_nonnull(strstr(r.io.out.data, "421 go away\r\n"));
	teardown(&r);
}
END_TEST

START_TEST(refusals_use_up_the_error_budget)
{
	struct run r;

	setup(&r, HELLO "NOOP\r\nNOOP\r\nNOOP\r\n");
	r.cfg.max_errors = 2;
	answer(&r, "NOOP", HOOK_FIRST, 550, "no");
	ck_assert_int_eq(run(&r), SESSION_TOO_MANY_ERRORS);
	teardown(&r);
}
END_TEST

START_TEST(what_changes_nothing_may_be_answered)
{
	struct run r;

	setup(&r, "VRFY bob\r\n");
	answer(&r, "VRFY", HOOK_IN_ORDER, 250, "");
	r.hooks.reply.text[0] = '\0';
	run(&r);
	ck_assert_ptr_null(strstr(r.io.out.data, "252 "));
	teardown(&r);
}
END_TEST

START_TEST(another_argument)
{
	struct run r;

	setup(&r, HELLO MAIL);
	r.hooks.verb = "MAIL";
	r.hooks.moment = HOOK_IN_ORDER;
	r.hooks.argument = "FROM:<other@example.com>";
	run(&r);
	ck_assert_str_eq(r.handler.log.data, "mail <other@example.com>;abort;");
	teardown(&r);
}
END_TEST

/* "find" makes verbs of its own; the session judges order and arguments. */
START_TEST(new_verbs)
{
	struct run r;

	setup(&r, "xtest\r\n" HELLO "XTEST\r\nXNEEDS\r\nXNEEDS y\r\nHELP XNEEDS\r\n" MAIL "XNEEDS z\r\n");
	answer(&r, "XTEST", HOOK_IN_ORDER, 250, "hello there");
	run(&r);
	ck_assert_ptr_nonnull(
		strstr(r.io.out.data,
		       "503 5.5.1 Error: send HELO first\r\n250 relay.example.org\r\n250 hello there\r\n"
		       "501 5.5.4 Syntax: XNEEDS word\r\n"
		       "500 5.5.2 Error: command \"XNEEDS\" not recognized\r\n"
		       "250 2.0.0 Syntax: XNEEDS word\r\n250 2.1.0 OK\r\n"
		       "503 5.5.1 Error: no XNEEDS here\r\n"));
	teardown(&r);
}
END_TEST

START_TEST(ehlo_grows)
{
	struct run r;

	setup(&r, "EHLO x\r\nHELO y\r\n");
	r.hooks.line = "XTEST 1 2";
	run(&r);
	ck_assert_ptr_nonnull(strstr(r.io.out.data, "250 XTEST 1 2\r\n250 relay.example.org\r\n"));
	teardown(&r);
}
END_TEST

START_TEST(who_is_not_welcome_hears_no_greeting)
{
	struct run r;

	setup(&r, HELLO);
	smtp_reply_set(&r.hooks.welcome, 554, "5.7.1", "not you");
	ck_assert_int_eq(run(&r), SESSION_REFUSED);
	ck_assert_str_eq(r.io.out.data, "554 5.7.1 not you\r\n");
	ck_assert_str_eq(r.hooks.told.data, "begin;=554;end;");
	teardown(&r);
}
END_TEST

/* Nobody is asked about a client that the service itself sends away. */
START_TEST(who_was_sent_away_is_not_told_of)
{
	struct smtp_reply refusal;
	struct run r;

	setup(&r, HELLO);
	smtp_reply_set(&refusal, 421, "4.7.0", "too many");
	r.peer.refusal = &refusal;
	ck_assert_int_eq(run(&r), SESSION_REFUSED);
	ck_assert_str_eq(r.hooks.told.data, "");
	teardown(&r);
}
END_TEST

/* What was said before STARTTLS is no more: nor is what the hooks made of it. */
START_TEST(starttls_begins_anew)
{
	struct run r;

	setup(&r, "EHLO x\r\nSTARTTLS\r\n");
	r.cfg.tls = SESSION_TLS_STARTTLS;
	r.io.can_tls = true;
	r.io.start_tls_result = IO_OK;
	run(&r);
	ck_assert_str_eq(r.hooks.told.data, "begin;=220;EHLO?(x)EHLO!(x)EHLO=250;"
					    "STARTTLS?()STARTTLS!()STARTTLS=220;end;begin;end;");
	teardown(&r);
}
END_TEST

START_TEST(xclient_begins_anew)
{
	struct run r;

	setup(&r, "EHLO x\r\nXCLIENT ADDR=192.0.2.9\r\n");
	r.peer.may_xclient = true;
	run(&r);
	ck_assert_ptr_nonnull(
		strstr(r.hooks.told.data, "XCLIENT!(ADDR=192.0.2.9)end;begin;XCLIENT=220;end;"));
	teardown(&r);
}
END_TEST

/* Of AUTH they learn the mechanism, whatever a client writes there. */
START_TEST(secrets_are_not_shown)
{
	static const struct {
		const char *line, *told;
	} rows[] = {
		{ "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", "AUTH?(PLAIN)" },
		{ "AUTH AGFsaWNlAHNlY3JldA==\r\n", "AUTH?(***)" },
		{ "AUTH\r\n", "AUTH?()" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct run r;

		setup(&r, rows[i].line);
		r.hooks.verb = "AUTH"; /* and an argument of theirs is not taken */
		r.hooks.argument = "LOGIN";
		run(&r);
		ck_assert_ptr_nonnull(strstr(r.hooks.told.data, rows[i].told));
		ck_assert_ptr_null(strstr(r.hooks.told.data, "AGFs"));
		teardown(&r);
	}
}
END_TEST

#define CHUNKING "EHLO x\r\n" MAIL RCPT
#define CHUNKS "BDAT 14\r\nMAIL FROM:<>\r\nBDAT 6 LAST\r\nQUIT\r\n"

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

/* The octets of a refused chunk are no commands, and the chunks behind it bring nothing in, whatever a hook says of them. */
START_TEST(who_refuses_data_refuses_bdat)
{
	static const struct {
		const char *verb;
		enum hook_moment moment;
	} rows[] = { { "DATA", HOOK_IN_ORDER }, { "DATA", HOOK_FIRST }, { "BDAT", HOOK_IN_ORDER }, { "BDAT", HOOK_FIRST } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct run r;

		setup(&r, CHUNKING CHUNKS MAIL "NOOP\r\n");
		answer(&r, rows[i].verb, rows[i].moment, 550, "no content today");
		ck_assert_int_eq(run(&r), SESSION_LOST);
		ck_assert_msg(count(r.io.out.data, "550 no content today\r\n") == 1, "%s", r.io.out.data);
		ck_assert_msg(strstr(r.io.out.data, "550 no content today\r\n503 5.5.1 Error: a BDAT before this one was refused\r\n"
						    "250 2.1.0 OK\r\n250 2.0.0 OK\r\n") != NULL,
			      "%s", r.io.out.data);
		ck_assert_uint_eq(r.handler.calls[FAKE_BEGIN], 0);
		ck_assert_ptr_null(strstr(r.hooks.told.data, "QUIT"));
		teardown(&r);
	}
}
END_TEST

START_TEST(each_chunk_is_asked_about)
{
	struct run r;

	setup(&r, CHUNKING CHUNKS "NOOP\r\n");
	r.hooks.verb = "BDAT"; /* how many octets follow is not theirs to say */
	r.hooks.moment = HOOK_IN_ORDER;
	r.hooks.argument = "1 LAST";
	run(&r);
	ck_assert_msg(strstr(r.hooks.told.data, "BDAT?(14)DATA?()BDAT!(14)DATA!()BDAT=250;BDAT?(6 LAST)BDAT!(6 LAST)BDAT=250;"
						"NOOP") != NULL,
		      "%s", r.hooks.told.data);
	ck_assert_uint_eq(r.handler.calls[FAKE_END], 1);
	ck_assert_ptr_nonnull(strstr(r.handler.content.data, "MAIL FROM:<>"));
	teardown(&r);
}
END_TEST

/* In the middle of a message, and with the end of the session; how many octets there are nobody knows. */
START_TEST(refused_chunks_end_what_was_begun)
{
	struct run r;

	setup(&r, CHUNKING "BDAT 1\r\nx" "BDAT 6\r\nQUIT\r\nBDAT 0 LAST\r\nNOOP\r\n");
	r.hooks.refuse_after = 1;
	answer(&r, "BDAT", HOOK_FIRST, 451, "later");
	run(&r);
	ck_assert_msg(strstr(r.io.out.data, "451 later\r\n503 5.5.1 Error: a BDAT before") != NULL, "%s", r.io.out.data);
	ck_assert_uint_eq(r.handler.calls[FAKE_ABORT], 1);
	ck_assert_uint_eq(r.handler.calls[FAKE_END], 0);
	teardown(&r);

	setup(&r, CHUNKING "BDAT 6\r\nNOOP\r\n");
	answer(&r, "DATA", HOOK_IN_ORDER, 421, "go away");
	ck_assert_int_eq(run(&r), SESSION_REFUSED);
	ck_assert_ptr_null(strstr(strstr(r.io.out.data, "421 go away\r\n"), "250"));
	teardown(&r);

	setup(&r, CHUNKING "BDAT x\r\nNOOP\r\n");
	answer(&r, "DATA", HOOK_IN_ORDER, 550, "no");
	ck_assert_int_eq(run(&r), SESSION_REFUSED);
	ck_assert_ptr_null(strstr(r.hooks.told.data, "NOOP"));
	teardown(&r);
}
END_TEST

/* What is to be obeyed is not refused. */
START_TEST(the_table_says_who_may_do_what)
{
	for (const struct command_verb *v = command_verbs; v->name; v++) {
		if (v->flags & COMMAND_OCTETS)
			ck_assert(!(v->flags & (COMMAND_ANSWERED | COMMAND_WATCHED)));
		if (v->flags & (COMMAND_ANSWERED | COMMAND_WATCHED))
			ck_assert(v->flags & COMMAND_HOOKED);
		if (v->flags & COMMAND_ANSWERED)
			ck_assert(!(v->flags & COMMAND_WATCHED) && v->states == COMMAND_ANY);
		if (strcmp(v->name, "QUIT") == 0 || strcmp(v->name, "RSET") == 0 ||
		    strcmp(v->name, "XCLIENT") == 0)
			ck_assert(v->flags & COMMAND_WATCHED);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hooks");

	UNIT_CASE(suite, each_is_asked_in_order, out_of_order_is_seen_first_only,
		  nothing_is_seen_before_tls_that_is_required, a_refusal_takes_the_place_of_the_verb,
		  a_421_ends_the_session, refusals_use_up_the_error_budget, what_changes_nothing_may_be_answered,
		  another_argument, new_verbs, ehlo_grows, who_is_not_welcome_hears_no_greeting,
		  who_was_sent_away_is_not_told_of, starttls_begins_anew, xclient_begins_anew, secrets_are_not_shown,
		  who_refuses_data_refuses_bdat, each_chunk_is_asked_about, refused_chunks_end_what_was_begun,
		  the_table_says_who_may_do_what);
	return unit_run(suite);
}
