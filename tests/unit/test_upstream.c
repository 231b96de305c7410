/* SPDX-License-Identifier: ISC */
/*
 * upstream/ over real sockets: sessions by libcurl against a server that
 * plays a script, TLS and certificates, AUTH, deadlines, and connections
 * that end where it hurts.
 */
#include <event2/event.h>

#include "base/buf.h"
#include "fake_txn.h"
#include "script_server.h"
#include "unit.h"

#define GUARD_MS 20000

struct client {
	struct event_base *base;
	struct upstream *u;
	struct upstream_settings settings;
	struct upstream_conn *conn;
	struct fake_txn *txn[10];
	size_t count, given;
	bool keep_open; /* no QUIT when there is nothing more */
	bool ready, closed, ever_ready;
	struct upstream_features features;
	char remote[100];
	struct upstream_outcome why;
	struct buf trace;
	/* what to do to the connection from inside a callback */
	void (*in_ready)(struct upstream_conn *c), (*in_next)(struct upstream_conn *c);
};

static void on_ready(struct upstream_conn *conn, void *ctx)
{
	struct client *c = ctx;

	ck_assert(!c->ready && !c->closed);
	c->ready = true;
	c->features = *upstream_conn_features(conn);
	snprintf(c->remote, sizeof(c->remote), "%s", upstream_conn_remote(conn));
	if (c->in_ready)
		c->in_ready(conn);
}

static struct upstream_txn *on_next(struct upstream_conn *conn, void *ctx)
{
	struct client *c = ctx;

	ck_assert(c->ready && !c->closed);
	if (c->in_next)
		c->in_next(conn);
	if (c->given < c->count)
		return &c->txn[c->given++]->txn;
	if (!c->keep_open)
		upstream_conn_quit(conn);
	return NULL;
}

static void on_closed(struct upstream_conn *conn, void *ctx, const struct upstream_outcome *why, bool ever_ready)
{
	struct client *c = ctx;

	ck_assert(!c->closed);
	ck_assert_uint_eq(upstream_conn_in_flight(conn), 0);
	upstream_conn_kick(conn); /* nothing happens any more, and nothing breaks */
	upstream_conn_quit(conn);
	upstream_conn_abort(conn);
	c->closed = true;
	c->why = *why;
	c->ever_ready = ever_ready;
	ck_assert(ever_ready == c->ready);
	event_base_loopbreak(c->base);
}

static void on_trace(void *ctx, bool from_upstream, const char *text, size_t len)
{
	struct client *c = ctx;

	buf_addf(&c->trace, "%s %.*s\n", from_upstream ? "<" : ">", (int)len, text);
}

static const struct upstream_conn_ops ops = { on_ready, on_next, on_closed, on_trace };

static void client_init(struct client *c, uint16_t port)
{
	struct err e;

	memset(c, 0, sizeof(*c));
	c->settings = (struct upstream_settings){
		.name = "test",
		.remote = { .kind = ENDPOINT_TCP, .host = "127.0.0.1", .port = port },
		.hostname = "client.example",
		.pipelining = true,
		.connect_timeout_ms = GUARD_MS,
		.greeting_timeout_ms = GUARD_MS,
		.command_timeout_ms = GUARD_MS,
		.data_timeout_ms = GUARD_MS,
		.block_timeout_ms = GUARD_MS,
		.final_timeout_ms = GUARD_MS,
		.idle_timeout_ms = GUARD_MS,
	};
	buf_init(&c->trace, 1 << 20);
	c->base = event_base_new();
	ck_assert_int_eq(upstream_open(&c->u, c->base, &e), 0);
}

static struct fake_txn *add(struct client *c, const char *name, size_t rcpts, const char *content, size_t len)
{
	return c->txn[c->count++] = fake_new(name, rcpts, content, len);
}

static void client_run(struct client *c)
{
	struct timeval guard = { 2 * GUARD_MS / 1000, 0 };

	c->conn = upstream_conn_open(c->u, &c->settings, &ops, c);
	ck_assert_str_eq(upstream_conn_remote(c->conn), "");
	event_base_loopexit(c->base, &guard);
	event_base_dispatch(c->base);
	ck_assert(c->closed);
}

static void client_release(struct client *c)
{
	for (size_t i = 0; i < c->count; i++)
		fake_free(c->txn[i]);
	buf_release(&c->trace);
	upstream_close(c->u);
	event_base_free(c->base);
}

static void ended(const struct fake_txn *t, enum upstream_how how, enum upstream_phase phase, int code)
{
	ck_assert_uint_eq(t->done, 1);
	ck_assert_msg(t->outcome.how == how && t->outcome.phase == phase && t->outcome.reply.code == code,
		      "how %d phase %s code %d: %s", t->outcome.how, upstream_phase_name(t->outcome.phase),
		      t->outcome.reply.code, t->outcome.reply.text);
}

static void why(const struct client *c, enum upstream_how how, enum upstream_phase phase, int code, const char *text)
{
	ck_assert_msg(c->why.how == how && c->why.phase == phase && c->why.reply.code == code &&
			      strstr(c->why.reply.text, text),
		      "how %d phase %s code %d: %s", c->why.how, upstream_phase_name(c->why.phase),
		      c->why.reply.code, c->why.reply.text);
}

/* ---- sessions that never begin -------------------------------------------------- */

#define SCRIPT(...) (const char *const[]){ __VA_ARGS__, NULL }
#define STARTTLS_OFFERED "> 220 hi", "< EHLO client.example", "> 250-me", "> 250 STARTTLS", "< STARTTLS", "> 220 go"
/* RFC 3207 4.2: what was known before is forgotten */
#define AFTER_TLS "< EHLO client.example", "> 250-me", "> 250 SIZE 1000"
#define QUIT "< QUIT", "> 221 bye", "eof"

struct refusal {
	const char *name;
	const char *const *script;
	enum upstream_tls tls;
	bool with_ca, with_user;
	enum upstream_how how;
	enum upstream_phase phase;
	int code;
	const char *text;
};

static void play_refusal(const struct refusal *r)
{
	struct script_server s = server_start(r->script);
	struct client c;

	client_init(&c, s.port);
	c.settings.tls = r->tls;
	c.settings.tls_ca_file = r->with_ca ? certs_ca_file : NULL;
	c.settings.user = r->with_user ? "relay" : NULL;
	c.settings.password = "sesame";
	add(&c, "a", 1, "A\r\n", 3);
	client_run(&c);
	ck_assert_msg(!c.ready && c.given == 0, "%s", r->name);
	ck_assert_msg(c.why.how == r->how && c.why.phase == r->phase && c.why.reply.code == r->code &&
			      strstr(c.why.reply.text, r->text),
		      "%s: how %d phase %s code %d: %s", r->name, c.why.how, upstream_phase_name(c.why.phase),
		      c.why.reply.code, c.why.reply.text);
	ck_assert_ptr_null(strstr(c.trace.data, "sesame"));
	ck_assert_ptr_null(strstr(c.trace.data, "c2VzYW1l"));
	client_release(&c);
	ck_assert_msg(server_end(&s), "%s", r->name);
}

static void play_refusals(const struct refusal *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		play_refusal(&rows[i]);
}
#define PLAY(rows) play_refusals(rows, sizeof(rows) / sizeof(*(rows)))

START_TEST(greetings_that_refuse)
{
	const struct refusal rows[] = {
		{ "554", SCRIPT("> 554-no", "> 554 5.3.2 service", "eof"), 0, 0, 0, UPSTREAM_ANSWERED,
		  UPSTREAM_GREETING, 554, "no\n5.3.2 service" },
		{ "421", SCRIPT("> 421 4.3.2 busy", "close"), 0, 0, 0, UPSTREAM_ANSWERED, UPSTREAM_GREETING, 421, "busy" },
		{ "http", SCRIPT("> HTTP/1.1 400 Bad Request", "eof"), 0, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_GREETING, 0,
		  "not an SMTP reply: \"HTTP/1.1 400" },
		{ "escape", SCRIPT("> \x1b[2J", "eof"), 0, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_GREETING, 0, "\\x1b[2J" },
		{ "closed", SCRIPT("close"), 0, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_GREETING, 0,
		  "connection lost waiting for the greeting" },
		{ "half", SCRIPT("| 220 h", "close"), 0, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_GREETING, 0,
		  "connection lost waiting for the greeting" },
		{ "ehlo closed", SCRIPT("> 220 hi", "< EHLO", "close"), 0, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_GREETING, 0,
		  "connection lost waiting for the reply to EHLO" },
		{ "ehlo 421", SCRIPT("> 220 hi", "< EHLO", "> 421 4.7.0 too many", "close"), 0, 0, 0, UPSTREAM_ANSWERED,
		  UPSTREAM_GREETING, 421, "too many" },
		{ "helo 550", SCRIPT("> 220 hi", "< EHLO", "> 502 what", "< HELO client.example", "> 550 who", "eof"), 0,
		  0, 0, UPSTREAM_ANSWERED, UPSTREAM_GREETING, 550, "who" },
		{ "ehlo mixed", SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 251 SIZE", "eof"), 0, 0, 0, UPSTREAM_NO_ANSWER,
		  UPSTREAM_GREETING, 0, "another code" },
	};

	PLAY(rows);
}
END_TEST

START_TEST(an_endless_greeting_is_cut_off)
{
	const char *script[200];
	size_t n = 0;

	while (n < 198)
		script[n++] = "> 220-and another thing";
	script[n++] = "eof";
	script[n] = NULL;
	play_refusal(&(struct refusal){ "endless", script, 0, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_GREETING, 0,
					"too many lines" });
}
END_TEST

START_TEST(tls_that_is_not_there_or_not_right)
{
	const struct refusal rows[] = {
		{ "required, not offered", SCRIPT("> 220 hi", "< EHLO", "> 250 SIZE", "eof"), UPSTREAM_TLS_REQUIRED, 1, 0,
		  UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0, "offers no STARTTLS" },
		{ "required, EHLO unknown", SCRIPT("> 220 hi", "< EHLO", "> 502 what", "eof"), UPSTREAM_TLS_REQUIRED, 1, 0,
		  UPSTREAM_ANSWERED, UPSTREAM_GREETING, 502, "what" },
		{ "required, refused", SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 STARTTLS", "< STARTTLS", "> 454 4.7.0 not now", "eof"),
		  UPSTREAM_TLS_REQUIRED, 1, 0, UPSTREAM_ANSWERED, UPSTREAM_TLS_HANDSHAKE, 454, "not now" },
		{ "a reply injected behind STARTTLS (CVE-2011-0411)",
		  SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 STARTTLS", "< STARTTLS", "| 220 go\r\n250 SIZE 1\r\n", "eof"),
		  UPSTREAM_TLS_REQUIRED, 1, 0, UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0, "more than one reply" },
		{ "no TLS behind STARTTLS", SCRIPT(STARTTLS_OFFERED, "> 250 clear text", "eof"), UPSTREAM_TLS_REQUIRED, 1, 0,
		  UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0, "" },
		{ "closed in the handshake", SCRIPT(STARTTLS_OFFERED, "close"), UPSTREAM_TLS_REQUIRED, 1, 0,
		  UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0, "" },
		{ "implicit, plain text", SCRIPT("> 220 hi", "eof"), UPSTREAM_TLS_IMPLICIT, 1, 0, UPSTREAM_NO_ANSWER,
		  UPSTREAM_TLS_HANDSHAKE, 0, "" },
		{ "implicit, greeting refuses", SCRIPT("tls 0", "> 554 no", "eof"), UPSTREAM_TLS_IMPLICIT, 1, 0,
		  UPSTREAM_ANSWERED, UPSTREAM_GREETING, 554, "no" },
	};

	PLAY(rows);
}
END_TEST

START_TEST(certificates_are_verified)
{
	static const struct {
		enum cert cert;
		bool with_ca;
		const char *text;
	} rows[] = {
		{ CERT_WRONG_NAME, true, "target host name '127.0.0.1'" },
		{ CERT_EXPIRED, true, "certificate has expired" },
		{ CERT_UNKNOWN_CA, true, "unable to get local issuer certificate" },
		{ CERT_GOOD, false, "unable to get local issuer certificate" }, /* the system does not know our CA */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char step[10];

		snprintf(step, sizeof(step), "tls? %d", rows[i].cert);
		play_refusal(&(struct refusal){ "required", SCRIPT(STARTTLS_OFFERED, step), UPSTREAM_TLS_REQUIRED,
						rows[i].with_ca, 0, UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0,
						rows[i].text });
		play_refusal(&(struct refusal){ "implicit", SCRIPT(step), UPSTREAM_TLS_IMPLICIT, rows[i].with_ca, 0,
						UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0, rows[i].text });
	}
}
END_TEST

START_TEST(auth_that_fails)
{
	const struct refusal rows[] = {
		{ "535", SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 AUTH PLAIN", "< AUTH PLAIN AHJlbGF5AHNlc2FtZQ==", "> 535 5.7.8 no", "eof"),
		  0, 0, 1, UPSTREAM_ANSWERED, UPSTREAM_AUTH, 535, "no" },
		{ "login 535", SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 AUTH LOGIN", "< AUTH LOGIN cmVsYXk=", "> 334 UGFzc3dvcmQ6", "< c2VzYW1l", "> 535 no", "eof"),
		  0, 0, 1, UPSTREAM_ANSWERED, UPSTREAM_AUTH, 535, "no" },
		{ "454", SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 AUTH PLAIN", "< AUTH", "> 454 4.7.0 later", "eof"), 0, 0,
		  1, UPSTREAM_ANSWERED, UPSTREAM_AUTH, 454, "later" },
		{ "not offered", SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 SIZE", "eof"), 0, 0, 1, UPSTREAM_NO_ANSWER,
		  UPSTREAM_AUTH, 0, "offers no AUTH" },
		{ "HELO only", SCRIPT("> 220 hi", "< EHLO", "> 502 what", "< HELO", "> 250 me", "eof"), 0, 0, 1,
		  UPSTREAM_NO_ANSWER, UPSTREAM_AUTH, 0, "offers no AUTH" },
		{ "strange mechanism", SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 AUTH GSSAPI NTLM X", "eof"), 0, 0, 1,
		  UPSTREAM_NO_ANSWER, UPSTREAM_AUTH, 0, "" },
		{ "closed", SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 AUTH PLAIN", "< AUTH PLAIN ", "close"), 0, 0, 1,
		  UPSTREAM_NO_ANSWER, UPSTREAM_AUTH, 0, "connection lost waiting for the reply to AUTH" },
	};

	PLAY(rows);
}
END_TEST

START_TEST(no_one_listens)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct client c;

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0); /* ours, so nobody else listens there */
	getsockname(fd, (struct sockaddr *)&sin, &len);
	client_init(&c, ntohs(sin.sin_port));
	client_run(&c);
	why(&c, UPSTREAM_NO_ANSWER, UPSTREAM_CONNECT, 0, "Connection refused");
	client_release(&c);
	close(fd);

	client_init(&c, 25);
	/* a label of more than 63 octets is no name: refused without asking anyone */
	snprintf(c.settings.remote.host, sizeof(c.settings.remote.host), "%070d.invalid", 0);
	client_run(&c);
	why(&c, UPSTREAM_NO_ANSWER, UPSTREAM_RESOLVE, 0, "resolve");
	client_release(&c);
}
END_TEST

/* ---- sessions that work ------------------------------------------------------------ */

#define PLAIN_EHLO(...) "> 220 hi", "< EHLO client.example", "> 250-me", __VA_ARGS__
#define GROUP(name) "< MAIL FROM:<" name "@from>", "< RCPT TO:<" name "-0@to>", "< DATA"
#define TAKEN "> 250 ok", "> 250 ok", "> 354 go"

/* Plays the script with one message, which must arrive; the client is left to look at. */
static void deliver_one(struct client *c, const char *const *script, enum upstream_tls tls, bool with_user)
{
	struct script_server s = server_start(script);

	client_init(c, s.port);
	c->settings.tls = tls;
	c->settings.tls_ca_file = certs_ca_file;
	c->settings.user = with_user ? "relay" : NULL;
	c->settings.password = "sesame";
	add(c, "a", 1, "A\r\n", 3);
	client_run(c);
	ended(c->txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	why(c, UPSTREAM_ANSWERED, UPSTREAM_IDLE, 221, "");
	ck_assert(server_end(&s));
	ck_assert_ptr_null(strstr(c->trace.data, "sesame"));
	ck_assert_ptr_null(strstr(c->trace.data, "c2VzYW1l"));
}

START_TEST(a_plain_session)
{
	struct client c;
	char remote[40];

	deliver_one(&c, SCRIPT(PLAIN_EHLO("> 250-PIPELINING", "> 250-8BITMIME", "> 250 SIZE 1000"), GROUP("a"), TAKEN, "data",
			       "> 250 2.0.0 queued", QUIT), UPSTREAM_TLS_NONE, false);
	snprintf(remote, sizeof(remote), "127.0.0.1:%u", (unsigned)c.settings.remote.port);
	ck_assert_str_eq(c.remote, remote);
	ck_assert(c.features.esmtp && c.features.pipelining && c.features.eightbitmime && !c.features.tls);
	ck_assert_uint_eq(c.features.size_limit_bytes, 1000);
	ck_assert_str_eq(c.trace.data, "< 220 hi\n> EHLO client.example\n< 250-me\n< 250-PIPELINING\n< 250-8BITMIME\n"
				       "< 250 SIZE 1000\n> MAIL FROM:<a@from> SIZE=3\n> RCPT TO:<a-0@to>\n> DATA\n"
				       "< 250 ok\n< 250 ok\n< 354 go\n> .\n< 250 2.0.0 queued\n> QUIT\n< 221 bye\n");
	client_release(&c);
}
END_TEST

START_TEST(a_server_of_the_old_days)
{
	struct client c;

	deliver_one(&c, SCRIPT("> 220 hi", "< EHLO", "> 500 what", "< HELO client.example", "> 250 PIPELINING", "< MAIL FROM:<a@from>",
			       "> 250 ok", "< RCPT", "> 250 ok", "< DATA", "> 354 go", "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_OPPORTUNISTIC, false);
	ck_assert(!c.features.esmtp && !c.features.pipelining && !c.features.size);
	client_release(&c);
}
END_TEST

START_TEST(the_name_of_the_server_is_no_keyword)
{
	struct client c;

	deliver_one(&c, SCRIPT("> 220 hi", "< EHLO", "> 250-PIPELINING", "> 250 X", "< MAIL", "> 250 ok", "< RCPT",
			       "> 250 ok", "< DATA", "> 354 go", "data", "> 250 ok", QUIT), UPSTREAM_TLS_NONE, false);
	ck_assert(c.features.esmtp && !c.features.pipelining);
	client_release(&c);
}
END_TEST

START_TEST(tls_in_each_mode)
{
	struct client c;

	deliver_one(&c, SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250-PIPELINING", "> 250 STARTTLS", "< STARTTLS", "> 220 go",
			       "tls 0", AFTER_TLS, "< MAIL FROM:<a@from> SIZE=3", "> 250 ok", "< RCPT", "> 250 ok",
			       "< DATA", "> 354 go", "data", "> 250 ok", QUIT), UPSTREAM_TLS_REQUIRED, false);
	/* what was offered in the clear does not count */
	ck_assert(c.features.tls && c.features.size && !c.features.pipelining && !c.features.starttls);
	client_release(&c);

	deliver_one(&c, SCRIPT("tls 0", PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_IMPLICIT, false);
	ck_assert(c.features.tls && c.features.pipelining);
	client_release(&c);

	/* opportunistic: any certificate, or none of it all */
	deliver_one(&c, SCRIPT(STARTTLS_OFFERED, "tls 2", AFTER_TLS, "< MAIL", "> 250 ok", "< RCPT", "> 250 ok",
			       "< DATA", "> 354 go", "data", "> 250 ok", QUIT), UPSTREAM_TLS_OPPORTUNISTIC, false);
	ck_assert(c.features.tls);
	client_release(&c);
	deliver_one(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_OPPORTUNISTIC, false);
	ck_assert(!c.features.tls);
	client_release(&c);
	deliver_one(&c, SCRIPT(PLAIN_EHLO("> 250-PIPELINING", "> 250 STARTTLS"), "< STARTTLS", "> 454 not now", GROUP("a"),
			       TAKEN, "data", "> 250 ok", QUIT), UPSTREAM_TLS_OPPORTUNISTIC, false);
	ck_assert(!c.features.tls && c.features.pipelining);
	client_release(&c);

	deliver_one(&c, SCRIPT(PLAIN_EHLO("> 250-PIPELINING", "> 250 STARTTLS"), GROUP("a"), TAKEN, "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_NONE, false);
	ck_assert(!c.features.tls && c.features.starttls);
	client_release(&c);
}
END_TEST

START_TEST(auth_that_works_and_is_not_told)
{
	struct client c;

	deliver_one(&c, SCRIPT(PLAIN_EHLO("> 250-PIPELINING", "> 250 AUTH LOGIN PLAIN"), "< AUTH PLAIN AHJlbGF5AHNlc2FtZQ==",
			       "> 235 2.7.0 in", GROUP("a"), TAKEN, "data", "> 250 ok", QUIT), UPSTREAM_TLS_NONE, true);
	ck_assert_ptr_nonnull(strstr(c.trace.data, "> AUTH PLAIN ***\n< 235 2.7.0 in\n"));
	client_release(&c);

	deliver_one(&c, SCRIPT(PLAIN_EHLO("> 250-PIPELINING", "> 250 AUTH LOGIN"), "< AUTH LOGIN cmVsYXk=",
			       "> 334 UGFzc3dvcmQ6", "< c2VzYW1l", "> 235 in", GROUP("a"), TAKEN, "data", "> 250 ok",
			       QUIT), UPSTREAM_TLS_NONE, true);
	ck_assert_ptr_nonnull(strstr(c.trace.data, "> AUTH LOGIN ***\n< 334 UGFzc3dvcmQ6\n> ***\n< 235 in\n"));
	client_release(&c);

	deliver_one(&c, SCRIPT(STARTTLS_OFFERED, "tls 0", "< EHLO", "> 250-me", "> 250-PIPELINING", "> 250 AUTH PLAIN",
			       "< AUTH PLAIN AHJlbGF5AHNlc2FtZQ==", "> 235 in", GROUP("a"), TAKEN, "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_REQUIRED, true);
	client_release(&c);
}
END_TEST

START_TEST(names_that_a_url_would_take_amiss)
{
	struct script_server s = server_start(SCRIPT("> 220 hi", "< EHLO [127.0.0.1]?#%41/b", "> 250 me", QUIT));
	struct client c;

	client_init(&c, s.port);
	c.settings.hostname = "[127.0.0.1]?#%41/b";
	client_run(&c);
	ck_assert(server_end(&s));
	client_release(&c);
}
END_TEST

START_TEST(the_environment_is_no_configuration)
{
	struct client c;

	setenv("all_proxy", "socks5://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "socks5://127.0.0.1:1", 1);
	deliver_one(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_NONE, false);
	client_release(&c);
}
END_TEST

/* Twice more than the sockets' buffers hold, over TLS: blocked writes and their repetition. */
START_TEST(large_content_over_tls_arrives)
{
	struct script_server s = server_start(
		SCRIPT("tls 0", PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 250 ok", GROUP("b"), TAKEN,
		       "data", "> 250 ok", QUIT));
	static char content[9000000];
	struct client c;

	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = i % 70 == 68 ? '\r' : i % 70 == 69 ? '\n' : '.';
	client_init(&c, s.port);
	c.settings.tls = UPSTREAM_TLS_IMPLICIT;
	c.settings.tls_ca_file = certs_ca_file;
	add(&c, "a", 1, content, sizeof(content));
	add(&c, "b", 1, content, sizeof(content));
	client_run(&c);
	ended(c.txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ended(c.txn[1], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert(server_end(&s));
	client_release(&c);
}
END_TEST

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
		{ offsetof(struct upstream_settings, greeting_timeout_ms), SCRIPT("eof"), UPSTREAM_GREETING, 0,
		  "waiting for: the greeting" },
		{ offsetof(struct upstream_settings, greeting_timeout_ms), SCRIPT("> 220-hi", "eof"), UPSTREAM_GREETING, 0, "" },
		{ offsetof(struct upstream_settings, greeting_timeout_ms), SCRIPT("> 220 hi", "< EHLO", "eof"),
		  UPSTREAM_GREETING, 0, "waiting for: the reply to EHLO" },
		{ offsetof(struct upstream_settings, connect_timeout_ms), SCRIPT("eof"), UPSTREAM_TLS_HANDSHAKE, 1,
		  "waiting for: the TLS handshake" },
		{ offsetof(struct upstream_settings, command_timeout_ms),
		  SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), "eof"), UPSTREAM_MAIL, 0, "phase mail" },
		{ offsetof(struct upstream_settings, command_timeout_ms),
		  SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), "> 250 ok", "| 250-not y", "eof"), UPSTREAM_RCPT, 0, "phase rcpt" },
		{ offsetof(struct upstream_settings, data_timeout_ms),
		  SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), "> 250 ok", "> 250 ok", "eof"), UPSTREAM_DATA, 0, "phase data" },
		{ offsetof(struct upstream_settings, block_timeout_ms),
		  SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "hang"), UPSTREAM_CONTENT, 0, "phase content" },
		{ offsetof(struct upstream_settings, final_timeout_ms),
		  SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "eof"), UPSTREAM_FINAL_DOT, 0, "phase final-dot" },
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
	struct script_server s = server_start(SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 250 ok", QUIT));
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

	play_end(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 250 ok", "close"), "A\r\n", 3);
	ended(c.txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ended(c.txn[1], UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, 0);
	why(&c, UPSTREAM_NO_ANSWER, UPSTREAM_IDLE, 0, "");
	client_release(&c);

	play_end(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 421 4.3.2 full", "close"), "A\r\n", 3);
	ended(c.txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 421);
	ended(c.txn[1], UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, 421);
	why(&c, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 421, "full");
	client_release(&c);

	/* the middle of the content: closed with a reason, and without one */
	play_end(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "> 552 5.3.4 enough", "close"), large, sizeof(large));
	ended(c.txn[0], UPSTREAM_ANSWERED, UPSTREAM_CONTENT, 552);
	client_release(&c);
	play_end(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "reset"), large, sizeof(large));
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

	play_end(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), "> 250 ok", "> \x1bwhat", "eof"), "A\r\n", 3);
	ended(c.txn[0], UPSTREAM_NO_ANSWER, UPSTREAM_RCPT, 0);
	why(&c, UPSTREAM_NO_ANSWER, UPSTREAM_RCPT, 0, "not an SMTP reply: \"\\x1bwhat");
	client_release(&c);
}
END_TEST

START_TEST(a_new_message_wakes_an_idle_connection)
{
	struct script_server s = server_start(SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 250 ok",
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
		struct script_server s = server_start(SCRIPT("tls 0", PLAIN_EHLO("> 250-PIPELINING", "> 250 AUTH PLAIN"),
							     "< AUTH", "> 235 in", GROUP("a"), TAKEN, "data",
							     "> 250 ok", QUIT));

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
		ck_assert_uint_eq(c.given, way == 1); /* what next() gave in the same breath is ended as well */
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
		s[i] = server_start(SCRIPT(STARTTLS_OFFERED, "tls 0", "< EHLO", "> 250-me", "> 250 PIPELINING", GROUP("a"),
					   TAKEN, "data", "> 250 ok", QUIT));
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
	UNIT_CASE(s, greetings_that_refuse, an_endless_greeting_is_cut_off, tls_that_is_not_there_or_not_right,
		  certificates_are_verified, auth_that_fails, no_one_listens, a_plain_session,
		  a_server_of_the_old_days, the_name_of_the_server_is_no_keyword, tls_in_each_mode,
		  auth_that_works_and_is_not_told, names_that_a_url_would_take_amiss,
		  the_environment_is_no_configuration, large_content_over_tls_arrives, each_phase_has_its_deadline,
		  an_unused_connection_quits, losses_over_a_socket, garbage_in_a_transaction_ends_it,
		  a_new_message_wakes_an_idle_connection, it_can_be_given_up_at_any_time,
		  it_can_be_ended_from_inside_its_callbacks, several_connections_at_once);
	status = unit_run(s);
	certs_close();
	return status;
}
