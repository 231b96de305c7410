/* SPDX-License-Identifier: ISC */
/* auth/bearer and auth/introspect: what clients say with a token, and what a server says about it. */
#include "auth/bearer.h"
#include "auth/introspect.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "unit.h"

/* ---- the client's message ------------------------------------------------------------- */

enum mechanism { OAUTHBEARER, XOAUTH2 };

struct message {
	enum mechanism mechanism;
	const char *text;
	const char *user, *token; /* token NULL: it is refused, and why is in user */
};

/* Copied to its exact length, so that a sanitizer sees who reads behind it. */
static int parse(enum mechanism mechanism, const char *text, size_t len, struct bearer_message *m, struct err *e)
{
	char *exact = len ? memcpy(mem_alloc(len), text, len) : mem_alloc(1);
	int r = (mechanism == XOAUTH2 ? bearer_parse_xoauth2 : bearer_parse_oauthbearer)(exact, len, m, e);

	free(exact);
	return r;
}

static const struct message messages[] = {
	/* RFC 7628 4.1, and Google's and Microsoft's own examples */
	{ OAUTHBEARER, "n,a=user@example.com,\1host=server.example.com\1port=143\1auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1",
	  "user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==" },
	{ OAUTHBEARER, "n,,\1auth=Bearer abc\1\1", "", "abc" },
	{ OAUTHBEARER, "y,a=a=2Cb=3Dc,\1auth=bearer   abc\1\1", "a,b=c", "abc" },
	{ OAUTHBEARER, "n,,\1auth=Bearer abc\1host=x\1\1", "", "abc" },
	{ XOAUTH2, "user=someuser@example.com\1auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\1\1",
	  "someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg" },
	/* not so */
	{ OAUTHBEARER, "", "no GS2 header", NULL },
	{ OAUTHBEARER, "\1", "no GS2 header", NULL },
	{ OAUTHBEARER, "p=tls-unique,,\1auth=Bearer abc\1\1", "channel binding", NULL },
	{ OAUTHBEARER, "n,b=x,\1auth=Bearer abc\1\1", "GS2 header is none", NULL },
	{ OAUTHBEARER, "n,a=x=2,\1auth=Bearer abc\1\1", "not escaped", NULL },
	{ OAUTHBEARER, "n,a=x\ny,\1auth=Bearer abc\1\1", "control", NULL },
	{ OAUTHBEARER, "n,,auth=Bearer abc\1\1", "no ^A", NULL },
	{ OAUTHBEARER, "n,,\1auth=Bearer abc\1", "cut short", NULL },
	{ OAUTHBEARER, "n,,\1auth=Bearer abc", "cut short", NULL },
	{ OAUTHBEARER, "n,,\1auth=Bearer abc\1\1x", "behind its end", NULL },
	{ OAUTHBEARER, "n,,\1auth=Bearer abc\1auth=Bearer abd\1\1", "two tokens", NULL },
	{ OAUTHBEARER, "n,,\1auth=Bearer \1\1", "empty", NULL },
	{ OAUTHBEARER, "n,,\1auth=Basic abc\1\1", "not of type Bearer", NULL },
	{ OAUTHBEARER, "n,,\1auth=Bearer a c\1\1", "characters", NULL },
	{ OAUTHBEARER, "n,,\1auth=Bearer a\r\nX: c\1\1", "characters", NULL },
	{ OAUTHBEARER, "n,,\1host=x\1\1", "no token", NULL },
	{ XOAUTH2, "", "begin with a user", NULL },
	{ XOAUTH2, "user=\1auth=Bearer abc\1\1", "user is empty", NULL },
	{ XOAUTH2, "user=a\1auth=Bearer abc\1", "no token follows", NULL },
	{ XOAUTH2, "user=a\1auth=Bearer abc\1x\1", "no token follows", NULL },
	{ XOAUTH2, "user=a\1auth=Bearer abc\1\1\1", "behind its end", NULL },
	{ XOAUTH2, "user=a\1auth=Bearer \1\1", "empty", NULL },
	{ XOAUTH2, "n,,\1auth=Bearer abc\1\1", "begin with a user", NULL },
};

START_TEST(client_messages)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
		const struct message *row = &messages[i];
		struct bearer_message m;
		struct err e;
		int r = parse(row->mechanism, row->text, strlen(row->text), &m, &e);

		if (row->token) {
			ck_assert_msg(r == 0, "%zu: %s", i, e.text);
			ck_assert_str_eq(m.user, row->user);
			ck_assert_str_eq(m.token, row->token);
		} else {
			ck_assert_msg(r < 0 && strstr(e.text, row->user), "%zu: %s", i, r < 0 ? e.text : m.token);
			ck_assert_ptr_null(strstr(e.text, "abc"));
		}
	}
}
END_TEST

/* Cut anywhere, and with any octet changed to NUL, a message is refused or read; nothing is read behind it. */
START_TEST(client_messages_damaged)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
		size_t len = strlen(messages[i].text);
		struct bearer_message m;
		char text[512];
		struct err e;

		for (size_t n = 0; n < len; n++) {
			if (parse(messages[i].mechanism, messages[i].text, n, &m, &e) == 0)
				ck_assert_ptr_null(messages[i].token);
			memcpy(text, messages[i].text, len);
			text[n] = '\0';
			if (parse(messages[i].mechanism, text, len, &m, &e) == 0)
				ck_assert_uint_gt(strlen(m.token), 0);
		}
	}
}
END_TEST

START_TEST(client_messages_too_long)
{
	static char text[20000], name[400];
	struct bearer_message m;
	struct err e;
	int n;

	memset(text, 'x', sizeof(text));
	n = sprintf(text, "n,,\1auth=Bearer ");
	text[n] = 'x';
	memcpy(text + n + BEARER_TOKEN_MAX - 1, "\1\1", 2);
	ck_assert_int_eq(parse(OAUTHBEARER, text, (size_t)n + BEARER_TOKEN_MAX + 1, &m, &e), 0);
	ck_assert_uint_eq(strlen(m.token), BEARER_TOKEN_MAX - 1);
	text[n + BEARER_TOKEN_MAX - 1] = 'x';
	memcpy(text + n + BEARER_TOKEN_MAX, "\1\1", 2);
	ck_assert_int_eq(parse(OAUTHBEARER, text, (size_t)n + BEARER_TOKEN_MAX + 2, &m, &e), -1);
	memset(name, 'u', AUTH_USER_MAX);
	n = sprintf(text, "user=%s\1auth=Bearer abc\1\1", name);
	ck_assert_int_eq(parse(XOAUTH2, text, (size_t)n, &m, &e), -1);
	n = sprintf(text, "user=%s\1auth=Bearer abc\1\1", name + 1);
	ck_assert_int_eq(parse(XOAUTH2, text, (size_t)n, &m, &e), 0);
}
END_TEST

/* ---- the server's answer ---------------------------------------------------------------- */

#define NOW 1700000000

struct judgement {
	long status;
	const char *body;
	const char *scope, *claim, *claimed;
	enum auth_result result;
	const char *text; /* the user, or what the reason holds */
};

START_TEST(answers)
{
	static const struct judgement rows[] = {
		/* RFC 7662 2.2 */
		{ 200, "{\"active\":true,\"client_id\":\"l238j323ds-23ij4\",\"username\":\"jdoe\",\"scope\":\"read write dolphin\","
		       "\"sub\":\"Z5O3upPC88QrAjx00dis\",\"aud\":\"https://protected.example.net/resource\",\"iss\":\"https://server.example.com/\","
		       "\"exp\":1719356238,\"iat\":1419350238,\"extension_field\":\"twenty-seven\"}", NULL, NULL, "", AUTH_OK, "jdoe" },
		{ 200, "{\"active\":false}", NULL, NULL, "", AUTH_FAILED, "not active" },
		{ 200, "{\"active\":true,\"sub\":\"s1\"}", NULL, NULL, "", AUTH_OK, "s1" },
		{ 200, "{\"active\":true,\"sub\":\"s1\",\"username\":\"\"}", NULL, NULL, "", AUTH_FAILED, "neither" },
		{ 200, "{\"active\":true,\"email\":\"A@b.example\"}", NULL, "email", "a@B.example", AUTH_OK, "A@b.example" },
		{ 200, "{\"active\":true,\"sub\":\"s1\"}", NULL, "email", "", AUTH_FAILED, "auth_oauth_user_claim" },
		{ 200, "{\"active\":true,\"username\":\"jdoe\"}", NULL, NULL, "root", AUTH_FAILED, "another user" },
		{ 200, "{\"active\":true,\"username\":\"jd\\u0000oe\"}", NULL, NULL, "", AUTH_TEMPORARY, "RFC 7662" },
		{ 200, "{\"active\":true,\"username\":\"jd\\noe\"}", NULL, NULL, "", AUTH_FAILED, "control" },
		{ 200, "{\"active\":true,\"username\":[\"jdoe\"]}", NULL, NULL, "", AUTH_FAILED, "neither" },
		{ 200, "{\"active\":true,\"username\":\"j\",\"exp\":1700000000}", NULL, NULL, "", AUTH_FAILED, "expired" },
		{ 200, "{\"active\":true,\"username\":\"j\",\"nbf\":1700000100}", NULL, NULL, "", AUTH_FAILED, "not valid yet" },
		{ 200, "{\"active\":true,\"username\":\"j\",\"nbf\":1700000030}", NULL, NULL, "", AUTH_OK, "j" },
		{ 200, "{\"active\":true,\"username\":\"j\",\"token_type\":\"refresh_token\"}", NULL, NULL, "", AUTH_FAILED, "type" },
		{ 200, "{\"active\":true,\"username\":\"j\",\"token_type\":\"bearer\"}", NULL, NULL, "", AUTH_OK, "j" },
		{ 200, "{\"active\":true,\"username\":\"j\",\"scope\":\"a smtp b\"}", "smtp", NULL, "", AUTH_OK, "j" },
		{ 200, "{\"active\":true,\"username\":\"j\",\"scope\":\"a smtps  b\"}", "smtp", NULL, "", AUTH_FAILED, "scope" },
		{ 200, "{\"active\":true,\"username\":\"j\"}", "smtp", NULL, "", AUTH_FAILED, "scope" },
		/* what is no judgement */
		{ 200, "{\"active\":\"true\",\"username\":\"j\"}", NULL, NULL, "", AUTH_TEMPORARY, "RFC 7662" },
		{ 200, "{\"active\":false,\"active\":true,\"username\":\"j\"}", NULL, NULL, "", AUTH_TEMPORARY, "RFC 7662" },
		{ 200, "{}", NULL, NULL, "", AUTH_TEMPORARY, "RFC 7662" },
		{ 200, "[true]", NULL, NULL, "", AUTH_TEMPORARY, "RFC 7662" },
		{ 200, "<html>hello</html>", NULL, NULL, "", AUTH_TEMPORARY, "RFC 7662" },
		{ 200, "", NULL, NULL, "", AUTH_TEMPORARY, "RFC 7662" },
		{ 401, "{\"active\":true,\"username\":\"j\"}", NULL, NULL, "", AUTH_TEMPORARY, "auth_oauth_client_id" },
		{ 302, "{\"active\":true,\"username\":\"j\"}", NULL, NULL, "", AUTH_TEMPORARY, "302" },
		{ 500, "", NULL, NULL, "", AUTH_TEMPORARY, "500" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct introspect_settings s = { .url = "https://server.example/i", .scope = rows[i].scope,
						       .user_claim = rows[i].claim };
		char user[AUTH_USER_MAX];
		struct err e = { .text = "" };
		enum auth_result r = introspect_judge(&s, rows[i].status, rows[i].body, strlen(rows[i].body),
						      rows[i].claimed, NOW, user, &e);

		ck_assert_msg(r == rows[i].result, "%zu: %d %s", i, r, e.text);
		if (r == AUTH_OK)
			ck_assert_str_eq(user, rows[i].text);
		else
			ck_assert_msg(!user[0] && strstr(e.text, rows[i].text), "%zu: %s", i, e.text);
	}
}
END_TEST

START_TEST(no_server)
{
	const struct introspect_settings s = { .url = "http://127.0.0.1:1/i" };
	char user[AUTH_USER_MAX];
	struct err e;

	ck_assert_int_eq(introspect_verify(&s, "abc", "", 0, user, &e), AUTH_TEMPORARY);
	ck_assert_int_eq(introspect_verify(&s, "abc", "", INT64_MAX, user, &e), AUTH_TEMPORARY);
	ck_assert_msg(strstr(e.text, "http://127.0.0.1:1/i: ") && strstr(e.text, "refused"), "%s", e.text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bearer");

	UNIT_CASE(s, client_messages, client_messages_damaged, client_messages_too_long, answers, no_server);
	return unit_run(s);
}
