/* SPDX-License-Identifier: ISC */
/* STARTTLS, AUTH and the policy's word in a session: fakes on all sides. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fake_handler.h"
#include "session/input.h"
#include "transcript.h"
#include "unit.h"

/* ---- fakes ------------------------------------------------------------------------- */

/* "TEST" asks twice and wants "YQ==" and "Yg=="; "ONE" takes one response; others are unknown. */
struct fake_authenticator {
	struct session_authenticator a;
	int step;
	bool open;
	bool saw_tls;
	enum authenticator_result verdict; /* of "ONE" */
	char initial[64];
};

static void fake_mechanisms(struct session_authenticator *a, const struct session_client *client, struct buf *out)
{
	(void)a;
	buf_adds(out, client->tls ? "TEST ONE SURE" : "TEST ONE");
}

static enum authenticator_result fake_step(struct session_authenticator *a, const char *response,
					   int64_t deadline_mono_ms, struct authenticator_answer *out)
{
	static const char *const wanted[] = { "YQ==", "Yg==" };
	struct fake_authenticator *f = (struct fake_authenticator *)a;

	(void)deadline_mono_ms;
	ck_assert(f->open);
	strcpy(out->user, "carol");
	if (f->step == 10) {
		snprintf(f->initial, sizeof(f->initial), "%s", response);
		return f->verdict;
	}
	if (strcmp(response, wanted[f->step]) != 0)
		return AUTHENTICATOR_FAILED;
	out->challenge = "Yj8=";
	return ++f->step == 2 ? AUTHENTICATOR_OK : AUTHENTICATOR_CONTINUE;
}

static enum authenticator_result fake_begin(struct session_authenticator *a, const struct session_client *client,
					    const char *mechanism, const char *initial, int64_t deadline_mono_ms,
					    struct authenticator_answer *out)
{
	struct fake_authenticator *f = (struct fake_authenticator *)a;

	f->saw_tls = client->tls;
	f->open = true;
	f->step = strcmp(mechanism, "ONE") == 0 ? 10 : 0;
	out->challenge = "";
	if (strcmp(mechanism, "ONE") != 0 && strcmp(mechanism, "TEST") != 0)
		return AUTHENTICATOR_NO_MECHANISM;
	return initial ? fake_step(a, initial, deadline_mono_ms, out) : AUTHENTICATOR_CONTINUE;
}

static void fake_cancel(struct session_authenticator *a)
{
	((struct fake_authenticator *)a)->open = false;
}

static const struct session_authenticator_ops authenticator_ops = { fake_mechanisms, fake_begin, fake_step,
								    fake_cancel };

struct fake_policy {
	struct session_policy p;
	const char *refuse; /* "authenticated", "mail", "rcpt" */
	char seen[200];
};

static enum policy_verdict judge(struct session_policy *p, const char *what, const struct session_client *client,
				 struct smtp_reply *reply)
{
	struct fake_policy *f = (struct fake_policy *)p;
	size_t len = strlen(f->seen);

	snprintf(f->seen + len, sizeof(f->seen) - len, "%s %s%s;", what,
		 client->auth_user ? client->auth_user : "-", client->tls ? " tls" : "");
	if (!f->refuse || strcmp(f->refuse, what) != 0)
		return POLICY_PASS;
	smtp_reply_set(reply, 450, "4.7.1", "not %s now", what);
	return POLICY_REFUSE;
}

static enum policy_verdict fake_authenticated(struct session_policy *p, const struct session_client *client,
					      struct smtp_reply *reply)
{
	return judge(p, "authenticated", client, reply);
}

static enum policy_verdict fake_mail(struct session_policy *p, const struct session_client *client,
				     struct envelope *env, struct smtp_reply *reply)
{
	ck_assert(env->sender);
	return judge(p, "mail", client, reply);
}

static enum policy_verdict fake_rcpt(struct session_policy *p, const struct session_client *client,
				     struct envelope *env, struct smtp_reply *reply)
{
	ck_assert(env->rcpt_count > 0);
	return judge(p, "rcpt", client, reply);
}

static enum policy_verdict fake_peer_changed(struct session_policy *p, const struct session_client *client,
					     struct smtp_reply *reply)
{
	return judge(p, "peer", client, reply);
}

static bool fake_verify(struct session_policy *p, const struct session_client *client, const char *address,
			bool expand, struct smtp_reply *reply)
{
	(void)p;
	(void)client;
	(void)address;
	(void)expand;
	(void)reply;
	return false;
}

static bool fake_may_relay(struct session_policy *p, const struct session_client *client)
{
	(void)p;
	(void)client;
	return true;
}

static const struct session_policy_ops policy_ops = { .authenticated = fake_authenticated,
						      .mail = fake_mail,
						      .rcpt = fake_rcpt,
						      .verify = fake_verify,
						      .may_relay = fake_may_relay,
						      .peer_changed = fake_peer_changed };

/* ---- one session ------------------------------------------------------------------- */

static struct world {
	struct session_config cfg;
	struct session_peer peer;
	struct session_events events;
	struct fake_handler handler;
	struct fake_io io;
	struct fake_authenticator auth;
	struct fake_policy policy;
	struct buf told;
	enum session_end end;
} w;

static void on_trace(void *ctx, bool from_client, const char *text, size_t len)
{
	(void)ctx;
	if (from_client) {
		buf_add(&w.told, text, len);
		buf_adds(&w.told, "\n");
	}
}

static void on_rejected(void *ctx, const struct envelope *env, const char *verb, const char *line, size_t line_len,
			const struct smtp_reply *reply)
{
	(void)ctx;
	(void)env;
	(void)verb;
	(void)reply;
	buf_add(&w.told, line, line_len);
	buf_adds(&w.told, "\n");
}

static void setup(void)
{
	memset(&w, 0, sizeof(w));
	transcript_default_config(&w.cfg);
	w.peer = (struct session_peer){ .text = "192.0.2.1:4711", .address = "192.0.2.1", .listener = "lan" };
	fake_handler_init(&w.handler, true);
	fake_io_init(&w.io, "", 0, FAKE_WHOLE);
	w.io.can_tls = true;
	w.auth.a.ops = &authenticator_ops;
	w.auth.verdict = AUTHENTICATOR_OK;
	w.policy.p.ops = &policy_ops;
	w.cfg.tls = SESSION_TLS_STARTTLS;
	w.cfg.auth = SESSION_AUTH_OFFERED;
	w.cfg.auth_without_tls = true;
	w.cfg.authenticator = &w.auth.a;
	w.cfg.policy = &w.policy.p;
	w.events.trace = on_trace;
	w.events.rejected = on_rejected;
	buf_init(&w.told, 1 << 20);
}

static void teardown(void)
{
	fake_io_release(&w.io);
	fake_handler_release(&w.handler);
	buf_release(&w.told);
}

/* All that the session said to this input. */
static const char *said(const char *input)
{
	w.io.data = input;
	w.io.len = strlen(input);
	buf_clear(&w.io.out);
	w.end = session_run(&w.cfg, &w.peer, &w.io.io, &w.handler.handler, &w.events);
	ck_assert(!w.auth.open);
	return w.io.out.data;
}

#define has(text, part) ck_assert_msg(strstr(text, part), "no \"%s\" in:\n%s", part, text)
#define lacks(text, part) ck_assert_msg(!strstr(text, part), "\"%s\" is in:\n%s", part, text)

/* ---- STARTTLS ----------------------------------------------------------------------- */

static const char *part; /* that the client sends behind the handshake */

static bool send_part(struct fake_io *f, void *ctx)
{
	(void)ctx;
	if (!part)
		return false;
	f->data = part;
	f->len = strlen(part);
	part = NULL;
	return true;
}

START_TEST(starttls_forgets_what_was_said_before)
{
	const char *out;

	w.io.more = send_part;
	part = "MAIL FROM:<a@example.net>\r\nEHLO again\r\nMAIL FROM:<a@example.net>\r\nQUIT\r\n";
	/* what stands behind the command in the same segment was not said under TLS: it is not obeyed */
	out = said("EHLO x\r\nAUTH ONE YQ==\r\nSTARTTLS\r\nNOOP\r\nEHLO injected\r\nMAIL FROM:<evil@example.net>\r\n");
	has(out, "250-STARTTLS\r\n250-AUTH TEST ONE\r\n");
	has(out, "220 2.0.0 Ready to start TLS\r\n503 5.5.1 Error: send HELO first\r\n250-relay.example.org\r\n");
	lacks(strstr(out, "Ready to start"), "STARTTLS");
	has(out, "250-AUTH TEST ONE SURE\r\n");
	has(out, "250 2.1.0 OK\r\n221");
	ck_assert_str_eq(w.policy.seen, "authenticated carol;mail - tls;");
	ck_assert_int_eq(w.end, SESSION_QUIT);
}
END_TEST

START_TEST(starttls_in_its_place_only)
{
	const char *out = said("STARTTLS now\r\nSTARTTLS\r\n");

	has(out, "501 5.5.4 Syntax: STARTTLS\r\n220 ");
	w.io.is_tls = false;
	out = said("EHLO x\r\nMAIL FROM:<>\r\nSTARTTLS\r\nQUIT\r\n");
	has(out, "503 5.5.1 Error: no STARTTLS inside a transaction\r\n");
	w.io.is_tls = true;
	out = said("EHLO x\r\nSTARTTLS\r\nQUIT\r\n");
	lacks(out, "250-STARTTLS");
	has(out, "554 5.5.1 Error: TLS is active already\r\n");
	w.io.is_tls = false;
	w.cfg.tls = SESSION_TLS_NONE;
	out = said("EHLO x\r\nSTARTTLS\r\nQUIT\r\n");
	lacks(out, "250-STARTTLS");
	has(out, "502 5.5.1 Error: STARTTLS is not offered here\r\n");
}
END_TEST

START_TEST(requiretls_under_tls_only)
{
	const char *out;

	w.cfg.requiretls = true;
	out = said("EHLO x\r\nMAIL FROM:<a@example.net> REQUIRETLS\r\nQUIT\r\n");
	lacks(out, "REQUIRETLS");
	has(out, "555 5.5.4");
	w.io.is_tls = true;
	out = said("EHLO x\r\nMAIL FROM:<a@example.net> REQUIRETLS=yes\r\nMAIL FROM:<a@example.net> requiretls\r\n"
		   "RCPT TO:<b@example.org>\r\nDATA\r\n.\r\nQUIT\r\n");
	has(out, "250-REQUIRETLS\r\n");
	has(out, "501 5.5.4 Error: REQUIRETLS takes no arguments\r\n250 2.1.0 OK\r\n250 2.1.5 OK\r\n");
	ck_assert(w.handler.seen.requiretls);
	out = said("EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n.\r\nQUIT\r\n");
	ck_assert(!w.handler.seen.requiretls);
	w.cfg.requiretls = false; /* nobody behind us could */
	lacks(said("EHLO x\r\nQUIT\r\n"), "REQUIRETLS");
}
END_TEST

START_TEST(after_a_failed_handshake_nothing_is_said)
{
	const char *out;

	w.io.start_tls_result = IO_ERROR;
	out = said("EHLO x\r\nSTARTTLS\r\nNOOP\r\n");
	ck_assert_str_eq(strstr(out, "220 2.0.0"), "220 2.0.0 Ready to start TLS\r\n");
	ck_assert_int_eq(w.end, SESSION_TLS_FAILED);
}
END_TEST

START_TEST(tls_required_comes_first)
{
	const char *out;

	w.cfg.tls = SESSION_TLS_REQUIRED;
	out = said("MAIL FROM:<>\r\nEHLO x\r\nAUTH ONE YQ==\r\nMAIL FROM:<>\r\nVRFY x\r\nNOOP\r\nRSET\r\nQUIT\r\n");
	has(out, "220 relay.example.org ESMTP Posthouse\r\n530 5.7.0 Must issue a STARTTLS command first\r\n");
	has(out, "250 HELP\r\n530 5.7.0 Must issue a STARTTLS command first\r\n530 5.7.0 Must");
	ck_assert_str_eq(w.policy.seen, "");
	w.io.is_tls = true;
	has(said("EHLO x\r\nMAIL FROM:<>\r\nQUIT\r\n"), "250 2.1.0 OK");
}
END_TEST

/* ---- AUTH --------------------------------------------------------------------------- */

START_TEST(auth_dialogues)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "AUTH TEST\r\nYQ==\r\nYg==\r\n", "334 \r\n334 Yj8=\r\n235 2.7.0 Authentication successful\r\n" },
		{ "auth test YQ==\r\nYg==\r\n", "334 Yj8=\r\n235 2.7.0 Authentication successful\r\n" },
		{ "AUTH TEST YQ==\r\n*\r\nNOOP\r\n", "334 Yj8=\r\n501 5.7.0 Authentication cancelled\r\n250 2.0.0 OK\r\n" },
		{ "AUTH TEST\r\nno base64!\r\nNOOP\r\n", "334 \r\n501 5.5.2 Error: the response is not base64\r\n250 2.0.0" },
		{ "AUTH TEST\r\nYQ==\nNOOP\r\nNOOP\r\n", "334 \r\n501 5.5.2 Error: the response is not base64\r\n250 2.0.0" },
		{ "AUTH TEST WA==\r\nNOOP\r\n", "535 5.7.8 Error: authentication credentials invalid\r\n250 2.0.0" },
		{ "AUTH TEST Y!==\r\n", "501 5.5.2 Error: the initial response is not base64\r\n" },
		{ "AUTH TEST YQ== Yg==\r\n", "501 5.5.2 Error: the initial response is not base64\r\n" },
		{ "AUTH NONE\r\n", "504 5.5.4 Error: no such authentication mechanism\r\n" },
		{ "AUTH ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n", "504 5.5.4 Error: no such authentication mechanism\r\n" },
		{ "AUTH T%ST\r\n", "501 5.5.4 Syntax: AUTH mechanism [initial-response]\r\n" },
		{ "AUTH\r\n", "501 5.5.4 Syntax: AUTH mechanism [initial-response]\r\n" },
		{ "MAIL FROM:<>\r\nAUTH TEST\r\n", "503 5.5.1 Error: no AUTH inside a transaction\r\n" },
		{ "AUTH ONE YQ==\r\nAUTH ONE YQ==\r\n", "235 2.7.0 Authentication successful\r\n503 5.5.1 Error: already" },
		{ "HELO x\r\nAUTH ONE YQ==\r\n", "503 5.5.1 Error: send EHLO first\r\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char in[400];

		snprintf(in, sizeof(in), "EHLO x\r\n%s", cases[i].in);
		has(said(in), cases[i].out);
	}
}
END_TEST

START_TEST(auth_results)
{
	static const struct {
		enum authenticator_result result;
		const char *out;
	} cases[] = {
		{ AUTHENTICATOR_FAILED, "535 5.7.8" },	    { AUTHENTICATOR_MALFORMED, "501 5.5.2" },
		{ AUTHENTICATOR_NO_MECHANISM, "504 5.5.4" }, { AUTHENTICATOR_TEMPORARY, "454 4.7.0" },
		{ AUTHENTICATOR_BANNED, "421 4.7.0" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		w.auth.verdict = cases[i].result;
		has(said("EHLO x\r\nAUTH ONE =\r\n"), cases[i].out);
		ck_assert_str_eq(w.auth.initial, "");
	}
	ck_assert_int_eq(w.end, SESSION_REFUSED);
	/* who asks for ever is sent away */
	w.auth.verdict = AUTHENTICATOR_CONTINUE;
	has(said("EHLO x\r\nAUTH ONE\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\nQUIT\r\n"), "535 5.7.8");
}
END_TEST

START_TEST(auth_where_it_is_offered_only)
{
	const char *out;

	w.cfg.auth_without_tls = false;
	out = said("EHLO x\r\nAUTH ONE YQ==\r\nMAIL FROM:<a@example.net> AUTH=<>\r\nQUIT\r\n");
	lacks(out, "250-AUTH");
	has(out, "538 5.7.11 ");
	has(out, "555 5.5.4 ");
	w.cfg.auth = SESSION_AUTH_NONE;
	out = said("EHLO x\r\nAUTH ONE YQ==\r\nQUIT\r\n");
	lacks(out, "250-AUTH");
	has(out, "502 5.5.1 Error: AUTH is not offered here\r\n");
	w.cfg.auth = SESSION_AUTH_REQUIRED;
	w.io.is_tls = true;
	out = said("EHLO x\r\nMAIL FROM:<>\r\nAUTH ONE YQ==\r\nMAIL FROM:<a@example.net> AUTH=a+40example.net\r\nQUIT\r\n");
	has(out, "530 5.7.0 Authentication required\r\n235 2.7.0 Authentication successful\r\n250 2.1.0 OK\r\n");
}
END_TEST

START_TEST(auth_lines_may_be_long)
{
	static char in[40000];
	char *at = in + sprintf(in, "EHLO x\r\nAUTH ONE ");
	const char *out;

	memset(at, 'A', INPUT_AUTH_LINE_MAX - 2 - strlen("AUTH ONE "));
	at += INPUT_AUTH_LINE_MAX - 2 - strlen("AUTH ONE ");
	strcpy(at, "\r\nQUIT\r\n");
	for (int cut = FAKE_WHOLE; cut <= FAKE_RANDOM; cut++) {
		w.io.cut = (enum fake_cut)cut;
		has(said(in), "235 2.7.0");
	}
	strcpy(at, "A\r\nNOOP\r\nQUIT\r\n");
	out = said(in);
	has(out, "500 5.5.2 Error: line too long\r\n250 2.0.0 OK\r\n");
	/* and only while one can log in */
	w.cfg.auth = SESSION_AUTH_NONE;
	strcpy(at, "\r\nNOOP\r\nQUIT\r\n");
	has(said(in), "500 5.5.2 Error: line too long\r\n250 2.0.0 OK\r\n");
	w.cfg.auth = SESSION_AUTH_OFFERED;
	at = in + sprintf(in, "EHLO x\r\nAUTH ONE\r\n");
	memset(at, 'A', INPUT_AUTH_LINE_MAX);
	strcpy(at + INPUT_AUTH_LINE_MAX, "\r\nNOOP\r\nQUIT\r\n");
	has(said(in), "500 5.5.6 Error: authentication exchange line is too long\r\n250 2.0.0 OK\r\n");
}
END_TEST

START_TEST(secrets_are_in_no_trace)
{
	w.auth.verdict = AUTHENTICATOR_FAILED;
	said("EHLO x\r\nAUTH ONE c2VjcmV0\r\nAUTH c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0\r\nAUTH ONE\r\nc2VjcmV0\r\n"
	     "AUTH ONE c2VjcmV0 more\r\nQUIT\r\n");
	has(w.told.data, "AUTH ONE ***\n");
	lacks(w.told.data, "c2V");
}
END_TEST

/* Clients that are refused and go on, that cannot spell, or end their lines as they like: also what is no command. */
START_TEST(secrets_are_in_no_refusal)
{
	static const char *const dialogues[] = {
		"AUTH ONE c2VjcmV0\nNOOP\r\n",
		"AUTH ONE c2VjcmV0\r\r\n",
		"AUTH ONE\rc2VjcmV0\r\n",
		"AUTH ONE\r\nc2VjcmV0\nc2VjcmV0\r\n",
		"AUTH ONE\r\nc2VjcmV0!\r\nc2VjcmV0\r\n",
		"AUTH\tONE c2VjcmV0\r\n",
		" AUTH ONE c2VjcmV0\r\n",
		"AUTH=ONE c2VjcmV0\r\n",
		"AUTHONE c2VjcmV0\r\n",
		"AUTH c2VjcmV0\r\n",
		"AUTH NONE\r\nc2VjcmV0\r\nc2VjcmV0\r\n",
		"AUTH ONE\r\n*\r\nc2VjcmV0\r\n",
		"AUTH ONE c2VjcmV0\r\nc2VjcmV0 c2VjcmV0\r\nc2VjcmV0\n\r\n",
	};
	static char long_line[40000];

	w.auth.verdict = AUTHENTICATOR_FAILED;
	for (int offered = 0; offered < 2; offered++) {
		w.cfg.auth = offered ? SESSION_AUTH_OFFERED : SESSION_AUTH_NONE;
		for (size_t i = 0; i < sizeof(dialogues) / sizeof(*dialogues); i++) {
			char in[400];

			snprintf(in, sizeof(in), "EHLO x\r\n%sQUIT\r\n", dialogues[i]);
			lacks(said(in), "C2V");
			lacks(w.told.data, "c2V");
		}
		strcpy(long_line, "EHLO x\r\nAUTH ONE ");
		for (size_t n = strlen(long_line); n < 30000; n += 8)
			memcpy(long_line + n, "c2VjcmV0", 9);
		strcat(long_line, "\r\nQUIT\r\n");
		for (int cut = FAKE_WHOLE; cut <= FAKE_RANDOM; cut++) {
			w.io.cut = (enum fake_cut)cut;
			has(said(long_line), "500 5.5.2 Error: line too long\r\n221");
			lacks(w.told.data, "c2V");
		}
	}
	/* what has nothing to do with it is told as ever */
	has(said("EHLO x\r\nAUTH ONE =\r\nNOOP\r\nFrobnicate me\r\nQUIT\r\n"), "command \"FROBNICATE\" not recognized");
	has(w.told.data, "Frobnicate me\n");
}
END_TEST

static bool holds(const struct input *in, const char *text)
{
	return memmem(in->data, in->cap, text, strlen(text)) || memmem(in->small, sizeof(in->small), text, strlen(text));
}

START_TEST(secrets_are_not_kept)
{
	static struct input in;
	const char *line;
	size_t len;
	char *at;

	input_init(&in);
	ck_assert_uint_gt(input_room(&in, &at), 100);
	input_added(&in, (size_t)sprintf(at, "AUTH ONE c2VjcmV0\r\nAUTH ONE c2VjcmV0c2VjcmV0\r\nNOOP\r\n"));
	ck_assert_int_eq(input_line(&in, &line, &len), INPUT_LINE);
	input_widen(&in);
	ck_assert_int_eq(input_line(&in, &line, &len), INPUT_LINE);
	input_narrow(&in);
	ck_assert(holds(&in, "c2V") || in.start == 0);
	input_forget(&in);
	ck_assert(!holds(&in, "c2V"));
	ck_assert_int_eq(input_line(&in, &line, &len), INPUT_LINE);
	ck_assert_uint_eq(len, 4);
	input_release(&in);
}
END_TEST

/* ---- XCLIENT ---------------------------------------------------------------------------- */

/* A proxy that is believed may pass on what its client says: that one is not to choose who it is. */
START_TEST(xclient_is_for_the_proxy_and_not_for_its_client)
{
	const char *out;

	w.peer.may_xclient = true;
	out = said("EHLO x\r\nXCLIENT ADDR=192.0.2.7\r\nXCLIENT LOGIN=dave\r\nEHLO client\r\n"
		   "XCLIENT ADDR=127.0.0.1 LOGIN=root\r\nMAIL FROM:<a@example.net>\r\nRSET\r\n"
		   "EHLO client\r\nXCLIENT LOGIN=root\r\nSTARTTLS\r\nQUIT\r\n");
	has(out, "250-XCLIENT ");
	has(out, "220 relay.example.org ESMTP Posthouse\r\n220 relay.example.org ESMTP Posthouse\r\n250-relay");
	out = strstr(out, "\r\n220 ");
	lacks(out, "250-XCLIENT");
	has(out, "550 5.7.0 Error: insufficient authorization\r\n250 2.1.0 OK\r\n");
	ck_assert_str_eq(w.policy.seen, "peer -;peer -;authenticated dave;mail dave;");
	/* also behind the handshake that the client makes with us through it, and when its first word is none */
	w.io.is_tls = false;
	w.io.more = send_part;
	part = "XCLIENT LOGIN=root\r\nQUIT\r\n";
	has(said("XCLIENT ADDR=192.0.2.7\r\nSTARTTLS\r\n"), "Ready to start TLS\r\n550 5.7.0");
	w.io.is_tls = false;
	has(said("XCLIENT ADDR=192.0.2.7\r\nrubbish\r\nXCLIENT LOGIN=root\r\nQUIT\r\n"), "550 5.7.0");
	has(said("XCLIENT ADDR=192.0.2.7\r\n\nXCLIENT LOGIN=root\r\nXCLIENT LOGIN=root\r\nQUIT\r\n"), "550 5.7.0");
	/* what was refused has told nothing */
	has(said("XCLIENT COLOUR=red\r\nEHLO x\r\nXCLIENT LOGIN=dave\r\nQUIT\r\n"), "250 HELP\r\n220 ");
}
END_TEST

/* ---- policy -------------------------------------------------------------------------- */

START_TEST(the_policy_is_asked)
{
	static const char dialogue[] = "EHLO x\r\nAUTH ONE YQ==\r\nMAIL FROM:<a@example.net>\r\n"
				       "RCPT TO:<b@example.org>\r\nDATA\r\n.\r\nQUIT\r\n";

	has(said(dialogue), "354 ");
	ck_assert_str_eq(w.policy.seen, "authenticated carol;mail carol;rcpt carol;");
	w.policy.refuse = "authenticated";
	w.policy.seen[0] = '\0';
	has(said(dialogue), "450 4.7.1 not authenticated now\r\n250 2.1.0 OK\r\n");
	ck_assert_str_eq(w.policy.seen, "authenticated carol;mail -;rcpt -;");
	w.policy.refuse = "mail";
	has(said(dialogue), "450 4.7.1 not mail now\r\n503 ");
	w.policy.refuse = "rcpt";
	has(said(dialogue), "450 4.7.1 not rcpt now\r\n554 5.5.1 Error: no valid recipients\r\n");
}
END_TEST

START_TEST(who_is_not_wanted_hears_why)
{
	struct smtp_reply refusal;

	smtp_reply_set(&refusal, 421, "4.7.0", "not now");
	w.peer.refusal = &refusal;
	ck_assert_str_eq(said("EHLO x\r\n"), "421 4.7.0 not now\r\n");
	ck_assert_int_eq(w.end, SESSION_REFUSED);
	smtp_reply_set(&refusal, 554, "5.7.1", "never");
	ck_assert_str_eq(said("EHLO x\r\n"), "554 5.7.1 never\r\n");
}
END_TEST

START_TEST(protocol_names)
{
	static const struct {
		bool tls, auth;
		const char *name;
	} cases[] = { { false, false, "ESMTP" }, { true, false, "ESMTPS" }, { false, true, "ESMTPA" }, { true, true, "ESMTPSA" } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char in[200];

		w.io.is_tls = cases[i].tls;
		snprintf(in, sizeof(in), "EHLO x\r\n%sMAIL FROM:<>\r\nRCPT TO:<a@example.org>\r\nDATA\r\n.\r\nQUIT\r\n",
			 cases[i].auth ? "AUTH ONE YQ==\r\n" : "");
		has(said(in), "354 ");
		ck_assert_str_eq(w.handler.seen.protocol, cases[i].name);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_secure");
	TCase *c = tcase_create("all");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, starttls_forgets_what_was_said_before);
	tcase_add_test(c, starttls_in_its_place_only);
	tcase_add_test(c, requiretls_under_tls_only);
	tcase_add_test(c, after_a_failed_handshake_nothing_is_said);
	tcase_add_test(c, tls_required_comes_first);
	tcase_add_test(c, auth_dialogues);
	tcase_add_test(c, auth_results);
	tcase_add_test(c, auth_where_it_is_offered_only);
	tcase_add_test(c, auth_lines_may_be_long);
	tcase_add_test(c, secrets_are_in_no_trace);
	tcase_add_test(c, secrets_are_in_no_refusal);
	tcase_add_test(c, secrets_are_not_kept);
	tcase_add_test(c, xclient_is_for_the_proxy_and_not_for_its_client);
	tcase_add_test(c, the_policy_is_asked);
	tcase_add_test(c, who_is_not_wanted_hears_why);
	tcase_add_test(c, protocol_names);
	suite_add_tcase(suite, c);
	return unit_run(suite);
}
