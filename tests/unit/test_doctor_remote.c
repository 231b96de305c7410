/* SPDX-License-Identifier: ISC */
/* The checks of an upstream (doctor/remote*.c) on sessions as they can go. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config/options.h"
#include "doctor_world.h"
#include "oauth/store.h"
#include "unit.h"

static struct fake_world w;
static struct config cfg;
static struct doctor_remote d;
static struct findings f;
static struct config_client_secrets secrets;

#define EHLO_SIMPLE "S: 220 up.test ESMTP", "C: EHLO relay.test", "S: 250-up.test", "S: 250 8BITMIME"

static void enter(void)
{
	struct config_upstream *u;
	struct err e;

	fake_world_init(&w);
	config_init(&cfg);
	u = config_add_upstream(&cfg, "main");
	u->remoteaddr = mem_array(1, sizeof(*u->remoteaddr));
	u->remoteaddr_count = 1;
	ck_assert_int_eq(endpoint_parse("up.test:587", -1, &u->remoteaddr[0].endpoint, &e), 0);
	d = (struct doctor_remote){ .world = &w.world, .timeout_ms = 7000, .cfg = &cfg, .upstream = u, .remote = &u->remoteaddr[0],
				    .secrets = &secrets };
	memset(&secrets, 0, sizeof(secrets));
	findings_init(&f);
}

static void leave(void)
{
	doctor_remote_release(&d);
	findings_release(&f);
	config_release(&cfg);
}

/* All checks, on a fresh session. */
static void run(void)
{
	doctor_remote_release(&d);
	d.talked = false;
	d.dialogue = (struct dialogue){ 0 };
	w.connects = 0;
	findings_release(&f);
	doctor_run(doctor_remote_checks, doctor_remote_check_count, &d, &f, NULL, NULL);
}

static void log_in(void)
{
	if (!d.upstream->user)
		cfg.upstream[0].user = mem_strdup("u@x.example");
	secrets.password = (char *)(uintptr_t)"word";
}

static void ends(enum upstream_how how, enum upstream_phase phase, int code, const char *text)
{
	w.outcome.ready = false;
	w.outcome.why.how = how;
	w.outcome.why.phase = phase;
	smtp_reply_set(&w.outcome.why.reply, code, "", "%s", text);
}

/* ---- the way there ------------------------------------------------------------------- */

START_TEST(test_resolve)
{
	w.resolve_error = "Name or service not known";
	run();
	expect_advice(&f, "resolve", FINDING_FAILED, "Name or service not known", "getent ahosts up.test");
	expect(&f, "connect", FINDING_SKIPPED, "not reached: resolve failed");
	expect(&f, "auth", FINDING_SKIPPED, "not reached: resolve failed");
	ck_assert_uint_eq(w.talks, 0);
	w.resolve_error = NULL;
	w.resolve[0] = NULL;
	run();
	expect(&f, "resolve", FINDING_FAILED, "no address");
	w.resolve[0] = "192.0.2.1";
	w.resolve[1] = "2001:db8::1";
	run();
	expect(&f, "resolve", FINDING_OK, "up.test is 192.0.2.1, [2001:db8::1]");
	strcpy(cfg.upstream[0].remoteaddr[0].endpoint.host, "192.0.2.9");
	run();
	expect(&f, "resolve", FINDING_OK, "192.0.2.9 needs no look-up");
}
END_TEST

START_TEST(test_connect)
{
	w.resolve[1] = "2001:db8::1";
	w.connect_error[1] = ENETUNREACH;
	run();
	expect(&f, "connect", FINDING_OK, "192.0.2.1:587 in ");
	expect_advice(&f, "connect", FINDING_WARNING, "[2001:db8::1]:587: Network is unreachable", "address_family");
	ck_assert_uint_eq(w.talks, 1);
	w.connect_error[0] = ECONNREFUSED;
	run();
	expect_advice(&f, "connect", FINDING_FAILED, "192.0.2.1:587: Connection refused", "right one");
	expect(&f, "connect", FINDING_FAILED, "unreachable");
	expect(&f, "greeting", FINDING_SKIPPED, "connect failed");
	ck_assert_uint_eq(w.talks, 1);
	cfg.upstream[0].remoteaddr[0].lmtp = true; /* which has no such ports */
	run();
	expect_advice(&f, "connect", FINDING_FAILED, "192.0.2.1:587: Connection refused", "LMTP service");
}
END_TEST

/* What is asked of the client: the relay's own settings, but no longer times, and no user without a password. */
START_TEST(test_settings)
{
	cfg.upstream[0].greeting_timeout_ms = 3000;
	log_in();
	run();
	ck_assert_int_eq(w.asked.connect_timeout_ms, 7000);
	ck_assert_int_eq(w.asked.greeting_timeout_ms, 3000);
	ck_assert_int_eq(w.asked.final_timeout_ms, cfg.upstream[0].final_timeout_ms);
	ck_assert_str_eq(w.asked.user, "u@x.example");
	ck_assert_str_eq(w.asked.password, "word");
	ck_assert_int_eq(w.asked.tls, UPSTREAM_TLS_REQUIRED);
	d.secrets = NULL;
	d.secrets_error = "unreadable";
	run();
	ck_assert_ptr_null(w.asked.user);
	expect(&f, "settings", FINDING_WARNING, "unreadable");
}
END_TEST

START_TEST(test_greeting)
{
	static const char *const refused[] = { "S: 554 5.7.1 go away", NULL };

	w.script = refused;
	ends(UPSTREAM_ANSWERED, UPSTREAM_GREETING, 554, "go away");
	run();
	expect_advice(&f, "greeting", FINDING_FAILED, "554 5.7.1 go away", "operator");
	expect(&f, "tls", FINDING_SKIPPED, "not reached: greeting failed");
	expect(&f, "ehlo", FINDING_SKIPPED, "not reached: greeting failed");
	w.script = NULL;
	ends(UPSTREAM_NO_ANSWER, UPSTREAM_GREETING, 0, "timed out");
	run();
	expect_advice(&f, "greeting", FINDING_FAILED, "timed out", "SMTP server");
	cfg.upstream[0].remoteaddr[0].endpoint.port = 465;
	run();
	expect_advice(&f, "greeting", FINDING_FAILED, "timed out", "tls = implicit");
	ck_assert_uint_eq(w.talks, 3);
}
END_TEST

/* ---- encryption ------------------------------------------------------------------------ */

START_TEST(test_tls)
{
	static const char *const offered[] = { "S: 220 up", "C: EHLO r", "S: 250-up", "S: 250 STARTTLS", NULL };
	static const char *const plain[] = { EHLO_SIMPLE, NULL };

	w.script = plain;
	w.outcome.ready = w.outcome.features.esmtp = true;
	cfg.upstream[0].tls = UPSTREAM_TLS_OPPORTUNISTIC;
	run();
	expect_advice(&f, "tls", FINDING_WARNING, "offers no STARTTLS", "587");
	w.script = offered;
	run();
	expect_advice(&f, "tls", FINDING_WARNING, "the handshake failed", "tls = required");
	cfg.upstream[0].tls = UPSTREAM_TLS_NONE;
	run();
	expect(&f, "tls", FINDING_WARNING, "tls = none");
	strcpy(cfg.upstream[0].remoteaddr[0].endpoint.host, "127.0.0.1");
	run();
	expect(&f, "tls", FINDING_OK, "does not leave this machine");
	strcpy(cfg.upstream[0].remoteaddr[0].endpoint.host, "up.test");

	w.outcome.features.tls = w.outcome.has_tls = true;
	strcpy(w.outcome.tls.version, "TLSv1.3");
	strcpy(w.outcome.tls.cipher, "AES");
	cfg.upstream[0].tls = UPSTREAM_TLS_OPPORTUNISTIC;
	run();
	expect_advice(&f, "tls", FINDING_WARNING, "not verified", "tls = required");
	cfg.upstream[0].tls = UPSTREAM_TLS_REQUIRED;
	w.outcome.tls.verified = UPSTREAM_VERIFIED_CA;
	run();
	expect(&f, "tls", FINDING_OK, "its certificate is verified");
	expect(&f, "tls", FINDING_OK, "TLSv1.3, AES");
	strcpy(w.outcome.tls.version, "TLSv1.1");
	w.outcome.tls.verified = UPSTREAM_VERIFIED_PIN;
	run();
	expect(&f, "tls", FINDING_OK, "pinned");
	expect(&f, "tls", FINDING_WARNING, "TLSv1.1, AES: that version is old");
}
END_TEST

START_TEST(test_certificates)
{
	static const char *const plain[] = { EHLO_SIMPLE, NULL };
	const int64_t day = INT64_C(86400000000);
	struct upstream_certificate *c = w.outcome.tls.chain;

	w.script = plain;
	w.outcome.ready = w.outcome.features.tls = w.outcome.has_tls = true;
	w.outcome.tls.verified = UPSTREAM_VERIFIED_CA;
	w.outcome.tls.chain_count = 2;
	for (int i = 0; i < 2; i++) {
		snprintf(c[i].subject, sizeof(c[i].subject), "CN=c%d", i);
		strcpy(c[i].issuer, "CN=ca");
		c[i].not_before_wall_us = WORLD_NOW_US - 10 * day;
		c[i].not_after_wall_us = WORLD_NOW_US + 15 * day;
	}
	strcpy(c[0].names, "up.test");
	strcpy(c[0].pin, "sha256//AAAA");
	run();
	expect(&f, "tls", FINDING_OK, "certificate 1: CN=c0 (up.test), by CN=ca");
	expect(&f, "tls", FINDING_OK, "certificate 2: CN=c1, by CN=ca");
	expect(&f, "tls", FINDING_OK, "sha256//AAAA");
	c[1].not_after_wall_us = WORLD_NOW_US + 13 * day;
	run();
	expect_advice(&f, "tls", FINDING_WARNING, "certificate 2", "renew it soon");
	c[1].not_after_wall_us = WORLD_NOW_US - 3 * day;
	w.outcome.tls.verified = UPSTREAM_NOT_VERIFIED;
	ends(UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0, "certificate not accepted: certificate has expired");
	run();
	expect_advice(&f, "tls", FINDING_FAILED, "certificate has expired", "renew");
	expect_advice(&f, "tls", FINDING_FAILED, "over since 3 days", "clock");
	expect(&f, "ehlo", FINDING_SKIPPED, "tls failed");
	expect(&f, "auth", FINDING_SKIPPED, "not reached: tls failed");
	c[1].not_before_wall_us = WORLD_NOW_US + day;
	c[1].not_after_wall_us = WORLD_NOW_US + 20 * day;
	run();
	expect_advice(&f, "tls", FINDING_FAILED, "certificate 2", "clock");
}
END_TEST

/* Reasons as OpenSSL and libcurl word them, and what is to be said of each. */
START_TEST(test_tls_reasons)
{
	static const struct {
		const char *reason, *advice;
	} cases[] = {
		{ "the server offers no STARTTLS, and TLS is required", "right port" },
		{ "certificate not accepted: certificate has expired (the server's ...)", "renew" },
		{ "certificate not accepted: certificate is not yet valid", "clock" },
		{ "certificate not accepted: it is for a.example, not for the host name 'x'", "remoteaddr" },
		{ "SSL: no alternative certificate subject name matches target host name 'x'", "remoteaddr" },
		{ "certificate not accepted: unable to get local issuer certificate", "ca-certificates" },
		{ "certificate not accepted: self-signed certificate", "tls_ca_file" },
		{ "certificate not accepted: self-signed certificate in certificate chain", "authority of your own" },
		{ "certificate not accepted: EE certificate key too weak", "too weak" },
		{ "OpenSSL/3: error:1408F10B:SSL routines::wrong version number", "from the first byte" },
		{ "tlsv1 alert protocol version", "old versions" },
		{ "something else", "openssl s_client -connect up.test:587 -starttls smtp" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ends(UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0, cases[i].reason);
		run();
		expect_advice(&f, "tls", FINDING_FAILED, cases[i].reason, cases[i].advice);
	}
	ends(UPSTREAM_ANSWERED, UPSTREAM_TLS_HANDSHAKE, 454, "TLS not available due to local problem");
	run();
	expect_advice(&f, "tls", FINDING_FAILED, "454 TLS not available", "offers STARTTLS and refuses it");
	ends(UPSTREAM_NO_ANSWER, UPSTREAM_TLS_HANDSHAKE, 0, "something else");
	run();
	/* TLS from the first byte: nothing was greeted */
	expect(&f, "greeting", FINDING_SKIPPED, "TLS comes first");
	cfg.upstream[0].tls = UPSTREAM_TLS_IMPLICIT;
	run();
	for (size_t i = 0; i < f.count; i++)
		ck_assert(!f.item[i].advice || !strstr(f.item[i].advice, "-starttls"));
}
END_TEST

/* ---- EHLO ------------------------------------------------------------------------------ */

START_TEST(test_keywords)
{
	static const char *const script[] = {
		"S: 220 up",	      "C: EHLO r",	     "S: 250-up",
		"S: 250-SIZE 5",      "S: 250-OLD",	     "S: 250 STARTTLS",
		"C: STARTTLS",	      "S: 220 go",	     "C: EHLO r",
		"S: 250-up",	      "S: 250-size 1048576", "S: 250-PIPELINING",
		"S: 250-AUTH=PLAIN",  "S: 250-X-NEW a b",    "S: 250-LIMITS RCPTMAX=20 MAILMAX=5",
		"S: 250-REQUIRETLS",  "S: 250-CHUNKING",     "S: 250-DELIVERBY 240",
		"S: 250 HELP",	      "C: MAIL FROM:<>",
		"S: 250-NOTEHLO",     "S: 250 x",	     NULL,
	};

	w.script = script;
	w.outcome.ready = w.outcome.features.esmtp = w.outcome.features.tls = true;
	cfg.enable_smtputf8 = cfg.enable_binarymime = true;
	run();
	expect_advice(&f, "ehlo", FINDING_WARNING, "SIZE: messages up to 1.0M, but clients may send 32M", "data_size_limit = 1048576");
	expect(&f, "ehlo", FINDING_OK, "PIPELINING: ");
	expect(&f, "ehlo", FINDING_OK, "AUTH: PLAIN; no user is configured");
	expect(&f, "ehlo", FINDING_OK, "X-NEW a b: not known");
	expect(&f, "ehlo", FINDING_OK, "LIMITS: RCPTMAX=20 MAILMAX=5; they are kept");
	expect(&f, "ehlo", FINDING_OK, "CHUNKING: content in counted pieces, for BODY=BINARYMIME only");
	expect(&f, "ehlo", FINDING_OK, "DELIVERBY: times to deliver by (BY=) are passed on, from 240 seconds on");
	expect_advice(&f, "ehlo", FINDING_WARNING, "without BINARYMIME", "enable_binarymime = no");
	expect(&f, "ehlo", FINDING_OK, "REQUIRETLS");
	expect_advice(&f, "ehlo", FINDING_WARNING, "without 8BITMIME", "eight_bit = pass");
	expect_advice(&f, "ehlo", FINDING_WARNING, "without SMTPUTF8", "enable_smtputf8 = no");
	expect(&f, "ehlo", FINDING_OK, "without DSN");
	for (size_t i = 0; i < f.count; i++)
		ck_assert(!strstr(f.item[i].what, "OLD") && !strstr(f.item[i].what, "NOTEHLO"));
	ck_assert_str_eq(dialogue_keyword(&d.dialogue, true, 1), "OLD");
	ck_assert_ptr_null(dialogue_keyword(&d.dialogue, true, 3));
	ck_assert_str_eq(dialogue_announced(&d.dialogue, false, "limits"), "RCPTMAX=20 MAILMAX=5");
	ck_assert_ptr_null(dialogue_announced(&d.dialogue, false, "SIZ"));
	/* all that we have is enough */
	cfg.data_size_limit_bytes = 1000;
	cfg.enable_smtputf8 = cfg.enable_binarymime = false;
	cfg.upstream[0].eight_bit = UPSTREAM_EIGHTBIT_PASS;
	run();
	for (size_t i = 0; i < f.count; i++)
		ck_assert_msg(strcmp(f.item[i].check, "ehlo") != 0 || f.item[i].level == FINDING_OK, "%s", f.item[i].what);
}
END_TEST

/* Without a spool nothing is taken that the upstream cannot have: clients are not offered it. */
START_TEST(test_keywords_of_a_proxy)
{
	static const char *const script[] = {
		"S: 220 up", "C: EHLO r", "S: 250-up", "S: 250-SIZE 1048576", "S: 250-CHUNKING", "S: 250 HELP", NULL,
	};

	w.script = script;
	w.outcome.ready = w.outcome.features.esmtp = true;
	free(cfg.handler);
	cfg.handler = mem_strdup("proxy");
	cfg.enable_smtputf8 = cfg.enable_binarymime = true;
	run();
	expect(&f, "ehlo", FINDING_OK, "SIZE: messages up to 1.0M; clients are told the smaller");
	expect(&f, "ehlo", FINDING_OK, "CHUNKING: content in counted pieces, for BODY=BINARYMIME only");
	expect(&f, "ehlo", FINDING_OK, "without 8BITMIME: clients are not offered it");
	expect(&f, "ehlo", FINDING_OK, "without SMTPUTF8: clients are not offered it");
	expect(&f, "ehlo", FINDING_OK, "without DELIVERBY: clients are not offered it");
}
END_TEST

START_TEST(test_no_ehlo)
{
	static const char *const helo[] = { "S: 220 up", "C: EHLO r", "S: 502 what?", "C: HELO r", "S: 250 up", NULL };
	static const char *const refused[] = { "S: 220 up", "C: EHLO r", "S: 550 bad name", "C: HELO r", "S: 550 bad name", NULL };
	static const char *const bare[] = { "S: 220 up", "C: EHLO r", "S: 250 up", NULL };

	w.script = helo;
	w.outcome.ready = true;
	cfg.upstream[0].tls = UPSTREAM_TLS_NONE;
	run();
	expect_advice(&f, "ehlo", FINDING_WARNING, "only HELO", "inspect esmtp");
	w.script = bare; /* without any keyword */
	w.outcome.features.esmtp = true;
	run();
	expect(&f, "ehlo", FINDING_WARNING, "without 8BITMIME");
	w.script = refused;
	w.outcome.features.esmtp = false;
	ends(UPSTREAM_ANSWERED, UPSTREAM_GREETING, 550, "bad name");
	run();
	expect_advice(&f, "ehlo", FINDING_FAILED, "550 bad name", "hostname");
	expect(&f, "auth", FINDING_SKIPPED, "not reached: ehlo failed");
}
END_TEST

/* ---- log-in ---------------------------------------------------------------------------- */

START_TEST(test_auth)
{
	static const char *const script[] = { "S: 220 up", "C: EHLO r", "S: 250-up", "S: 250 AUTH PLAIN LOGIN", "C: AUTH PLAIN ***",
					      "S: 235 yes", NULL };
	static const struct {
		int code;
		const char *text, *advice;
	} refusals[] = {
		{ 535, "5.7.8 wrong", "are both right" },
		{ 534, "5.7.9 Application-specific password required", "password for this program" },
		{ 535, "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant", "smtp_auth_disabled" },
		{ 535, "5.7.139 Authentication unsuccessful, basic authentication is disabled", "OAuth" },
		{ 454, "4.7.0 try later", "temporary" },
		{ 0, "a user is configured, but the server offers no AUTH", "another port" },
	};

	w.script = script;
	w.outcome.ready = w.outcome.features.tls = w.outcome.features.esmtp = true;
	run();
	expect(&f, "auth", FINDING_OK, "no user is configured, though it offers AUTH");
	log_in();
	run();
	expect(&f, "auth", FINDING_OK, "logged in as \"u@x.example\" with PLAIN");
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		ends(refusals[i].code ? UPSTREAM_ANSWERED : UPSTREAM_NO_ANSWER, UPSTREAM_AUTH, refusals[i].code, refusals[i].text);
		run();
		expect_advice(&f, "auth", FINDING_FAILED, refusals[i].text, refusals[i].advice);
		expect(&f, "tls", FINDING_OK, "verified");
		expect(&f, "ehlo", FINDING_OK, "AUTH: PLAIN LOGIN");
	}
	d.secrets = NULL;
	d.secrets_error = "secret file /x is empty";
	w.outcome.ready = true;
	run();
	expect(&f, "auth", FINDING_SKIPPED, "secret file /x is empty");
}
END_TEST

/* Only a token, which the file has or has not; it is never asked for from here. */
START_TEST(test_token)
{
	static const char *const script[] = { EHLO_SIMPLE, "C: AUTH XOAUTH2 ***", "S: 235 yes", NULL };
	const int64_t now = WORLD_NOW_US / 1000000;
	struct oauth_stored s = { .access_token = mem_strdup("hush"), .refresh_token = mem_strdup("hush2"), .expires_wall_s = now + 900 };
	char folder[] = "/tmp/posthouse-token-XXXXXX";
	struct config_upstream *u = &cfg.upstream[0];
	struct err e;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	u->oauth = OAUTH_DEVICE_CODE;
	u->user = mem_strdup("u@x.example");
	u->oauth_token_file = mem_printf("%s/token", folder);
	w.script = script;
	w.outcome.ready = true;
	run();
	expect_advice(&f, "token", FINDING_FAILED, "there is none", "posthouse oauth login main");
	expect(&f, "auth", FINDING_SKIPPED, "not tried: there is no valid token");
	ck_assert_ptr_null(w.asked.user);
	ck_assert_int_eq(oauth_store_save(u->oauth_token_file, &s, &e), 0);
	run();
	expect(&f, "token", FINDING_OK, "and then refreshed");
	expect(&f, "auth", FINDING_OK, "logged in as \"u@x.example\" with XOAUTH2");
	ck_assert_str_eq(w.asked.bearer(w.asked.bearer_ctx), "hush");
	for (size_t i = 0; i < f.count; i++)
		ck_assert(!strstr(f.item[i].what, "hush"));
	s.expires_wall_s = now - 1;
	s.last_error = mem_strdup("the token endpoint is out");
	ck_assert_int_eq(oauth_store_save(u->oauth_token_file, &s, &e), 0);
	run();
	expect_advice(&f, "token", FINDING_WARNING, "the token is over", "posthouse oauth refresh main");
	expect(&f, "token", FINDING_WARNING, "the token endpoint is out");
	expect(&f, "auth", FINDING_SKIPPED, "no valid token");
	free(s.refresh_token);
	s.refresh_token = NULL;
	ck_assert_int_eq(oauth_store_save(u->oauth_token_file, &s, &e), 0);
	run();
	expect_advice(&f, "token", FINDING_FAILED, "nothing to get a new one with", "posthouse oauth login main");
	ck_assert_int_eq(chmod(u->oauth_token_file, 0644), 0);
	run();
	expect(&f, "token", FINDING_FAILED, "token");
	oauth_stored_release(&s);
	ck_assert_int_eq(unlink(u->oauth_token_file), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(test_proxy)
{
	cfg.upstream[0].proxy = mem_strdup("socks5h://proxy.test:1080");
	w.connect_error[0] = ECONNREFUSED;
	run();
	expect(&f, "resolve", FINDING_OK, "proxy proxy.test is 192.0.2.1");
	expect(&f, "connect", FINDING_FAILED, "192.0.2.1:1080");
}
END_TEST

START_TEST(test_source)
{
	cfg.upstream[0].source_address.ipv4 = mem_strdup("192.0.2.7");
	w.connect_error[0] = ECONNREFUSED; /* from elsewhere */
	run();
	expect(&f, "connect", FINDING_OK, "with the session");
	ck_assert_uint_eq(w.connects, 0);
	ck_assert_str_eq(w.asked.source_ipv4, "192.0.2.7");
}
END_TEST

START_TEST(test_family)
{
	w.resolve[1] = "2001:db8::1";
	cfg.upstream[0].address_family = UPSTREAM_FAMILY_IPV6;
	run();
	expect(&f, "resolve", FINDING_OK, "up.test is [2001:db8::1]");
	w.resolve[1] = NULL;
	run();
	expect(&f, "resolve", FINDING_FAILED, "no address of that address_family");
}
END_TEST

/* ---- a message -------------------------------------------------------------------------- */

START_TEST(test_send)
{
	static const char *const plain[] = { EHLO_SIMPLE, NULL };
	struct submission message = { .fd = -1 };

	envelope_init(&message.env);
	envelope_set(&message.env.sender, "me@x.example", 12);
	envelope_add_rcpt(&message.env, "you@x.example", 13);
	w.script = plain;
	w.outcome.ready = true;
	run();
	for (size_t i = 0; i < f.count; i++)
		ck_assert_str_ne(f.item[i].check, "send");
	d.message = &message;
	run();
	expect(&f, "send", FINDING_SKIPPED, "no test message was sent");
	w.outcome.sent = true;
	w.outcome.outcome.how = UPSTREAM_ANSWERED;
	w.outcome.outcome.phase = UPSTREAM_FINAL_DOT;
	smtp_reply_set(&w.outcome.outcome.reply, 250, "2.0.0", "queued as 7");
	run();
	expect_advice(&f, "send", FINDING_OK, "from <me@x.example> to <you@x.example> was taken: 250 2.0.0 queued as 7", "arrives");
	smtp_reply_set(&w.outcome.outcome.reply, 554, "5.2.252", "SendAsDenied");
	run();
	expect_advice(&f, "send", FINDING_FAILED, "554 5.2.252 SendAsDenied", "--from");
	w.outcome.outcome.phase = UPSTREAM_RCPT;
	smtp_reply_set(&w.outcome.outcome.reply, 554, "5.7.1", "Relay access denied");
	run();
	expect_advice(&f, "send", FINDING_FAILED, "at RCPT: 554 5.7.1 Relay access denied", "does not relay");
	w.outcome.outcome.phase = UPSTREAM_FINAL_DOT;
	w.outcome.outcome.how = UPSTREAM_NO_ANSWER;
	smtp_reply_set(&w.outcome.outcome.reply, 0, "", "lost");
	run();
	expect(&f, "send", FINDING_FAILED, "may have been accepted");
	envelope_release(&message.env);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("doctor_remote");
	TCase *c = tcase_create("checks");
	const TTest *const tests[] = { test_resolve,	  test_connect,	 test_settings, test_greeting, test_tls, test_certificates,
				       test_tls_reasons, test_keywords, test_keywords_of_a_proxy, test_no_ehlo,  test_auth,	    test_token, test_proxy, test_source, test_family, test_send };

	tcase_add_checked_fixture(c, enter, leave);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
