/* SPDX-License-Identifier: ISC */
/*
 * upstream/channel over real sockets: how sessions begin, and how they fail
 * to: greetings, TLS in each mode and its certificates, AUTH.
 */
#include "unit.h"
#include "upstream_client.h"

/* ---- sessions that never begin -------------------------------------------------- */

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
		{ "421", SCRIPT("> 421 4.3.2 busy", "close"), 0, 0, 0, UPSTREAM_ANSWERED, UPSTREAM_GREETING,
		  421, "busy" },
		{ "http", SCRIPT("> HTTP/1.1 400 Bad Request", "eof"), 0, 0, 0, UPSTREAM_NO_ANSWER,
		  UPSTREAM_GREETING, 0, "not an SMTP reply: \"HTTP/1.1 400" },
		{ "escape", SCRIPT("> \x1b[2J", "eof"), 0, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_GREETING, 0,
		  "\\x1b[2J" },
		{ "closed", SCRIPT("close"), 0, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_GREETING, 0,
		  "closed the connection instead of sending the greeting" },
		{ "half", SCRIPT("| 220 h", "close"), 0, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_GREETING, 0,
		  "closed the connection instead of sending the greeting" },
		{ "ehlo closed", SCRIPT("> 220 hi", "< EHLO", "close"), 0, 0, 0, UPSTREAM_NO_ANSWER,
		  UPSTREAM_GREETING, 0, "closed the connection instead of sending the reply to EHLO" },
		{ "ehlo 421", SCRIPT("> 220 hi", "< EHLO", "> 421 4.7.0 too many", "close"), 0, 0, 0,
		  UPSTREAM_ANSWERED, UPSTREAM_GREETING, 421, "too many" },
		{ "helo 550",
		  SCRIPT("> 220 hi", "< EHLO", "> 502 what", "< HELO client.example", "> 550 who", "eof"), 0,
		  0, 0, UPSTREAM_ANSWERED, UPSTREAM_GREETING, 550, "who" },
		{ "ehlo mixed", SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 251 SIZE", "eof"), 0, 0, 0,
		  UPSTREAM_NO_ANSWER, UPSTREAM_GREETING, 0, "another code" },
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
		{ "required, not offered", SCRIPT("> 220 hi", "< EHLO", "> 250 SIZE", "eof"),
		  UPSTREAM_TLS_REQUIRED, 1, 0, UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0,
		  "offers no STARTTLS" },
		{ "required, EHLO unknown", SCRIPT("> 220 hi", "< EHLO", "> 502 what", "eof"),
		  UPSTREAM_TLS_REQUIRED, 1, 0, UPSTREAM_ANSWERED, UPSTREAM_GREETING, 502, "what" },
		{ "required, refused",
		  SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 STARTTLS", "< STARTTLS",
			 "> 454 4.7.0 not now", "eof"),
		  UPSTREAM_TLS_REQUIRED, 1, 0, UPSTREAM_ANSWERED, UPSTREAM_TLS_HANDSHAKE, 454, "not now" },
		{ "a reply injected behind STARTTLS (CVE-2011-0411)",
		  SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 STARTTLS", "< STARTTLS",
			 "| 220 go\r\n250 SIZE 1\r\n", "eof"),
		  UPSTREAM_TLS_REQUIRED, 1, 0, UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0,
		  "more than one reply" },
		{ "no TLS behind STARTTLS", SCRIPT(STARTTLS_OFFERED, "> 250 clear text", "eof"),
		  UPSTREAM_TLS_REQUIRED, 1, 0, UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0, "" },
		{ "closed in the handshake", SCRIPT(STARTTLS_OFFERED, "close"), UPSTREAM_TLS_REQUIRED, 1, 0,
		  UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0, "" },
		{ "implicit, plain text", SCRIPT("> 220 hi", "eof"), UPSTREAM_TLS_IMPLICIT, 1, 0,
		  UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0, "" },
		{ "implicit, greeting refuses", SCRIPT("tls 0", "> 554 no", "eof"), UPSTREAM_TLS_IMPLICIT, 1,
		  0, UPSTREAM_ANSWERED, UPSTREAM_GREETING, 554, "no" },
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
		{ CERT_WRONG_NAME, true, "it is for other.example, not for the host name '127.0.0.1'" },
		{ CERT_EXPIRED, true, "certificate has expired (the server's certificate: subject CN=a server, issuer CN=the authority, key EC P-256, valid" },
		{ CERT_UNKNOWN_CA, true, "unable to get local issuer certificate" },
		{ CERT_GOOD, false,
		  "unable to get local issuer certificate" }, /* the system does not know our CA */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char step[10];

		snprintf(step, sizeof(step), "tls? %d", rows[i].cert);
		play_refusal(&(struct refusal){ "required", SCRIPT(STARTTLS_OFFERED, step),
						UPSTREAM_TLS_REQUIRED, rows[i].with_ca, 0, UPSTREAM_NO_ANSWER,
						UPSTREAM_TLS_HANDSHAKE, 0, rows[i].text });
		play_refusal(&(struct refusal){ "implicit", SCRIPT(step), UPSTREAM_TLS_IMPLICIT,
						rows[i].with_ca, 0, UPSTREAM_NO_ANSWER,
						UPSTREAM_TLS_HANDSHAKE, 0, rows[i].text });
	}
}
END_TEST

START_TEST(auth_that_fails)
{
	const struct refusal rows[] = {
		{ "535",
		  SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 AUTH PLAIN",
			 "< AUTH PLAIN AHJlbGF5AHNlc2FtZQ==", "> 535 5.7.8 no", "eof"),
		  0, 0, 1, UPSTREAM_ANSWERED, UPSTREAM_AUTH, 535, "no" },
		{ "login 535",
		  SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 AUTH LOGIN",
			 "< AUTH LOGIN cmVsYXk=", "> 334 UGFzc3dvcmQ6", "< c2VzYW1l", "> 535 no", "eof"),
		  0, 0, 1, UPSTREAM_ANSWERED, UPSTREAM_AUTH, 535, "no" },
		{ "454",
		  SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 AUTH PLAIN", "< AUTH", "> 454 4.7.0 later",
			 "eof"),
		  0, 0, 1, UPSTREAM_ANSWERED, UPSTREAM_AUTH, 454, "later" },
		{ "not offered", SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 SIZE", "eof"), 0, 0, 1,
		  UPSTREAM_NO_ANSWER, UPSTREAM_AUTH, 0, "offers no AUTH" },
		{ "HELO only", SCRIPT("> 220 hi", "< EHLO", "> 502 what", "< HELO", "> 250 me", "eof"), 0, 0,
		  1, UPSTREAM_NO_ANSWER, UPSTREAM_AUTH, 0, "offers no AUTH" },
		{ "strange mechanism",
		  SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 AUTH GSSAPI NTLM X", "eof"), 0, 0, 1,
		  UPSTREAM_NO_ANSWER, UPSTREAM_AUTH, 0, "" },
		{ "closed",
		  SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 AUTH PLAIN", "< AUTH PLAIN ", "close"), 0,
		  0, 1, UPSTREAM_NO_ANSWER, UPSTREAM_AUTH, 0,
		  "closed the connection instead of sending the reply to AUTH" },
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

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)),
			 0); /* ours, so nobody else listens there */
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

	deliver_one(&c,
		    SCRIPT(PLAIN_EHLO("> 250-PIPELINING", "> 250-8BITMIME", "> 250 SIZE 1000"), GROUP("a"),
			   TAKEN, "data", "> 250 2.0.0 queued", QUIT),
		    UPSTREAM_TLS_NONE, false);
	snprintf(remote, sizeof(remote), "127.0.0.1:%u", (unsigned)c.settings.remote.port);
	ck_assert_str_eq(c.remote, remote);
	ck_assert(c.features.esmtp && c.features.pipelining && c.features.eightbitmime && !c.features.tls);
	ck_assert_uint_eq(c.features.size_limit_bytes, 1000);
	ck_assert_str_eq(c.trace.data,
			 "< 220 hi\n> EHLO client.example\n< 250-me\n< 250-PIPELINING\n< 250-8BITMIME\n"
			 "< 250 SIZE 1000\n> MAIL FROM:<a@from> SIZE=3\n> RCPT TO:<a-0@to>\n> DATA\n"
			 "< 250 ok\n< 250 ok\n< 354 go\n> .\n< 250 2.0.0 queued\n> QUIT\n< 221 bye\n");
	client_release(&c);
}
END_TEST

START_TEST(a_server_of_the_old_days)
{
	struct client c;

	deliver_one(&c,
		    SCRIPT("> 220 hi", "< EHLO", "> 500 what", "< HELO client.example", "> 250 PIPELINING",
			   "< MAIL FROM:<a@from>", "> 250 ok", "< RCPT", "> 250 ok", "< DATA", "> 354 go",
			   "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_OPPORTUNISTIC, false);
	ck_assert(!c.features.esmtp && !c.features.pipelining && !c.features.size);
	client_release(&c);
}
END_TEST

START_TEST(the_name_of_the_server_is_no_keyword)
{
	struct client c;

	deliver_one(&c,
		    SCRIPT("> 220 hi", "< EHLO", "> 250-PIPELINING", "> 250 X", "< MAIL", "> 250 ok",
			   "< RCPT", "> 250 ok", "< DATA", "> 354 go", "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_NONE, false);
	ck_assert(c.features.esmtp && !c.features.pipelining);
	client_release(&c);
}
END_TEST

START_TEST(tls_in_each_mode)
{
	struct client c;

	deliver_one(&c,
		    SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250-PIPELINING", "> 250 STARTTLS",
			   "< STARTTLS", "> 220 go", "tls 0", AFTER_TLS, "< MAIL FROM:<a@from> SIZE=3",
			   "> 250 ok", "< RCPT", "> 250 ok", "< DATA", "> 354 go", "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_REQUIRED, false);
	/* what was offered in the clear does not count */
	ck_assert(c.features.tls && c.features.size && !c.features.pipelining && !c.features.starttls);
	client_release(&c);

	deliver_one(
		&c,
		SCRIPT("tls 0", PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 250 ok", QUIT),
		UPSTREAM_TLS_IMPLICIT, false);
	ck_assert(c.features.tls && c.features.pipelining);
	client_release(&c);

	/* opportunistic: any certificate, or none of it all */
	deliver_one(&c,
		    SCRIPT(STARTTLS_OFFERED, "tls 2", AFTER_TLS, "< MAIL", "> 250 ok", "< RCPT", "> 250 ok",
			   "< DATA", "> 354 go", "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_OPPORTUNISTIC, false);
	ck_assert(c.features.tls);
	client_release(&c);
	deliver_one(&c, SCRIPT(PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_OPPORTUNISTIC, false);
	ck_assert(!c.features.tls);
	client_release(&c);
	deliver_one(&c,
		    SCRIPT(PLAIN_EHLO("> 250-PIPELINING", "> 250 STARTTLS"), "< STARTTLS", "> 454 not now",
			   GROUP("a"), TAKEN, "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_OPPORTUNISTIC, false);
	ck_assert(!c.features.tls && c.features.pipelining);
	client_release(&c);

	deliver_one(&c,
		    SCRIPT(PLAIN_EHLO("> 250-PIPELINING", "> 250 STARTTLS"), GROUP("a"), TAKEN, "data",
			   "> 250 ok", QUIT),
		    UPSTREAM_TLS_NONE, false);
	ck_assert(!c.features.tls && c.features.starttls);
	client_release(&c);
}
END_TEST

START_TEST(an_opportunistic_handshake_that_fails_is_not_the_end)
{
	struct client c;

	deliver_one(&c,
		    SCRIPT(STARTTLS_OFFERED, "> this is no TLS", "next",
			   PLAIN_EHLO("> 250-PIPELINING", "> 250 STARTTLS"), GROUP("a"), TAKEN, "data",
			   "> 250 ok", QUIT),
		    UPSTREAM_TLS_OPPORTUNISTIC, false);
	ck_assert(!c.features.tls && c.features.starttls);
	client_release(&c);
	/* but it is where a password would go out in the clear, or where it fails otherwise */
	play_refusal(&(struct refusal){ "user", SCRIPT(STARTTLS_OFFERED, "> this is no TLS", "eof"),
					UPSTREAM_TLS_OPPORTUNISTIC, 0, 1, UPSTREAM_NO_ANSWER,
					UPSTREAM_TLS_HANDSHAKE, 0, "" });
	play_refusal(&(struct refusal){ "greeting", SCRIPT("> 554 no", "eof"), UPSTREAM_TLS_OPPORTUNISTIC, 0,
					0, UPSTREAM_ANSWERED, UPSTREAM_GREETING, 554, "no" });
}
END_TEST

START_TEST(auth_that_works_and_is_not_told)
{
	struct client c;

	deliver_one(&c,
		    SCRIPT(PLAIN_EHLO("> 250-PIPELINING", "> 250 AUTH LOGIN PLAIN"),
			   "< AUTH PLAIN AHJlbGF5AHNlc2FtZQ==", "> 235 2.7.0 in", GROUP("a"), TAKEN, "data",
			   "> 250 ok", QUIT),
		    UPSTREAM_TLS_NONE, true);
	ck_assert_ptr_nonnull(strstr(c.trace.data, "> AUTH PLAIN ***\n< 235 2.7.0 in\n"));
	client_release(&c);

	deliver_one(&c,
		    SCRIPT(PLAIN_EHLO("> 250-PIPELINING", "> 250 AUTH LOGIN"),
			   "< AUTH LOGIN cmVsYXk=", "> 334 UGFzc3dvcmQ6", "< c2VzYW1l", "> 235 in",
			   GROUP("a"), TAKEN, "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_NONE, true);
	ck_assert_ptr_nonnull(
		strstr(c.trace.data, "> AUTH LOGIN ***\n< 334 UGFzc3dvcmQ6\n> ***\n< 235 in\n"));
	client_release(&c);

	deliver_one(&c,
		    SCRIPT(STARTTLS_OFFERED, "tls 0", "< EHLO", "> 250-me", "> 250-PIPELINING",
			   "> 250 AUTH PLAIN", "< AUTH PLAIN AHJlbGF5AHNlc2FtZQ==", "> 235 in", GROUP("a"),
			   TAKEN, "data", "> 250 ok", QUIT),
		    UPSTREAM_TLS_REQUIRED, true);
	client_release(&c);
}
END_TEST

START_TEST(odd_settings_are_passed_on)
{
	struct script_server s =
		server_start(SCRIPT("> 220 hi", "< EHLO [127.0.0.1]?#%41/b", "> 250 me", QUIT));
	struct client c;

	client_init(&c, s.port);
	c.settings.hostname = "[127.0.0.1]?#%41/b";
	c.settings.connect_timeout_ms = c.settings.greeting_timeout_ms =
		365LL * 86400 * 1000; /* and no overflow */
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
	struct script_server s =
		server_start(SCRIPT("tls 0", PLAIN_EHLO("> 250 PIPELINING"), GROUP("a"), TAKEN, "data",
				    "> 250 ok", GROUP("b"), TAKEN, "data", "> 250 ok", QUIT));
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

int main(void)
{
	Suite *s = suite_create("channel");
	int status;

	certs_open();
	UNIT_CASE(s, greetings_that_refuse, an_endless_greeting_is_cut_off,
		  tls_that_is_not_there_or_not_right, certificates_are_verified, auth_that_fails,
		  no_one_listens, a_plain_session, a_server_of_the_old_days,
		  the_name_of_the_server_is_no_keyword, tls_in_each_mode,
		  an_opportunistic_handshake_that_fails_is_not_the_end, auth_that_works_and_is_not_told,
		  odd_settings_are_passed_on, the_environment_is_no_configuration,
		  large_content_over_tls_arrives);
	status = unit_run(s);
	certs_close();
	return status;
}
