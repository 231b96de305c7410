/* SPDX-License-Identifier: ISC */
/*
 * What is stored, and what the server says: which request gets a new token,
 * and what its answer makes of the stored ones. Pure; for the relay
 * (keeper.h) and for `posthouse oauth`, which bring it to the server and to
 * the disk.
 */
#ifndef OAUTH_RENEW_H
#define OAUTH_RENEW_H

#include "oauth/grant.h"
#include "oauth/store.h"

/* The body of the request. -1 and e: there is nothing to ask with, a person has to log in. */
int oauth_renew_ask(const struct oauth_client *c, const struct oauth_stored *stored, struct buf *body, struct err *e);

/*
 * The answer. GRANTED: *next is what is to be stored from now on, the caller's; with a refresh token that differs from
 * the stored one it must be on the disk before its access token is used (*rotated), for the old one may be worth
 * nothing any more. Else e says why not, where, and what to do; REFUSED: not before a person did something.
 */
enum oauth_answer oauth_renew_take(const struct oauth_client *c, const struct oauth_stored *stored, long status,
				   const char *body, size_t len, int64_t now_wall_s, struct oauth_stored *next,
				   bool *rotated, struct err *e);

/* Notes why an attempt failed. */
void oauth_stored_fail(struct oauth_stored *s, const struct err *e, int64_t now_wall_s);
void oauth_stored_copy(struct oauth_stored *to, const struct oauth_stored *from); /* *to is overwritten, not released */
/* There is an access token, and it is not over yet. */
bool oauth_stored_is_valid(const struct oauth_stored *s, int64_t now_wall_s);

/* "...: run posthouse oauth login NAME", or whatever helps. answer: REFUSED; for others nothing is added. */
void oauth_advise(const struct oauth_client *c, enum oauth_answer answer, struct err *e);

#endif
