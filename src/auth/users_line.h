/* SPDX-License-Identifier: ISC */
/*
 * A line of a users file (posthouse-users(5)), read and written. It is a line
 * of Dovecot's passwd-file:
 *
 *   name:{SCHEME}value:uid:gid:gecos:home:shell:extra fields, separated by blanks
 *
 * with one extra field of our own, posthouse_credential={SCHEME}value, for what
 * else is known of the user's password. Pure.
 */
#ifndef AUTH_USERS_LINE_H
#define AUTH_USERS_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/backend.h"
#include "auth/credential.h"
#include "base/buf.h"
#include "base/err.h"

#define USERS_LINE_MAX 8192
#define USERS_CREDENTIALS_MAX 4

struct users_entry {
	char name[AUTH_USER_MAX];
	bool nologin; /* Dovecot's field of that name: the user may not log in */
	size_t count; /* of credentials, 1 at least */
	struct credential credential[USERS_CREDENTIALS_MAX]; /* the first one is the second field's */
};

/*
 * False: the line is empty or a comment. Else where its name is, which users_line_parse may find to be none.
 */
bool users_line_name(const char *line, size_t len, const char **name, size_t *name_len);
/* A line with a name, without its newline. e says what is wrong, and shows neither name nor secret. */
int users_line_parse(const char *line, size_t len, struct users_entry *u, struct err *e);
/* Why the user cannot log in; NULL: nothing is in the way. */
const char *users_entry_locked(const struct users_entry *u);
/* The first credential of a kind; NULL: none. */
const struct credential *users_entry_find(const struct users_entry *u, enum credential_kind kind);
void users_entry_cleanse(struct users_entry *u);

/*
 * Appends a line, without newline, for these credentials. old: the user's line as it was, of which name and
 * the other fields are kept; NULL: there was none.
 */
void users_line_write(const char *name, const struct credential *credentials, size_t count, const char *old,
		      size_t old_len, struct buf *out);

#endif
