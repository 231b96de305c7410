/* SPDX-License-Identifier: ISC */
/* upstream/talk.h, step by step with a scripted server: what is said, what is answered, and how it ends. */
#include <fcntl.h>

#include "base/control.h"
#include "unit.h"
#include "upstream/talk.h"
#include "upstream_client.h"

#define HELLO(...) "> 220 hi", "< EHLO client.example", "> 250-me", __VA_ARGS__ "> 250 SIZE 1000"
#define OPENED                                                                                               \
	HELLO(), "< MAIL FROM:<a@b>", "> 250 2.1.0 fine", "< RCPT TO:<c@d>", "> 250 ok", "< DATA", "> 354 go"

struct world {
	struct script_server server;
	struct upstream_settings settings;
	struct talk *talk;
	struct upstream_outcome o;
	struct buf trace;
};

static void note(void *ctx, bool from_upstream, const char *text, size_t len)
{
	struct world *w = ctx;

	buf_addf(&w->trace, "%c %.*s\n", from_upstream ? '<' : '>', (int)len, text);
}

static void begin(struct world *w, const char *const *script)
{
	struct client c;

	client_init(&c, 0);
	w->settings = c.settings;
	client_release(&c);
	w->server = server_start(script);
	w->settings.remote.port = w->server.port;
	buf_init(&w->trace, 1 << 20);
	w->talk = talk_new(&w->settings, &(struct talk_options){ .trace = note, .ctx = w });
}

static void connected(struct world *w, const char *const *script)
{
	begin(w, script);
	ck_assert_msg(talk_connect(w->talk, &w->o) == 0, "%s", w->o.reply.text);
	ck_assert(talk_is_open(w->talk));
}

/* Frees first: a script may wait for the end of the connection. */
static void finish(struct world *w)
{
	talk_free(w->talk);
	ck_assert(server_end(&w->server));
	buf_release(&w->trace);
}

static void says(struct world *w, enum upstream_phase phase, const char *line, int code)
{
	ck_assert_msg(talk_command(w->talk, phase, line, strlen(line), &w->o) == 0, "%s: %s", line,
		      w->o.reply.text);
	ck_assert_int_eq(w->o.how, UPSTREAM_ANSWERED);
	ck_assert_int_eq(w->o.phase, phase);
	ck_assert_int_eq(w->o.reply.code, code);
}

static void open_data(struct world *w)
{
	says(w, UPSTREAM_MAIL, "MAIL FROM:<a@b>", 250);
	says(w, UPSTREAM_RCPT, "RCPT TO:<c@d>", 250);
	says(w, UPSTREAM_DATA, "DATA", 354);
}

static void gone(struct world *w, enum upstream_phase phase, const char *text)
{
	ck_assert_int_eq(w->o.how, UPSTREAM_NO_ANSWER);
	ck_assert_str_eq(upstream_phase_name(w->o.phase), upstream_phase_name(phase));
	ck_assert_msg(strstr(w->o.reply.text, text) != NULL, "%s", w->o.reply.text);
	ck_assert(!talk_is_open(w->talk));
}

/* ---- the ordinary course --------------------------------------------------------- */

START_TEST(a_transaction_is_said_step_by_step)
{
	struct world w;

	connected(&w, SCRIPT(OPENED, "< Subject: x", "<", "< ..dot", "< tail", "< .", "> 250-2.0.0 queued",
			     "> 250 2.0.0 as 1", "< RSET", "> 250 ok", "< QUIT", "> 221 bye"));
	ck_assert(talk_features(w.talk)->size && talk_features(w.talk)->esmtp);
	ck_assert_uint_eq(talk_features(w.talk)->size_limit_bytes, 1000);
	ck_assert_ptr_nonnull(strstr(talk_remote(w.talk), "127.0.0.1:"));
	open_data(&w);
	ck_assert_int_eq(talk_content(w.talk, "Subject: x\r\n\r\n.d", 16, &w.o), 0);
	ck_assert_int_eq(talk_content(w.talk, "ot\r\ntail", 8, &w.o), 0);
	ck_assert_int_eq(talk_content_end(w.talk, &w.o), 0);
	ck_assert_int_eq(w.o.phase, UPSTREAM_FINAL_DOT);
	ck_assert_str_eq(w.o.reply.text, "queued\nas 1");
	ck_assert_str_eq(w.o.reply.enhanced, "2.0.0");
	ck_assert(talk_is_silent(w.talk, NULL));
	says(&w, UPSTREAM_IDLE, "RSET", 250);
	ck_assert_int_eq(talk_quit(w.talk, &w.o), 0);
	ck_assert_int_eq(w.o.reply.code, 221);
	ck_assert(!talk_is_open(w.talk));
	ck_assert_ptr_nonnull(strstr(w.trace.data, "> MAIL FROM:<a@b>\n< 250 2.1.0 fine\n"));
	ck_assert_ptr_nonnull(strstr(w.trace.data, "> .\n< 250-2.0.0 queued\n< 250 2.0.0 as 1\n"));
	ck_assert_ptr_null(strstr(w.trace.data, "Subject"));
	finish(&w);
}
END_TEST

START_TEST(content_can_be_cut_anywhere)
{
	static const char content[] = ".a\r\n..\r\n\r\n.";
	struct world w;

	for (size_t cut = 0; cut < sizeof(content); cut++) {
		connected(&w, SCRIPT(OPENED, "x< 2e2e610d0a2e2e2e0d0a0d0a2e2e0d0a2e0d0a", "> 250 ok", "eof"));
		open_data(&w);
		ck_assert_int_eq(talk_content(w.talk, content, cut, &w.o), 0);
		ck_assert_int_eq(talk_content(w.talk, content + cut, sizeof(content) - 1 - cut, &w.o), 0);
		ck_assert_int_eq(talk_content_end(w.talk, &w.o), 0);
		finish(&w);
	}
}
END_TEST

START_TEST(an_empty_message_is_a_dot)
{
	struct world w;

	connected(&w, SCRIPT(OPENED, "x< 2e0d0a", "> 554 no", "eof"));
	open_data(&w);
	ck_assert_int_eq(talk_content_end(w.talk, &w.o), 0);
	ck_assert_int_eq(w.o.reply.code, 554);
	ck_assert(talk_is_open(w.talk));
	finish(&w);
}
END_TEST

START_TEST(much_content_passes_whole)
{
	static char line[70000];
	struct world w;

	for (size_t i = 0; i < sizeof(line); i++)
		line[i] = i % 100 == 98 ? '\r' : i % 100 == 99 ? '\n' : '.';
	connected(&w, SCRIPT(OPENED, "data", "> 250 ok", "eof"));
	open_data(&w);
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(talk_content(w.talk, line, sizeof(line), &w.o), 0);
	ck_assert_int_eq(talk_content_end(w.talk, &w.o), 0);
	finish(&w);
}
END_TEST

START_TEST(chunks_go_out_as_they_are)
{
	struct world w;

	connected(&w,
		  SCRIPT(HELLO("> 250-CHUNKING", ), "< MAIL", "> 250 ok", "< RCPT", "> 250 ok", "< BDAT 3",
			 "x< 2e0d0a", "> 250 more", "< BDAT 2 LAST", "x< 2e00", "> 250 all", "eof"));
	says(&w, UPSTREAM_MAIL, "MAIL FROM:<a@b>", 250);
	says(&w, UPSTREAM_RCPT, "RCPT TO:<c@d>", 250);
	ck_assert_int_eq(talk_chunk(w.talk, ".\r\n", 3, false, &w.o), 0);
	ck_assert_int_eq(w.o.phase, UPSTREAM_CONTENT);
	ck_assert_int_eq(talk_chunk(w.talk, ".\0", 2, true, &w.o), 0);
	ck_assert_int_eq(w.o.phase, UPSTREAM_FINAL_DOT);
	ck_assert_str_eq(w.o.reply.text, "all");
	finish(&w);
}
END_TEST

START_TEST(some_lines_are_not_said)
{
	const struct {
		const char *line;
		size_t len;
	} rows[] = { { "NOOP\r\nQUIT", 10 }, { "NOOP\nQUIT", 9 },    { "NOOP\rQUIT", 9 }, { "NOOP\0QUIT", 9 },
		     { "starttls", 8 },      { "AUTH PLAIN x", 12 }, { "Auth", 4 } };
	static char longest[2047];
	struct world w;

	connected(&w, SCRIPT(HELLO(), "< AUTHORS", "> 500 no", "< xxx", "> 500 no", "< VRFY \xc3\xbc",
			     "> 252 maybe", "eof"));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		ck_assert_int_eq(talk_command(w.talk, UPSTREAM_IDLE, rows[i].line, rows[i].len, &w.o), -1);
		ck_assert_int_eq(w.o.how, UPSTREAM_UNSUPPORTED);
		ck_assert_int_eq(w.o.reply.code, 501);
		ck_assert(talk_is_open(w.talk));
	}
	says(&w, UPSTREAM_IDLE, "AUTHORS", 500);
	memset(longest, 'x', sizeof(longest));
	ck_assert_int_eq(talk_command(w.talk, UPSTREAM_IDLE, longest, sizeof(longest), &w.o), -1);
	ck_assert_int_eq(w.o.how, UPSTREAM_UNSUPPORTED);
	ck_assert_int_eq(talk_commandf(w.talk, UPSTREAM_IDLE, &w.o, "%3000d", 1), -1);
	ck_assert_int_eq(w.o.how, UPSTREAM_UNSUPPORTED);
	ck_assert_int_eq(talk_command(w.talk, UPSTREAM_IDLE, longest, 1990, &w.o), 0);
	ck_assert_int_eq(talk_commandf(w.talk, UPSTREAM_IDLE, &w.o, "VRFY %s", "\xc3\xbc"), 0);
	ck_assert_int_eq(w.o.reply.code, 252);
	finish(&w);
}
END_TEST

/* ---- how it does not begin ----------------------------------------------------------- */

START_TEST(a_session_that_fails_says_why)
{
	const struct {
		const char *const *script;
		enum upstream_how how;
		enum upstream_phase phase;
		int code;
	} rows[] = {
		{ SCRIPT("> 554 go away", "eof"), UPSTREAM_ANSWERED, UPSTREAM_GREETING, 554 },
		{ SCRIPT("close"), UPSTREAM_NO_ANSWER, UPSTREAM_GREETING, 0 },
		{ SCRIPT("> 421 later", "eof"), UPSTREAM_ANSWERED, UPSTREAM_GREETING, 421 },
		{ SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 ok", "eof"), UPSTREAM_NO_ANSWER,
		  UPSTREAM_AUTH, 0 },
		{ SCRIPT("hang"), UPSTREAM_NO_ANSWER, UPSTREAM_GREETING, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct world w;

		begin(&w, rows[i].script);
		if (rows[i].phase == UPSTREAM_AUTH) {
			w.settings.user = "u";
			w.settings.password = "p";
		}
		w.settings.greeting_timeout_ms = strcmp(rows[i].script[0], "hang") == 0 ? 200 : GUARD_MS;
		ck_assert_int_eq(talk_connect(w.talk, &w.o), -1);
		ck_assert_int_eq(w.o.how, rows[i].how);
		ck_assert_str_eq(upstream_phase_name(w.o.phase), upstream_phase_name(rows[i].phase));
		ck_assert_int_eq(w.o.reply.code, rows[i].code);
		ck_assert_uint_gt(strlen(w.o.reply.text), 0);
		ck_assert(!talk_is_open(w.talk));
		ck_assert_int_eq(talk_command(w.talk, UPSTREAM_MAIL, "NOOP", 4, &w.o), -1);
		ck_assert_int_eq(w.o.how, UPSTREAM_NO_ANSWER);
		if (strcmp(rows[i].script[0], "hang") == 0) {
			talk_free(w.talk);
			kill(w.server.pid, SIGKILL);
			server_end(&w.server);
			buf_release(&w.trace);
		} else {
			finish(&w);
		}
	}
}
END_TEST

START_TEST(helo_when_ehlo_is_not_known)
{
	struct world w;

	connected(&w, SCRIPT("> 220 hi", "< EHLO", "> 502 what", "< HELO client.example", "> 250 me", "eof"));
	ck_assert(!talk_features(w.talk)->esmtp);
	finish(&w);
}
END_TEST

/* ---- how it ends --------------------------------------------------------------------- */

START_TEST(each_phase_has_its_deadline)
{
	const struct {
		size_t member;
		enum upstream_phase phase;
	} rows[] = { { offsetof(struct upstream_settings, command_timeout_ms), UPSTREAM_MAIL },
		     { offsetof(struct upstream_settings, command_timeout_ms), UPSTREAM_IDLE },
		     { offsetof(struct upstream_settings, data_timeout_ms), UPSTREAM_DATA },
		     { offsetof(struct upstream_settings, attempt_timeout_ms), UPSTREAM_MAIL } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct world w;

		connected(&w, SCRIPT(HELLO(), "< X", "| 250-half", "eof"));
		*(int64_t *)((char *)&w.settings + rows[i].member) = 150;
		ck_assert_int_eq(talk_command(w.talk, rows[i].phase, "X", 1, &w.o), -1);
		gone(&w, rows[i].phase, "after 0.150 s");
		finish(&w);
	}
}
END_TEST

START_TEST(a_peer_that_takes_nothing)
{
	static char content[1 << 20];
	struct world w;
	int r = 0;

	connected(&w, SCRIPT(OPENED, "hang"));
	w.settings.block_timeout_ms = 150;
	open_data(&w);
	for (int i = 0; i < 100 && r == 0; i++)
		r = talk_content(w.talk, content, sizeof(content), &w.o);
	ck_assert_int_eq(r, -1);
	gone(&w, UPSTREAM_CONTENT, "timed out after 0.150 s in phase content");
	talk_free(w.talk);
	kill(w.server.pid, SIGKILL);
	server_end(&w.server);
	buf_release(&w.trace);
}
END_TEST

START_TEST(a_lost_connection_tells_whether_all_was_said)
{
	struct world w;

	connected(&w, SCRIPT(OPENED, "data", "close"));
	open_data(&w);
	ck_assert_int_eq(talk_content_end(w.talk, &w.o), -1);
	gone(&w, UPSTREAM_FINAL_DOT, "closed");
	finish(&w);

	connected(&w, SCRIPT(OPENED, "reset"));
	open_data(&w);
	ck_assert(server_end(&w.server));
	ck_assert_int_eq(talk_content(w.talk, "x\r\n", 3, &w.o), 0); /* in our buffer */
	ck_assert_int_eq(talk_content_end(w.talk, &w.o), -1);
	gone(&w, UPSTREAM_CONTENT, "");
	talk_free(w.talk);
	buf_release(&w.trace);
}
END_TEST

START_TEST(an_answer_before_the_end)
{
	const struct {
		const char *said;
		enum upstream_how how;
	} rows[] = { { "> 552 5.3.4 too much", UPSTREAM_ANSWERED },
		     { "> 421 4.3.2 leaving", UPSTREAM_ANSWERED },
		     { "> 250 2.0.0 what a fine message", UPSTREAM_NO_ANSWER } };
	static char content[1 << 20];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct world w;
		int r = 0;

		connected(&w, SCRIPT(OPENED, "x< 78", rows[i].said, "eof"));
		open_data(&w);
		memset(content, 'x', sizeof(content));
		for (int k = 0; k < 1000 && r == 0; k++)
			r = talk_content(w.talk, content, sizeof(content), &w.o);
		ck_assert_int_eq(r, -1);
		ck_assert_int_eq(w.o.how, rows[i].how);
		ck_assert_int_eq(w.o.phase, UPSTREAM_CONTENT);
		if (rows[i].how == UPSTREAM_ANSWERED)
			ck_assert_int_eq(w.o.reply.code, atoi(rows[i].said + 2));
		ck_assert(!talk_is_open(w.talk));
		ck_assert_int_eq(talk_content_end(w.talk, &w.o), -1);
		finish(&w);
	}
}
END_TEST

/* What is said unasked must never be taken for the next answer. */
START_TEST(out_of_step)
{
	struct world w;

	connected(&w, SCRIPT(HELLO(), "< NOOP", "| 250 one\r\n250 two\r\n", "eof"));
	says(&w, UPSTREAM_IDLE, "NOOP", 250);
	ck_assert_int_eq(talk_command(w.talk, UPSTREAM_MAIL, "MAIL FROM:<a@b>", 15, &w.o), -1);
	gone(&w, UPSTREAM_MAIL, "nobody asked");
	finish(&w);

	connected(&w, SCRIPT(HELLO(), "< NOOP", "| 250 one\r\n250-", "eof"));
	says(&w, UPSTREAM_IDLE, "NOOP", 250);
	ck_assert(!talk_is_silent(w.talk, &w.o));
	gone(&w, UPSTREAM_IDLE, "nobody asked");
	finish(&w);

	connected(&w, SCRIPT(HELLO(), "< NOOP", "| 250 one\r\n421 4.4.2 idle\r\n", "eof"));
	says(&w, UPSTREAM_IDLE, "NOOP", 250);
	says(&w, UPSTREAM_MAIL, "MAIL FROM:<a@b>", 421);
	ck_assert(!talk_is_open(w.talk));
	finish(&w);
}
END_TEST

START_TEST(a_peer_that_talks_nonsense)
{
	struct world w;

	connected(&w, SCRIPT(HELLO(), "< NOOP", "> HTTP/1.1 400 Bad Request", "eof"));
	ck_assert_int_eq(talk_command(w.talk, UPSTREAM_IDLE, "NOOP", 4, &w.o), -1);
	gone(&w, UPSTREAM_IDLE, "not an SMTP reply");
	finish(&w);
}
END_TEST

START_TEST(the_service_stops)
{
	struct control control;
	struct world w;
	int line[2];

	ck_assert_int_eq(control_pair(line), 0);
	control_init(&control, line[0], 100);
	begin(&w, SCRIPT(HELLO(), "< NOOP", "eof"));
	talk_free(w.talk);
	w.talk = talk_new(&w.settings, &(struct talk_options){ .control = &control });
	ck_assert_int_eq(talk_connect(w.talk, &w.o), 0);
	ck_assert_int_eq(write(line[1], "s", 1), 1);
	ck_assert_int_eq(talk_command(w.talk, UPSTREAM_IDLE, "NOOP", 4, &w.o), -1);
	gone(&w, UPSTREAM_IDLE, "this service stops");
	ck_assert(control.stopping);
	finish(&w);
}
END_TEST

/* ---- TLS ------------------------------------------------------------------------------- */

START_TEST(starttls_and_long_content)
{
	static char content[1 << 20];
	struct upstream_tls_info tls;
	struct world w;

	certs_open();
	memset(content, 'y', sizeof(content));
	begin(&w, SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 STARTTLS", "< STARTTLS", "> 220 go",
			 "tls 0", "< EHLO", "> 250 me", "< MAIL", "> 250 ok", "< RCPT", "> 250 ok", "< DATA",
			 "> 354 go", "data", "> 250 ok", QUIT));
	w.settings.tls = UPSTREAM_TLS_OPPORTUNISTIC;
	ck_assert_msg(talk_connect(w.talk, &w.o) == 0, "%s", w.o.reply.text);
	ck_assert(talk_features(w.talk)->tls && talk_tls(w.talk, &tls));
	ck_assert_str_eq(tls.version, "TLSv1.3");
	ck_assert(talk_is_silent(w.talk, NULL)); /* session tickets are no words */
	says(&w, UPSTREAM_MAIL, "MAIL FROM:<a@b>", 250);
	says(&w, UPSTREAM_RCPT, "RCPT TO:<c@d>", 250);
	says(&w, UPSTREAM_DATA, "DATA", 354);
	for (int i = 0; i < 900; i++)
		ck_assert_int_eq(
			talk_content(w.talk, content, 1000, &w.o) | talk_content(w.talk, "\r\n", 2, &w.o), 0);
	ck_assert_int_eq(talk_content_end(w.talk, &w.o), 0);
	ck_assert_int_eq(talk_quit(w.talk, NULL), 0);
	ck_assert(talk_tls(w.talk, &tls));
	finish(&w);
	certs_close();
}
END_TEST

START_TEST(a_failed_handshake_goes_on_in_the_clear)
{
	struct world w;

	begin(&w, SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 STARTTLS", "< STARTTLS", "> 220 go",
			 "> no TLS at all", "next", HELLO(), "eof"));
	w.settings.tls = UPSTREAM_TLS_OPPORTUNISTIC;
	ck_assert_msg(talk_connect(w.talk, &w.o) == 0, "%s", w.o.reply.text);
	ck_assert(!talk_features(w.talk)->tls);
	finish(&w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("talk");

	UNIT_CASE(suite, a_transaction_is_said_step_by_step, content_can_be_cut_anywhere,
		  an_empty_message_is_a_dot, much_content_passes_whole,
		  chunks_go_out_as_they_are, some_lines_are_not_said, a_session_that_fails_says_why,
		  helo_when_ehlo_is_not_known, each_phase_has_its_deadline, a_peer_that_takes_nothing,
		  a_lost_connection_tells_whether_all_was_said, an_answer_before_the_end, out_of_step,
		  a_peer_that_talks_nonsense, the_service_stops, starttls_and_long_content,
		  a_failed_handshake_goes_on_in_the_clear);
	return unit_run(suite);
}
