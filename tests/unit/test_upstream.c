/* SPDX-License-Identifier: ISC */
/*
 * upstream/ over real sockets: deadlines, connections that end where it
 * hurts, and callbacks that end them. How sessions begin is test_channel.c.
 */
#include "unit.h"
#include "upstream_client.h"

/* ---- deadlines ---------------------------------------------------------------------- */

START_TEST(each_phase_has_its_deadline)
{
	const struct {
		size_t member;
		const char *const *script;
		enum upstream_phase phase;
		bool tls;
		const char *text;
	} rows[] = {
		{ offsetof(struct upstream_settings, greeting_timeout_ms), SCRIPT("eof"), UPSTREAM_GREETING,
		  0, "waiting for: the greeting" },
		{ offsetof(struct upstream_settings, greeting_timeout_ms), SCRIPT("> 220-hi", "eof"),
		  UPSTREAM_GREETING, 0, "" },
		{ offsetof(struct upstream_settings, greeting_timeout_ms),
		  SCRIPT("> 220 hi", "< EHLO", "eof"), UPSTREAM_GREETING, 0,
		  "waiting for: the reply to EHLO" },
		{ offsetof(struct upstream_settings, connect_timeout_ms), SCRIPT("eof"),
		  UPSTREAM_TLS_HANDSHAKE, 1, "waiting for: the TLS handshake" },
		{ offsetof(struct upstream_settings, command_timeout_ms),
		  SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), "eof"), UPSTREAM_MAIL, 0, "phase mail" },
		{ offsetof(struct upstream_settings, command_timeout_ms),
		  SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), "> 250 ok", "| 250-not y", "eof"),
		  UPSTREAM_RCPT, 0, "phase rcpt" },
		{ offsetof(struct upstream_settings, data_timeout_ms),
		  SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), "> 250 ok", "> 250 ok", "eof"),
		  UPSTREAM_DATA, 0, "phase data" },
		{ offsetof(struct upstream_settings, block_timeout_ms),
		  SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "hang"), UPSTREAM_CONTENT, 0,
		  "phase content" },
		{ offsetof(struct upstream_settings, final_timeout_ms),
		  SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "eof"),
		  UPSTREAM_FINAL_DOT, 0, "phase final-dot" },
	};
	static char content[20000000];

	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = i % 70 == 68 ? '\r' : i % 70 == 69 ? '\n' : 'x';
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct script_server s = server_start(rows[i].script);
		struct client c;

		client_init(&c, s.port);
		*(int64_t *)((char *)&c.settings + rows[i].member) = 150;
		if (rows[i].tls)
			c.settings.tls = UPSTREAM_TLS_IMPLICIT;
		add(&c, "a", 1, content, rows[i].phase == UPSTREAM_CONTENT ? sizeof(content) : 700);
		client_run(&c);
		why(&c, UPSTREAM_NO_ANSWER, rows[i].phase, 0, "timed out after 0.150 s");
		why(&c, UPSTREAM_NO_ANSWER, rows[i].phase, 0, rows[i].text);
		if (rows[i].phase >= UPSTREAM_MAIL)
			ended(c.txn[0], UPSTREAM_NO_ANSWER, rows[i].phase, 0);
		if (rows[i].phase == UPSTREAM_CONTENT)
			kill(s.pid, SIGKILL);
		ck_assert(server_end(&s) || rows[i].phase == UPSTREAM_CONTENT);
		client_release(&c);
	}
}
END_TEST

START_TEST(an_unused_connection_quits)
{
	struct script_server s = server_start(
		SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 250 ok", QUIT));
	struct client c;

	client_init(&c, s.port);
	c.settings.idle_timeout_ms = 100;
	c.keep_open = true;
	add(&c, "a", 1, "A\r\n", 3);
	client_run(&c);
	ended(c.txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	why(&c, UPSTREAM_ANSWERED, UPSTREAM_IDLE, 221, "bye");
	ck_assert(server_end(&s));
	client_release(&c);
}
END_TEST

/* ---- connections that end ------------------------------------------------------------ */

static void play_end(struct client *c, const char *const *script, const char *content, size_t len)
{
	struct script_server s = server_start(script);

	client_init(c, s.port);
	add(c, "a", 1, content, len);
	add(c, "b", 1, "B\r\n", 3);
	c->keep_open = true;
	client_run(c);
	ck_assert(server_end(&s));
}

START_TEST(losses_over_a_socket)
{
	static char large[5000000];
	struct client c;

	memset(large, 'x', sizeof(large));
	play_end(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "close"), "A\r\n", 3);
	ended(c.txn[0], UPSTREAM_NO_ANSWER, UPSTREAM_FINAL_DOT, 0);
	ended(c.txn[1], UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, 0);
	client_release(&c);

	play_end(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 250 ok", "close"),
		 "A\r\n", 3);
	ended(c.txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ended(c.txn[1], UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, 0);
	why(&c, UPSTREAM_NO_ANSWER, UPSTREAM_IDLE, 0, "");
	client_release(&c);

	play_end(&c,
		 SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 421 4.3.2 full",
			"close"),
		 "A\r\n", 3);
	ended(c.txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 421);
	ended(c.txn[1], UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, 421);
	why(&c, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 421, "full");
	client_release(&c);

	/* the middle of the content: closed with a reason, and without one */
	play_end(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "> 552 5.3.4 enough", "close"),
		 large, sizeof(large));
	ended(c.txn[0], UPSTREAM_ANSWERED, UPSTREAM_CONTENT, 552);
	client_release(&c);
	play_end(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "reset"), large,
		 sizeof(large));
	ended(c.txn[0], UPSTREAM_NO_ANSWER, UPSTREAM_CONTENT, 0);
	client_release(&c);

	play_end(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), "> 421 4.4.2 idle", "close"), "A\r\n", 3);
	ck_assert_uint_eq(c.txn[1]->done, 0);
	client_release(&c);
}
END_TEST

START_TEST(garbage_in_a_transaction_ends_it)
{
	struct client c;

	play_end(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), "> 250 ok", "> \x1bwhat", "eof"),
		 "A\r\n", 3);
	ended(c.txn[0], UPSTREAM_NO_ANSWER, UPSTREAM_RCPT, 0);
	why(&c, UPSTREAM_NO_ANSWER, UPSTREAM_RCPT, 0, "not an SMTP reply: \"\\x1bwhat");
	client_release(&c);
}
END_TEST

START_TEST(a_new_message_wakes_an_idle_connection)
{
	struct script_server s =
		server_start(SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 250 ok",
				    GROUP("b"), TAKEN, "data", "> 250 ok", QUIT));
	struct client c;

	client_init(&c, s.port);
	c.keep_open = true;
	add(&c, "a", 1, "A\r\n", 3);
	c.conn = upstream_conn_open(c.u, &c.settings, &ops, &c);
	upstream_conn_kick(c.conn); /* too early is no harm */
	while (!c.txn[0]->done)
		event_base_loop(c.base, EVLOOP_ONCE);
	add(&c, "b", 1, "B\r\n", 3);
	upstream_conn_kick(c.conn);
	ck_assert_uint_eq(upstream_conn_in_flight(c.conn), 1);
	while (!c.txn[1]->done)
		event_base_loop(c.base, EVLOOP_ONCE);
	upstream_conn_quit(c.conn);
	event_base_dispatch(c.base);
	ck_assert(c.closed);
	why(&c, UPSTREAM_ANSWERED, UPSTREAM_IDLE, 221, "bye");
	ck_assert(server_end(&s));
	client_release(&c);
}
END_TEST

START_TEST(it_can_be_given_up_at_any_time)
{
	struct client c;

	script_server_is_quiet = true;
	for (int moment = 0; moment < 60; moment++) {
		struct script_server s = server_start(
			SCRIPT("tls 0", PLAIN_EHLO("> 250-PIPELINING", "> 250 AUTH PLAIN"), "< AUTH",
			       "> 235 in", GROUP("a"), TAKEN, "data", "> 250 ok", QUIT));

		client_init(&c, s.port);
		c.settings.tls = UPSTREAM_TLS_IMPLICIT;
		c.settings.tls_ca_file = certs_ca_file;
		c.settings.user = "relay";
		c.settings.password = "sesame";
		add(&c, "a", 1, "A\r\n", 3);
		c.conn = upstream_conn_open(c.u, &c.settings, &ops, &c);
		for (int i = 0; i < moment && !c.closed; i++)
			event_base_loop(c.base, EVLOOP_ONCE);
		if (!c.closed)
			upstream_conn_abort(c.conn);
		ck_assert(c.closed);
		ck_assert_uint_eq(c.txn[0]->done, c.given);
		client_release(&c);
		kill(s.pid, SIGKILL);
		server_end(&s);
	}
}
END_TEST

START_TEST(it_can_be_ended_from_inside_its_callbacks)
{
	const char *const *aborted = SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), "eof");
	const char *const *quit = SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), QUIT);

	for (int way = 0; way < 5; way++) {
		struct script_server s = server_start(way < 2 ? aborted : quit);
		struct client c;

		client_init(&c, s.port);
		if (way == 0)
			c.in_ready = upstream_conn_abort;
		else if (way == 1)
			c.in_next = upstream_conn_abort;
		else if (way == 2)
			c.in_ready = upstream_conn_quit;
		else if (way == 3)
			c.in_next = upstream_conn_quit;
		else
			c.in_ready = c.in_next = upstream_conn_kick; /* must not go round in circles */
		if (way < 3)
			add(&c, "a", 1, "A\r\n", 3);
		client_run(&c);
		ck_assert_uint_eq(c.given,
				  way == 1); /* what next() gave in the same breath is ended as well */
		if (way == 1)
			ended(c.txn[0], UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, 0);
		client_release(&c);
		ck_assert(server_end(&s));
	}
}
END_TEST

START_TEST(several_connections_at_once)
{
	enum { N = 8 };
	struct script_server s[N];
	static struct client c[N];

	for (int i = 0; i < N; i++) {
		s[i] = server_start(SCRIPT(STARTTLS_OFFERED, "tls 0", "< EHLO", "> 250-me",
					   "> 250 PIPELINING", GROUP("a"), TAKEN, "data", "> 250 ok", QUIT));
		client_init(&c[i], s[i].port);
		c[i].settings.tls = UPSTREAM_TLS_REQUIRED;
		c[i].settings.tls_ca_file = certs_ca_file;
		add(&c[i], "a", 1, "A\r\n", 3);
		/* all on the first one's multi handle */
		c[i].conn = upstream_conn_open(c[0].u, &c[i].settings, &ops, &c[i]);
	}
	for (int closed = 0; closed < N;) {
		event_base_loop(c[0].base, EVLOOP_ONCE);
		closed = 0;
		for (int i = 0; i < N; i++)
			closed += c[i].closed;
	}
	for (int i = N - 1; i >= 0; i--) {
		ended(c[i].txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
		ck_assert(server_end(&s[i]));
		client_release(&c[i]);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("upstream");
	int status;

	certs_open();
	UNIT_CASE(s, each_phase_has_its_deadline, an_unused_connection_quits, losses_over_a_socket,
		  garbage_in_a_transaction_ends_it, a_new_message_wakes_an_idle_connection,
		  it_can_be_given_up_at_any_time, it_can_be_ended_from_inside_its_callbacks,
		  several_connections_at_once);
	status = unit_run(s);
	certs_close();
	return status;
}
