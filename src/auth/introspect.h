/* SPDX-License-Identifier: ISC */
/*
 * Whose access token this is: asked of the authorization server by token
 * introspection (RFC 7662). For OAUTHBEARER and XOAUTH2 of clients. Runs in
 * the child of the auth process that serves one exchange: it blocks, until its
 * deadline. Nothing is remembered from one exchange to the next, so a token
 * that is withdrawn is refused from then on.
 */
#ifndef AUTH_INTROSPECT_H
#define AUTH_INTROSPECT_H

#include <stddef.h>
#include <stdint.h>

#include "auth/backend.h"
#include "base/err.h"

/* From the configuration; everything is the caller's. */
struct introspect_settings {
	const char *url; /* auth_oauth_introspection_url: https, or http to this machine */
	const char *client_id, *client_secret; /* NULL: none */
	const char *ca_file; /* PEM; NULL: the system's */
	const char *scope; /* a token must have it; NULL: whatever scope it has */
	const char *user_claim; /* member of the answer that is the user; NULL: username, else sub */
};

/*
 * claimed: who the client said it is (struct bearer_message), "" when it did not; another one than the token's is
 * refused. AUTH_OK: the token's user is in user[]. AUTH_FAILED: not active, expired, not for us, of somebody else.
 * AUTH_TEMPORARY: the server cannot be reached or does not answer as RFC 7662 says. e never holds any of the token.
 */
enum auth_result introspect_verify(const struct introspect_settings *settings, const char *token, const char *claimed,
				   int64_t deadline_mono_ms, char user[AUTH_USER_MAX], struct err *e);

/* The judgement alone, pure: a server's answer with that HTTP status. */
enum auth_result introspect_judge(const struct introspect_settings *settings, long status, const char *body, size_t len,
				  const char *claimed, int64_t now_wall_s, char user[AUTH_USER_MAX], struct err *e);

#endif
