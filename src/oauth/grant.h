/* SPDX-License-Identifier: ISC */
/*
 * What is said to a token endpoint and what its answers mean: the grants
 * refresh_token and client_credentials (RFC 6749), and device_code (RFC 8628).
 * Pure: text in, text out; upstream/http.h carries it.
 */
#ifndef OAUTH_GRANT_H
#define OAUTH_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* In the order of the words of the key `oauth`. */
enum oauth_grant {
	OAUTH_NONE,
	OAUTH_REFRESH_TOKEN, /* a refresh token that somebody got elsewhere */
	OAUTH_CLIENT_CREDENTIALS, /* the client is its own user: nobody logs in */
	OAUTH_DEVICE_CODE /* a person logs in with a browser anywhere; then a refresh token */
};

/* From the configuration; everything is the caller's. */
struct oauth_client {
	const char *upstream; /* for messages: posthouse oauth login UPSTREAM */
	enum oauth_grant grant;
	const char *token_url, *device_url;
	const char *client_id;
	const char *client_secret; /* NULL: a public client */
	const char *scope; /* NULL: what the server gives without being asked */
};

#define OAUTH_TOKEN_MAX (16 << 10) /* octets of an access or refresh token */
#define OAUTH_LIFETIME_DEFAULT_S 3600 /* of a token of which the server says nothing (RFC 6749 5.1: it should) */
#define OAUTH_LIFETIME_MAX_S (30 * 86400)

/* The bodies of requests: false when one does not fit into out. They hold secrets: buf_wipe. */
bool oauth_ask_refresh(const struct oauth_client *c, const char *refresh_token, struct buf *out);
bool oauth_ask_client_credentials(const struct oauth_client *c, struct buf *out);
bool oauth_ask_device(const struct oauth_client *c, struct buf *out);
bool oauth_ask_device_token(const struct oauth_client *c, const char *device_code, struct buf *out);

/* ---- a token ---- */

struct oauth_token {
	char *access_token; /* owned */
	char *refresh_token; /* NULL: the server gave none, the one there is stays; owned */
	char *scope; /* NULL: as asked for; owned */
	int64_t lifetime_s;
};
void oauth_token_release(struct oauth_token *t); /* overwrites */

enum oauth_answer {
	OAUTH_GRANTED, /* *token is the caller's */
	OAUTH_PENDING, /* device_code: the person has not finished yet */
	OAUTH_SLOW_DOWN, /* the same, and 5 s more between questions from now on (RFC 8628 3.5) */
	OAUTH_REFUSED, /* the server does not want this client, or no longer this token or code: a person is needed */
	OAUTH_TROUBLE /* no answer of RFC 6749: try again later */
};

/* The answer to a token request. But for GRANTED, e tells in the server's words (bounded, unescaped) why. */
enum oauth_answer oauth_read_token(long status, const char *body, size_t len, struct oauth_token *token,
				   struct err *e);

/* ---- a device code ---- */

struct oauth_device {
	char *device_code; /* owned, as the next ones */
	char *user_code, *verification_uri;
	char *verification_uri_complete; /* NULL: none */
	int64_t lifetime_s, interval_s;
};
void oauth_device_release(struct oauth_device *d);

/* The answer to a device authorization request (RFC 8628 3.2): GRANTED, REFUSED or TROUBLE. */
enum oauth_answer oauth_read_device(long status, const char *body, size_t len, struct oauth_device *device,
				    struct err *e);

/* ---- when ---- */

/*
 * How long before its end a token is replaced: a tenth of its life, ten minutes at most, and up to half of that more
 * by luck (0 to 1), so that many relays do not ask at the same moment.
 */
int64_t oauth_margin_ms(int64_t lifetime_s, double luck);
/* How long after the n-th failure in a row (from 1) it is tried again. */
int64_t oauth_retry_ms(unsigned failures, bool was_refused, double luck);

#endif
