/* SPDX-License-Identifier: ISC */
/*
 * What is kept of a password, in the notation of a users file: "{SCHEME}value"
 * (posthouse-users(5), which is Dovecot's), made from a password and compared
 * with one. Pure but for the time it takes, and the salt's randomness.
 */
#ifndef AUTH_CREDENTIAL_H
#define AUTH_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/backend.h"
#include "base/buf.h"
#include "base/err.h"

#define CREDENTIAL_TEXT_MAX 2048 /* octets of "{SCHEME}value" */
#define CREDENTIAL_HASH_MAX 384 /* what crypt(3) gives, with the NUL */

enum credential_kind {
	CREDENTIAL_CRYPT, /* a hash of crypt(3) */
	CREDENTIAL_SCRAM, /* SCRAM-SHA-256 verifier: iterations, salt, StoredKey, ServerKey (RFC 5803) */
	CREDENTIAL_CLEAR /* the password itself */
};

struct credential {
	enum credential_kind kind;
	bool locked; /* CRYPT: a hash with '!' or '*' in front, as in shadow(5): nobody logs in with it */
	char hash[CREDENTIAL_HASH_MAX]; /* CRYPT; with what locks it */
	unsigned iterations; /* SCRAM; the rest is base64 */
	char salt[128], stored_key[64], server_key[64];
	char clear[AUTH_PASSWORD_MAX]; /* CLEAR */
};

#define CREDENTIAL_ITERATIONS_MIN 4096 /* RFC 7677 4 */
#define CREDENTIAL_ITERATIONS_MAX 10000000 /* some seconds of ours at each try */

/* e says what is wrong, and nothing of the value. Without {SCHEME} it is a hash of crypt(3). */
int credential_parse(struct credential *c, const char *text, size_t len, struct err *e);
void credential_format(const struct credential *c, struct buf *out);
void credential_cleanse(struct credential *c);
/* The scheme as people know it: "yescrypt", "bcrypt", "SCRAM-SHA-256", "clear". */
const char *credential_name(const struct credential *c);

/* Takes the time that the credential wants, also when it is locked (then: false). */
bool credential_matches(const struct credential *c, const char *password);

/*
 * The ways of crypt(3) that new passwords may be hashed with; the first one is the default. Ended by a NULL
 * name.
 */
struct credential_method {
	const char *name; /* "yescrypt" */
	const char *prefix; /* "$y$" */
	size_t password_max; /* octets of a password that count */
};
extern const struct credential_method credential_methods[];
const struct credential_method *credential_method_find(const char *name);

/*
 * The password is prepared already (prep_text). -1 and e: this libcrypt cannot, or the password is too long
 * for it.
 */
int credential_make_crypt(struct credential *c, const struct credential_method *method, const char *password,
			  struct err *e);
int credential_make_scram(struct credential *c, unsigned iterations, const char *password, struct err *e);
int credential_make_clear(struct credential *c, const char *password, struct err *e);
/* One that no password matches, as costly as those that are made by default. */
int credential_make_dummy(struct credential *c, struct err *e);

#endif
