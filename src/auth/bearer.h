/* SPDX-License-Identifier: ISC */
/*
 * What a client says to log in with an OAuth 2 access token: the messages of
 * OAUTHBEARER (RFC 7628) and of XOAUTH2 (Google's and Microsoft's elder of it).
 * Pure: bytes in, values out. Who the token belongs to is introspect.h's.
 */
#ifndef AUTH_BEARER_H
#define AUTH_BEARER_H

#include <stddef.h>

#include "auth/backend.h"
#include "base/err.h"

/* Octets of a token, with the NUL: what a line of RFC 4954 4 (12288 octets of base64) can carry */
#define BEARER_TOKEN_MAX 9217

struct bearer_message {
	char user[AUTH_USER_MAX]; /* who the client wants to be; "" (OAUTHBEARER only): it leaves that to the token */
	char token[BEARER_TOKEN_MAX]; /* never empty; the characters of RFC 6750 2.1 only */
};

/*
 * The decoded client message (it need not end with NUL, and may hold NULs). -1 and e: not such a message; e never
 * holds any of the token. Clear *out after use.
 */
int bearer_parse_oauthbearer(const char *message, size_t len, struct bearer_message *out, struct err *e);
int bearer_parse_xoauth2(const char *message, size_t len, struct bearer_message *out, struct err *e);

/*
 * The challenge (before base64) with which a server refuses a token (RFC 7628 3.2.2); the client answers it with
 * ^A (OAUTHBEARER) or nothing (XOAUTH2), whatever it is, and then gets its 535.
 */
#define BEARER_REFUSAL "{\"status\":\"invalid_token\"}"

#endif
