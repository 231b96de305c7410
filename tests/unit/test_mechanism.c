/* SPDX-License-Identifier: ISC */
/*
 * SASL mechanisms, server side, as a client sees them through the whole way from a worker to the child of the auth
 * process: libgsasl's client side, the messages of the RFCs, and what is wrong in every place.
 */
#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "auth/introspect.h"
#include "auth_world.h"
#include "base/clock.h"
#include "smtp/mechanism.h"
#include "unit.h"

static struct auth_world w;

static void begin_world(void)
{
	auth_world_init(&w);
	auth_world_start(&w);
}

static const char *decoded(const char *base64)
{
	static char out[20000];
	int n = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)base64, (int)strlen(base64));

	ck_assert_int_ge(n, 0);
	out[n] = '\0';
	return out;
}

/* ---- libgsasl as the client ----------------------------------------------------------------- */

struct client_says {
	const char *authid, *authzid, *password;
	const char *cb_exporter, *cb_unique; /* base64 */
};

static int client_callback(Gsasl *ctx, Gsasl_session *session, Gsasl_property property)
{
	const struct client_says *says = gsasl_callback_hook_get(ctx);
	const char *value = NULL;

	switch (property) {
	case GSASL_AUTHID:
		value = says->authid;
		break;
	case GSASL_AUTHZID:
		value = says->authzid;
		break;
	case GSASL_PASSWORD:
		value = says->password;
		break;
	case GSASL_CB_TLS_EXPORTER:
		value = says->cb_exporter;
		break;
	case GSASL_CB_TLS_UNIQUE:
		value = says->cb_unique;
		break;
	default:
		break;
	}
	return value ? gsasl_property_set(session, property, value) : GSASL_NO_CALLBACK;
}

/* The whole exchange; with_initial: the client's first message goes with AUTH. *client: what the client thinks of it. */
static enum authenticator_result run_client(const char *mechanism, const struct client_says *says,
					    bool with_initial, int *client)
{
	enum authenticator_result result = AUTHENTICATOR_CONTINUE;
	bool server_first = strcmp(mechanism, "CRAM-MD5") == 0 || strcmp(mechanism, "LOGIN") == 0;
	Gsasl_session *session;
	char *out = NULL;
	Gsasl *ctx;

	ck_assert_int_eq(gsasl_init(&ctx), GSASL_OK);
	gsasl_callback_set(ctx, client_callback);
	gsasl_callback_hook_set(ctx, (void *)(uintptr_t)says);
	ck_assert_int_eq(gsasl_client_start(ctx, mechanism, &session), GSASL_OK);
	*client = GSASL_NEEDS_MORE;
	if (with_initial && !server_first) {
		*client = gsasl_step64(session, "", &out);
		ck_assert(*client == GSASL_OK || *client == GSASL_NEEDS_MORE);
		result = auth_begin(&w, mechanism, out);
	} else {
		result = auth_begin(&w, mechanism, NULL);
	}
	while (result == AUTHENTICATOR_CONTINUE) {
		gsasl_free(out);
		out = NULL;
		*client = gsasl_step64(session, w.answer.challenge, &out);
		if (*client != GSASL_OK && *client != GSASL_NEEDS_MORE)
			break;
		result = auth_step(&w, out);
	}
	w.asker.authenticator.ops->cancel(&w.asker.authenticator);
	gsasl_free(out);
	gsasl_finish(session);
	gsasl_done(ctx);
	return result;
}

static enum authenticator_result run(const char *mechanism, const struct client_says *says, bool with_initial)
{
	int client;

	return run_client(mechanism, says, with_initial, &client);
}

START_TEST(every_mechanism_with_libgsasl)
{
	static const char *const mechanisms[] = { "PLAIN", "CRAM-MD5", "SCRAM-SHA-256",
						  "SCRAM-SHA-256-PLUS" };
	struct client_says says = { .authid = "alice", .password = "secret" };
	const char *binding;
	int client;

	begin_world();
	w.client.tls = &w.tls;
	binding = auth_base64((const char *)w.tls.binding, w.tls.binding_len);
	for (size_t i = 0; i < 4; i++) {
		says.cb_exporter = strstr(mechanisms[i], "PLUS") ? binding : NULL;
		for (int initial = 0; initial < 2; initial++) {
			says.password = "secret";
			ck_assert_msg(run_client(mechanisms[i], &says, initial, &client) == AUTHENTICATOR_OK,
				      "%s", mechanisms[i]);
			ck_assert_int_eq(client, GSASL_OK); /* with SCRAM: the server proved itself, too */
			ck_assert_str_eq(w.answer.user, "alice");
			says.password = "Secret";
			ck_assert_int_eq(run(mechanisms[i], &says, initial), AUTHENTICATOR_FAILED);
			says.authid = "nobody";
			ck_assert_int_eq(run(mechanisms[i], &says, initial), AUTHENTICATOR_FAILED);
			says.authid = "alice";
		}
	}
	auth_world_release(&w);
}
END_TEST

START_TEST(who_acts_as_another)
{
	static const char *const mechanisms[] = { "PLAIN", "SCRAM-SHA-256" };
	struct client_says says = { .authid = "alice", .password = "secret" };

	begin_world();
	for (size_t i = 0; i < 2; i++) {
		says.authzid = "alice";
		ck_assert_int_eq(run(mechanisms[i], &says, true), AUTHENTICATOR_OK);
		says.authzid = "bob";
		ck_assert_int_eq(run(mechanisms[i], &says, true), AUTHENTICATOR_FAILED);
	}
	ck_assert_ptr_nonnull(strstr(auth_world_log(&w), "reason=\"it wants to act as another user\""));
	auth_world_release(&w);
}
END_TEST

/* ---- channel binding -------------------------------------------------------------------------- */

START_TEST(channel_binding)
{
	struct client_says says = { .authid = "scram", .password = "pencil" };
	const char *right, *wrong = AUTH_BASE64("0123456789abcdef0123456789abcdeX");

	begin_world();
	w.client.tls = &w.tls;
	right = auth_base64((const char *)w.tls.binding, w.tls.binding_len);
	says.cb_exporter = right;
	ck_assert_int_eq(run("SCRAM-SHA-256-PLUS", &says, true), AUTHENTICATOR_OK);
	says.cb_exporter = wrong;
	ck_assert_int_eq(run("SCRAM-SHA-256-PLUS", &says, true), AUTHENTICATOR_FAILED);
	/* tls-unique, before TLS 1.3 */
	w.tls.binding_type = "tls-unique";
	says = (struct client_says){ .authid = "scram", .password = "pencil", .cb_unique = right };
	ck_assert_int_eq(run("SCRAM-SHA-256-PLUS", &says, true), AUTHENTICATOR_OK);
	says.cb_unique = wrong;
	ck_assert_int_eq(run("SCRAM-SHA-256-PLUS", &says, true), AUTHENTICATOR_FAILED);
	/* a type that this connection does not have */
	says = (struct client_says){ .authid = "scram", .password = "pencil", .cb_exporter = right };
	ck_assert_int_eq(run("SCRAM-SHA-256-PLUS", &says, true), AUTHENTICATOR_FAILED);
	auth_world_release(&w);
}
END_TEST

/* RFC 5802 6: "y" says that the client could bind, and thinks the server cannot. Somebody has changed the offer. */
START_TEST(downgrade)
{
	begin_world();
	ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-256", AUTH_BASE64("y,,n=scram,r=abc")),
			 AUTHENTICATOR_CONTINUE);
	w.client.tls = &w.tls;
	ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-256", AUTH_BASE64("y,,n=scram,r=abc")),
			 AUTHENTICATOR_FAILED);
	w.tls.binding_type = "tls-unique";
	ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-256", AUTH_BASE64("y,,n=scram,r=abc")),
			 AUTHENTICATOR_FAILED);
	/* it was not offered, so the client is right */
	w.asker.allowed = smtp_mechanism_set("SCRAM-SHA-256");
	ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-256", AUTH_BASE64("y,,n=scram,r=abc")),
			 AUTHENTICATOR_CONTINUE);
	w.asker.allowed = SMTP_MECHANISM_ALL;
	/* a binding without -PLUS, and -PLUS without one */
	ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-256", AUTH_BASE64("p=tls-unique,,n=scram,r=abc")),
			 AUTHENTICATOR_MALFORMED);
	ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-256-PLUS", AUTH_BASE64("n,,n=scram,r=abc")),
			 AUTHENTICATOR_MALFORMED);
	ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-256-PLUS", AUTH_BASE64("y,,n=scram,r=abc")),
			 AUTHENTICATOR_MALFORMED);
	auth_world_release(&w);
}
END_TEST

/* ---- SCRAM ---------------------------------------------------------------------------------------- */

static void first_of(const char *name, char salt[64], char iterations[32])
{
	const char *challenge;
	char text[300];
	int len = snprintf(text, sizeof(text), "n,,n=%s,r=rOprNGfwEbeRWgbNEkqO", name);

	ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-256", auth_base64(text, (size_t)len)),
			 AUTHENTICATOR_CONTINUE);
	challenge = decoded(w.answer.challenge);
	ck_assert_int_eq(sscanf(challenge, "r=%*[^,],s=%63[^,],i=%31s", salt, iterations), 2);
	/* the client's nonce and ours */
	ck_assert_int_eq(strncmp(challenge, "r=rOprNGfwEbeRWgbNEkqO", 22), 0);
}

START_TEST(scram_tells_nobody_who_exists)
{
	char salt[3][64], iterations[3][32];

	begin_world();
	/* RFC 7677 3 */
	first_of("scram", salt[0], iterations[0]);
	ck_assert_str_eq(salt[0], "W22ZaJ0SNY7soEsUEjb6gQ==");
	ck_assert_str_eq(iterations[0], "4096");
	first_of("nobody", salt[0], iterations[0]);
	first_of("nobody", salt[1], iterations[1]);
	first_of("nobody2", salt[2], iterations[2]);
	ck_assert_str_eq(salt[0], salt[1]);
	ck_assert_str_eq(iterations[0], iterations[1]);
	ck_assert_str_ne(salt[0], salt[2]);
	ck_assert_uint_eq(strlen(salt[0]), 24);
	/* the made-up password is not one that can be had */
	ck_assert_int_eq(
		auth_step(&w, AUTH_BASE64("c=biws,r=x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")),
		AUTHENTICATOR_FAILED);
	auth_world_release(&w);
}
END_TEST

/* A name that is none has made-up secrets, too; it may be as long as a line. */
START_TEST(names_that_are_none_in_scram_and_cram_md5)
{
	char text[9000];
	int len;

	begin_world();
	len = snprintf(text, sizeof(text), "n,,n=%08000d,r=abc", 0);
	ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-256", auth_base64(text, (size_t)len)),
			 AUTHENTICATOR_CONTINUE);
	ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-256", AUTH_BASE64("n,,n=a:b,r=abc")),
			 AUTHENTICATOR_CONTINUE);
	len = snprintf(text, sizeof(text), "%08000d 0123456789abcdef0123456789abcdef", 0);
	ck_assert_int_eq(auth_begin(&w, "CRAM-MD5", NULL), AUTHENTICATOR_CONTINUE);
	ck_assert_int_eq(auth_step(&w, auth_base64(text, (size_t)len)), AUTHENTICATOR_FAILED);
	auth_world_release(&w);
}
END_TEST

START_TEST(scram_proofs_that_are_wrong)
{
	static const char *const last[] = { "c=biws,r=%s,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
					    "c=biws,r=%s,p=AAAA",
					    "c=eSws,r=%s,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
					    "c=biws,r=%sx,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=" };

	begin_world();
	for (size_t i = 0; i < sizeof(last) / sizeof(*last); i++) {
		char nonce[200], text[400];
		enum authenticator_result result;

		ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-256", AUTH_BASE64("n,,n=scram,r=abc")),
				 AUTHENTICATOR_CONTINUE);
		ck_assert_int_eq(sscanf(decoded(w.answer.challenge), "r=%199[^,]", nonce), 1);
		_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wformat-nonliteral\"")
			snprintf(text, sizeof(text), last[i], nonce);
		_Pragma("GCC diagnostic pop") result = auth_step(&w, auth_base64(text, strlen(text)));
		ck_assert_msg(result == AUTHENTICATOR_FAILED || result == AUTHENTICATOR_MALFORMED, "%zu: %d",
			      i, result);
	}
	auth_world_release(&w);
}
END_TEST

START_TEST(a_user_without_the_secret)
{
	struct client_says says = { .authid = "scram", .password = "pencil" };

	begin_world();
	ck_assert_int_eq(run("SCRAM-SHA-256", &says, true), AUTHENTICATOR_OK);
	ck_assert_int_eq(run("CRAM-MD5", &says, false), AUTHENTICATOR_FAILED);
	ck_assert_ptr_nonnull(strstr(auth_world_log(&w),
				     "user=scram mechanism=CRAM-MD5 failures=1 "
				     "reason=\"the user has no secret for this mechanism\""));
	says.authid = "later";
	ck_assert_int_eq(run("SCRAM-SHA-256", &says, true), AUTHENTICATOR_TEMPORARY);
	ck_assert_int_eq(run("CRAM-MD5", &says, false), AUTHENTICATOR_TEMPORARY);
	auth_world_release(&w);
}
END_TEST

/* ---- LOGIN -------------------------------------------------------------------------------------------- */

START_TEST(login)
{
	begin_world();
	ck_assert_int_eq(auth_begin(&w, "LOGIN", NULL), AUTHENTICATOR_CONTINUE);
	ck_assert_str_eq(w.answer.challenge, "VXNlcm5hbWU6");
	ck_assert_int_eq(auth_step(&w, AUTH_BASE64("alice")), AUTHENTICATOR_CONTINUE);
	ck_assert_str_eq(w.answer.challenge, "UGFzc3dvcmQ6");
	ck_assert_int_eq(auth_step(&w, AUTH_BASE64("secret")), AUTHENTICATOR_OK);
	/* Outlook, smtplib */
	ck_assert_int_eq(auth_begin(&w, "LOGIN", AUTH_BASE64("alice")), AUTHENTICATOR_CONTINUE);
	ck_assert_str_eq(w.answer.challenge, "UGFzc3dvcmQ6");
	ck_assert_int_eq(auth_step(&w, AUTH_BASE64("secret")), AUTHENTICATOR_OK);
	ck_assert_int_eq(auth_begin(&w, "LOGIN", AUTH_BASE64("alice")), AUTHENTICATOR_CONTINUE);
	ck_assert_int_eq(auth_step(&w, AUTH_BASE64("secre")), AUTHENTICATOR_FAILED);
	auth_world_release(&w);
}
END_TEST

/* ---- names and passwords ---------------------------------------------------------------------------------- */

static enum authenticator_result login_with(const char *name, size_t name_len, const char *password,
					    size_t len)
{
	enum authenticator_result result = auth_begin(&w, "LOGIN", auth_base64(name, name_len));

	ck_assert_int_eq(result, AUTHENTICATOR_CONTINUE);
	return auth_step(&w, auth_base64(password, len));
}

START_TEST(names_and_passwords_at_their_limits)
{
	char text[2000];

	begin_world();
	memset(text, 'a', sizeof(text));
	ck_assert_int_eq(login_with("", 0, "secret", 6), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(login_with("alice", 5, "", 0), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(login_with(text, 255, "secret", 6), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(login_with(text, 256, "secret", 6), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(login_with(text, 2000, "secret", 6), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(login_with("alice", 5, text, 1023), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(login_with("alice", 5, text, 1024), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(login_with("alice", 5, text, 2000), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(login_with("ali\0ce", 6, "secret", 6), AUTHENTICATOR_MALFORMED);
	ck_assert_int_eq(login_with("alice\0", 6, "secret", 6), AUTHENTICATOR_MALFORMED);
	ck_assert_int_eq(login_with("alice", 5, "secret\0x", 8), AUTHENTICATOR_MALFORMED);
	ck_assert_int_eq(login_with("al\xff", 3, "secret", 6), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(login_with("alice", 5, "\xc3", 1), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(login_with("alice", 5, "a\nb", 3), AUTHENTICATOR_FAILED);
	/* RFC 4013: a soft hyphen is nothing, a full-width letter is the letter */
	ck_assert_int_eq(login_with("al\xc2\xadice", 7, "secret", 6), AUTHENTICATOR_OK);
	ck_assert_str_eq(w.answer.user, "alice");
	ck_assert_int_eq(login_with("alice", 5,
				    "\xef\xbd\x93"
				    "ecret",
				    8),
			 AUTHENTICATOR_OK);
	auth_world_release(&w);
}
END_TEST

/* ---- what is no message of its mechanism --------------------------------------------------------------------- */

START_TEST(malformed)
{
	static const struct {
		const char *mechanism, *initial;
		size_t len;
	} bad[] = {
		{ "PLAIN", "", 0 },
		{ "PLAIN", "alice", 5 },
		{ "PLAIN", "\0alice", 6 },
		{ "PLAIN", "\0alice\0secret\0", 14 },
		{ "PLAIN", "\0alice\0sec\0ret", 14 },
		{ "SCRAM-SHA-256", "", 0 },
		{ "SCRAM-SHA-256", "alice", 5 },
		{ "SCRAM-SHA-256", "n,,n=alice", 10 },
		{ "SCRAM-SHA-256", "n,,m=x,n=alice,r=a", 18 },
		{ "CRAM-MD5", "", 0 },
		{ "CRAM-MD5", "alice 0123", 10 },
	};
	static const char *const not_base64[] = { "YQ", "Y===", "=", "YQ==YQ==" };
	char huge[9000];

	begin_world();
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(auth_begin(&w, bad[i].mechanism, auth_base64(bad[i].initial, bad[i].len)) ==
				      AUTHENTICATOR_MALFORMED,
			      "%zu: %s", i, auth_world_log(&w));
	for (size_t i = 0; i < sizeof(not_base64) / sizeof(*not_base64); i++) {
		ck_assert_msg(auth_begin(&w, "PLAIN", not_base64[i]) == AUTHENTICATOR_MALFORMED, "%s",
			      not_base64[i]);
		ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-256", not_base64[i]), AUTHENTICATOR_MALFORMED);
		ck_assert_int_eq(auth_begin(&w, "LOGIN", not_base64[i]), AUTHENTICATOR_CONTINUE);
		ck_assert_int_eq(auth_step(&w, "YQ=="), AUTHENTICATOR_MALFORMED);
		ck_assert_int_eq(auth_begin(&w, "CRAM-MD5", NULL), AUTHENTICATOR_CONTINUE);
		ck_assert_int_eq(auth_step(&w, not_base64[i]), AUTHENTICATOR_MALFORMED);
	}
	/* the longest line there can be */
	memset(huge, 'a', sizeof(huge));
	huge[0] = '\0';
	huge[300] = '\0';
	ck_assert_int_eq(auth_begin(&w, "PLAIN", auth_base64(huge, sizeof(huge))), AUTHENTICATOR_FAILED);
	auth_world_release(&w);
}
END_TEST

START_TEST(cram_md5)
{
	static const char *const bad[] = { "",
					   "alice",
					   "alice ",
					   " 0123456789abcdef0123456789abcdef",
					   "alice 0123456789abcdef0123456789abcdef",
					   "alice 0123456789abcdef0123456789abcdef0",
					   "alice 0123456789ABCDEF0123456789ABCDEF" };
	char first[200];

	begin_world();
	ck_assert_int_eq(auth_begin(&w, "CRAM-MD5", NULL), AUTHENTICATOR_CONTINUE);
	snprintf(first, sizeof(first), "%s", decoded(w.answer.challenge));
	ck_assert_int_eq(first[0], '<');
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		enum authenticator_result result;

		ck_assert_int_eq(auth_begin(&w, "CRAM-MD5", NULL), AUTHENTICATOR_CONTINUE);
		ck_assert_str_ne(decoded(w.answer.challenge), first);
		result = auth_step(&w, auth_base64(bad[i], strlen(bad[i])));
		ck_assert_msg(result == AUTHENTICATOR_FAILED || result == AUTHENTICATOR_MALFORMED, "%s: %d",
			      bad[i], result);
	}
	auth_world_release(&w);
}
END_TEST

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

START_TEST(tokens_without_a_server)
{
	const struct introspect_settings nowhere = { .url = "http://127.0.0.1:1/introspect" };

	auth_world_init(&w);
	w.config.introspect = &nowhere;
	auth_world_start(&w);
	w.client.tls = &w.tls;
	/* nobody can tell whose token it is: that is no refusal */
	ck_assert_int_eq(auth_begin(&w, "XOAUTH2", AUTH_BASE64("user=alice\1auth=Bearer abc\1\1")),
			 AUTHENTICATOR_TEMPORARY);
	ck_assert_int_eq(auth_begin(&w, "OAUTHBEARER", AUTH_BASE64("n,a=alice,\1auth=Bearer abc\1\1")),
			 AUTHENTICATOR_TEMPORARY);
	ck_assert_int_eq(auth_begin(&w, "XOAUTH2", AUTH_BASE64("user=alice")), AUTHENTICATOR_MALFORMED);
	ck_assert_int_eq(auth_begin(&w, "OAUTHBEARER", "YQ"), AUTHENTICATOR_MALFORMED);
	ck_assert_ptr_null(strstr(auth_world_log(&w), "abc"));
	auth_world_release(&w);
}
END_TEST

/* ---- the table of names ------------------------------------------------------------------------------------------- */

START_TEST(names)
{
	struct buf b;

	buf_init(&b, 1000);
	smtp_mechanism_put(&b, ~0u);
	ck_assert_uint_eq(smtp_mechanism_set(b.data), SMTP_MECHANISM_ALL);
	ck_assert_uint_eq(smtp_mechanism_set("  PLAIN  ANONYMOUS EXTERNAL PLAINX"),
			  SMTP_MECHANISM_BIT(SMTP_MECHANISM_PLAIN));
	ck_assert_uint_eq(smtp_mechanism_bit("PLAINX", 5), SMTP_MECHANISM_BIT(SMTP_MECHANISM_PLAIN));
	ck_assert_uint_eq(smtp_mechanism_bit("", 0), 0);
	buf_release(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mechanism");

	UNIT_CASE(s, every_mechanism_with_libgsasl, who_acts_as_another, channel_binding, downgrade,
		  scram_tells_nobody_who_exists, names_that_are_none_in_scram_and_cram_md5,
		  scram_proofs_that_are_wrong, a_user_without_the_secret, login,
		  names_and_passwords_at_their_limits, malformed, cram_md5, tokens_without_a_server, names);
	return unit_run(s);
}
