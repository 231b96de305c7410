/* SPDX-License-Identifier: ISC */
/* See bearer.h. */
#include "auth/bearer.h"

#include <string.h>
#include <strings.h>

#define SEPARATOR '\x01' /* RFC 7628 3.1: kvsep */

/* What is left of a message. */
struct rest {
	const char *at;
	size_t len;
};

static int bad(struct err *e, const char *what)
{
	err_set(e, "the client's message is not one of this mechanism: %s", what);
	return -1;
}

static bool skip(struct rest *r, const char *text)
{
	size_t n = strlen(text);

	if (r->len < n || strncasecmp(r->at, text, n) != 0)
		return false;
	r->at += n;
	r->len -= n;
	return true;
}

/* Up to the character, which is passed over, too. */
static bool cut(struct rest *r, char at, struct rest *field)
{
	const char *end = memchr(r->at, at, r->len);

	if (!end)
		return false;
	*field = (struct rest){ r->at, (size_t)(end - r->at) };
	r->len -= field->len + 1;
	r->at = end + 1;
	return true;
}

static bool is_token_character(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-._~+/=", c));
}

/* "Bearer TOKEN" (RFC 6750 2.1: b64token). */
static int take_token(struct rest value, char out[BEARER_TOKEN_MAX], struct err *e)
{
	if (!skip(&value, "Bearer "))
		return bad(e, "auth is not of type Bearer");
	while (value.len > 0 && *value.at == ' ')
		skip(&value, " ");
	if (value.len == 0)
		return bad(e, "the token is empty");
	if (value.len >= BEARER_TOKEN_MAX)
		return bad(e, "the token is too long");
	for (size_t i = 0; i < value.len; i++)
		if (!is_token_character(value.at[i]))
			return bad(e, "the token has characters that tokens do not have");
	memcpy(out, value.at, value.len);
	out[value.len] = '\0';
	return 0;
}

static int add_to_user(char user[AUTH_USER_MAX], size_t *len, char c, struct err *e)
{
	if ((unsigned char)c < ' ' || c == 0x7f)
		return bad(e, "the user has control characters");
	if (*len >= AUTH_USER_MAX - 1)
		return bad(e, "the user is too long");
	user[(*len)++] = c;
	user[*len] = '\0';
	return 0;
}

/* RFC 5801 4: saslname, in which a comma is =2C and an equals sign =3D */
static int take_authzid(struct rest value, char user[AUTH_USER_MAX], struct err *e)
{
	size_t len = 0;

	while (value.len > 0) {
		char c = *value.at;

		if (c != '=')
			value.at++, value.len--;
		else if (skip(&value, "=2C"))
			c = ',';
		else if (!skip(&value, "=3D"))
			return bad(e, "the user is not escaped as it has to be");
		if (add_to_user(user, &len, c, e) < 0)
			return -1;
	}
	return 0;
}

/* RFC 5801 4, for a mechanism without channel binding (RFC 7628 3.1): gs2-header = ("n" / "y") "," ["a=" saslname] "," */
static int take_gs2_header(struct rest *r, char user[AUTH_USER_MAX], struct err *e)
{
	struct rest flag, authzid;

	if (!cut(r, ',', &flag) || !cut(r, ',', &authzid))
		return bad(e, "it has no GS2 header");
	if (flag.len != 1 || (*flag.at != 'n' && *flag.at != 'y'))
		return bad(e, "it asks for channel binding, which this mechanism does not have");
	if (authzid.len == 0)
		return 0;
	if (!skip(&authzid, "a="))
		return bad(e, "its GS2 header is none");
	return take_authzid(authzid, user, e);
}

int bearer_parse_oauthbearer(const char *message, size_t len, struct bearer_message *out, struct err *e)
{
	struct rest r = { message, len }, pair;

	out->user[0] = out->token[0] = '\0';
	if (take_gs2_header(&r, out->user, e) < 0)
		return -1;
	if (!cut(&r, SEPARATOR, &pair) || pair.len != 0)
		return bad(e, "no ^A stands behind the GS2 header");
	for (;;) {
		if (!cut(&r, SEPARATOR, &pair))
			return bad(e, "it is cut short");
		if (pair.len == 0)
			break; /* the end; host, port and others are of no use to us */
		if (!skip(&pair, "auth="))
			continue;
		if (out->token[0])
			return bad(e, "it has two tokens");
		if (take_token(pair, out->token, e) < 0)
			return -1;
	}
	if (r.len > 0)
		return bad(e, "something stands behind its end");
	return out->token[0] ? 0 : bad(e, "it has no token");
}

int bearer_parse_xoauth2(const char *message, size_t len, struct bearer_message *out, struct err *e)
{
	struct rest r = { message, len }, user, token, end;
	size_t user_len = 0;

	out->user[0] = out->token[0] = '\0';
	if (!skip(&r, "user=") || !cut(&r, SEPARATOR, &user))
		return bad(e, "it does not begin with a user");
	for (size_t i = 0; i < user.len; i++)
		if (add_to_user(out->user, &user_len, user.at[i], e) < 0)
			return -1;
	if (user_len == 0)
		return bad(e, "the user is empty");
	if (!skip(&r, "auth=") || !cut(&r, SEPARATOR, &token) || !cut(&r, SEPARATOR, &end) || end.len != 0)
		return bad(e, "no token follows the user");
	if (r.len > 0)
		return bad(e, "something stands behind its end");
	return take_token(token, out->token, e);
}
