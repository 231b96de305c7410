/* SPDX-License-Identifier: ISC */
/*
 * The users file (posthouse-users(5)) in memory: read whole at each exchange,
 * so that a change counts at once, by the process that verifies and ends
 * with it. What one line holds is users_line's.
 */
#ifndef AUTH_USERS_FILE_H
#define AUTH_USERS_FILE_H

#include <stddef.h>
#include <sys/stat.h>

#include "auth/users_line.h"
#include "base/err.h"

#define USERS_FILE_MAX (16 << 20) /* octets: some fifty thousand users */

struct users_file {
	char *path;
	char *text; /* NUL ended */
	size_t len;
	struct stat st;
};

/*
 * Refused, besides what cannot be read: what others can (the rule of config/secret.h), and what is too long.
 */
int users_file_read(struct users_file *f, const char *path, struct err *e);
/* The same from a descriptor, which stays the caller's; path is for messages. */
int users_file_read_fd(struct users_file *f, int fd, const char *path, struct err *e);
void users_file_release(struct users_file *f); /* overwrites, then frees */

/* A walk over the lines that are neither empty nor comments; starts zeroed. */
struct users_cursor {
	size_t next; /* offset of the line behind */
	unsigned number; /* of the line, from 1 */
	const char *line, *name; /* name: the first field, as it stands there */
	size_t len, name_len;
};
bool users_file_next(const struct users_file *f, struct users_cursor *at);
/* Whether that line is of the user; name is prepared (prep_name). */
bool users_cursor_is(const struct users_cursor *at, const char *name);

enum users_found {
	USERS_FOUND,
	USERS_UNKNOWN,
	USERS_UNUSABLE /* its line is wrong, or it stands twice: e has file:line */
};
enum users_found users_file_find(const struct users_file *f, const char *name, struct users_entry *out,
				 struct err *e);

/*
 * The user whose hash is computed when `name` is unknown: always the same for a name, and chosen like any of
 * them, so that the time tells nothing. False: nobody can log in.
 */
bool users_file_stand_in(const struct users_file *f, const char *name, struct users_entry *out);

/* What the users of the file can log in with. */
struct users_summary {
	size_t users; /* that can log in */
	size_t with_scram, with_clear; /* of those */
	size_t wrong; /* lines */
};
/* report gets "file:line: ..." for each line that is wrong; NULL: nobody wants to know. */
void users_file_check(const struct users_file *f, struct users_summary *sum,
		      void (*report)(void *ctx, const char *message), void *ctx);

#endif
