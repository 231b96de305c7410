/* SPDX-License-Identifier: ISC */
/*
 * The SASL mechanisms that this program knows by name: one const table for
 * what a listener may offer, what the auth process can do and what a
 * configuration may list. A set of them is a number with a bit each, so that
 * it can lie in shared memory. Pure.
 */
#ifndef SMTP_MECHANISM_H
#define SMTP_MECHANISM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define SMTP_MECHANISM_MAX 21 /* octets of a name with its NUL (RFC 4422 3.1) */

enum smtp_mechanism_id {
	SMTP_MECHANISM_PLAIN, /* RFC 4616 */
	SMTP_MECHANISM_LOGIN, /* draft-murchison-sasl-login, for Outlook and many devices */
	SMTP_MECHANISM_CRAM_MD5, /* RFC 2195 */
	SMTP_MECHANISM_SCRAM_SHA_1, /* RFC 5802; only where a backend brings it */
	SMTP_MECHANISM_SCRAM_SHA_256, /* RFC 7677 */
	SMTP_MECHANISM_SCRAM_SHA_256_PLUS,
	SMTP_MECHANISM_OAUTHBEARER, /* RFC 7628 */
	SMTP_MECHANISM_XOAUTH2 /* Google's and Microsoft's */
};
#define SMTP_MECHANISM_COUNT 8
/* In that order */
#define SMTP_MECHANISM_NAMES \
	"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "XOAUTH2"

extern const char *const smtp_mechanism_names[SMTP_MECHANISM_COUNT];

#define SMTP_MECHANISM_BIT(id) (1u << (id))
#define SMTP_MECHANISM_ALL ((1u << SMTP_MECHANISM_COUNT) - 1)
/*
 * Where nothing is said. Clients take CRAM-MD5 first where it is offered and fail for every user whose password is not
 * kept in the clear: it is for the listener of the device that needs it.
 */
#define SMTP_MECHANISM_USUAL (SMTP_MECHANISM_ALL & ~SMTP_MECHANISM_BIT(SMTP_MECHANISM_CRAM_MD5))

/* 0: not in the table. Names are in capitals. */
unsigned smtp_mechanism_bit(const char *name, size_t len);
/* The bits of names separated by blanks; those that are not in the table are passed over. */
unsigned smtp_mechanism_set(const char *names);
/* Appends the names of the set, separated by blanks; bits of no mechanism are passed over. */
void smtp_mechanism_put(struct buf *out, unsigned set);

#endif
