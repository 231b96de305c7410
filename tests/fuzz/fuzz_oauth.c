/* SPDX-License-Identifier: ISC */
/*
 * OAuth 2: 't' and the answer of a token endpoint, 'd' that of a device
 * endpoint, 'i' that of token introspection, 'b' and 'x' a client's message of
 * OAUTHBEARER or XOAUTH2, 'c' a challenge of an upstream, 'u' a URL.
 * Promise: a token that is taken can stand in a line and a message of SASL as
 * it is, a user in a log; and no reason is longer than its buffer.
 */
#include <stdlib.h>
#include <string.h>

#include "auth/bearer.h"
#include "auth/introspect.h"
#include "base/alloc.h"
#include "base/url.h"
#include "fuzz.h"
#include "oauth/renew.h"
#include "upstream/bearer.h"

static void check_plain(const char *text, char least)
{
	ASSERT(*text);
	for (; *text; text++)
		ASSERT(*text >= least && *text < 0x7f);
}

static void fuzz_token(const char *body, size_t len)
{
	const struct oauth_client client = { .upstream = "main", .grant = OAUTH_DEVICE_CODE, .token_url = "https://x/" };
	const struct oauth_stored stored = { .refresh_token = (char *)"old" };
	struct oauth_stored next;
	struct err e = { 0 };
	bool rotated;

	for (long status = 200; status <= 500; status += 100) {
		if (oauth_renew_take(&client, &stored, status, body, len, 1000, &next, &rotated, &e) == OAUTH_GRANTED) {
			ASSERT(status == 200);
			check_plain(next.access_token, '!');
			check_plain(next.refresh_token, '!');
			ASSERT(rotated == (strcmp(next.refresh_token, "old") != 0));
			ASSERT(next.expires_wall_s > 1000 && next.expires_wall_s <= 1000 + OAUTH_LIFETIME_MAX_S);
		} else {
			ASSERT(!next.access_token && e.text[0] && strlen(e.text) < sizeof(e.text));
		}
		oauth_stored_release(&next);
	}
}

static void fuzz_device(const char *body, size_t len)
{
	struct oauth_device d;
	struct err e = { 0 };

	if (oauth_read_device(200, body, len, &d, &e) == OAUTH_GRANTED) {
		check_plain(d.device_code, '!');
		ASSERT(d.user_code[0] && d.verification_uri[0] && d.lifetime_s > 0 && d.interval_s > 0);
	}
	oauth_device_release(&d);
}

static void fuzz_introspection(const char *body, size_t len)
{
	const struct introspect_settings s = { .url = "https://x/", .scope = len % 2 ? "smtp" : NULL };
	char user[AUTH_USER_MAX];
	struct err e = { 0 };

	if (introspect_judge(&s, 200, body, len, "", 1700000000, user, &e) != AUTH_OK) {
		ASSERT(!user[0] && e.text[0]);
		return;
	}
	ASSERT(user[0] && memmem(body, len, "true", 4));
	for (const char *c = user; *c; c++)
		ASSERT((unsigned char)*c >= ' ' && *c != 0x7f);
}

static void fuzz_message(const char *message, size_t len, bool xoauth2)
{
	struct bearer_message m;
	struct err e = { 0 };

	if ((xoauth2 ? bearer_parse_xoauth2 : bearer_parse_oauthbearer)(message, len, &m, &e) < 0)
		return;
	check_plain(m.token, '!');
	ASSERT(memmem(message, len, m.token, strlen(m.token)) && (m.user[0] || !xoauth2));
}

static void fuzz_text(const char *text, bool url)
{
	char out[BEARER_REASON_MAX];
	struct err e = { 0 };

	if (url && url_check(text, &e) == 0) {
		check_plain(text, '!');
	} else if (!url) {
		bearer_read_challenge(text, out);
		ASSERT(!out[0] || out[0] == '{');
		ASSERT(strlen(out) < sizeof(out));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy, *text;

	if (size == 0)
		return 0;
	/* of exactly that size: nothing may be read behind it */
	copy = mem_alloc(size);
	memcpy(copy, data + 1, size - 1);
	text = mem_strndup(copy, size - 1);
	if (data[0] == 't')
		fuzz_token(copy, size - 1);
	else if (data[0] == 'd')
		fuzz_device(copy, size - 1);
	else if (data[0] == 'i')
		fuzz_introspection(copy, size - 1);
	else if (data[0] == 'b' || data[0] == 'x')
		fuzz_message(copy, size - 1, data[0] == 'x');
	else if (data[0] == 'c' || data[0] == 'u')
		fuzz_text(text, data[0] == 'u');
	free(text);
	free(copy);
	return 0;
}
