/* SPDX-License-Identifier: ISC */
/*
 * The server's side of the SASL mechanisms (RFC 4422), as straight code: what
 * the client answers to a challenge is asked for and waited for. Run by
 * exchange.c in the child of one exchange. libgsasl does PLAIN, CRAM-MD5 and
 * SCRAM; LOGIN and the mechanisms with a token are ours.
 */
#ifndef AUTH_MECHANISM_H
#define AUTH_MECHANISM_H

#include "auth/exchange.h"

struct mechanism {
	const struct exchange_setup *setup;
	struct auth_conversation *conversation;
	struct auth_client *client; /* the deadline moves with each response */
	struct exchange_outcome *outcome;
	const char *initial; /* base64; NULL: none was sent */
	bool plus_offered; /* SCRAM-SHA-256-PLUS was */
	const char *binding_type; /* NULL: no channel to bind to */
	const unsigned char *binding;
	size_t binding_len;
	bool cancelled; /* the conversation is over: ask() said NULL */
};

/* By outcome->mechanism, a name in capitals. Fills the outcome's user, reason and guess. */
enum exchange_end mechanism_run(struct mechanism *m);

/* ---- for mechanism_*.c ---------------------------------------------------------------- */

enum exchange_end mechanism_gsasl(struct mechanism *m);
enum exchange_end mechanism_login(struct mechanism *m);
enum exchange_end mechanism_token(struct mechanism *m); /* OAUTHBEARER, XOAUTH2 */

/* Notes why, and returns end. */
enum exchange_end mechanism_end(struct mechanism *m, enum exchange_end end, const char *why);
/* The backend's word, with its reason noted. */
enum exchange_end mechanism_judged(struct mechanism *m, enum auth_result result, const struct err *e);
/* A prepared name as a number: nobody can work the name out of it. Never 0. */
uint64_t mechanism_name(const struct mechanism *m, const char *name);
/* A name and a password as the client gave them; both are prepared (prep.h) here. */
enum exchange_end mechanism_verify(struct mechanism *m, const char *name, const char *password);

/*
 * Decoded base64, NUL behind it, for mechanism_forget; NULL: it is no base64. A NUL inside is for the caller to refuse
 * (strlen differs from len).
 */
char *mechanism_decode(const char *base64, size_t *len);
void mechanism_forget(char *data, size_t len); /* overwrites, then frees; NULL is allowed */

#endif
