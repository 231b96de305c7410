/* SPDX-License-Identifier: ISC */
/*
 * Changing a users file: under a lock, so that two who do it at once do it
 * one after the other, and by a new file in the place of the old one, so that
 * who reads it sees one or the other. Every line that is not meant stays as
 * it is. Run by `posthouse user`, with the operator's rights.
 */
#ifndef AUTH_USERS_EDIT_H
#define AUTH_USERS_EDIT_H

#include <sys/types.h>

#include "auth/users_file.h"
#include "base/buf.h"
#include "base/err.h"

/* What a users file gets that is not there yet. */
struct users_edit_new {
	mode_t mode;
	gid_t gid; /* (gid_t)-1: as it comes */
};

struct users_edit {
	char *path; /* of the file itself, symbolic links followed */
	int fd; /* the file, locked */
	struct users_file old;
	struct buf text; /* what is to be in it */
};

/*
 * Waits for whoever changes it now. create: NULL: the file must be there.
 * On success it is to be ended by users_edit_commit or users_edit_abort.
 */
int users_edit_begin(struct users_edit *x, const char *path, const struct users_edit_new *create,
		     struct err *e);

enum users_edit_result {
	USERS_EDIT_DONE,
	USERS_EDIT_EXISTS, /* add: there is a line of that user */
	USERS_EDIT_UNKNOWN, /* change, remove: there is none */
	USERS_EDIT_FAILED /* change: there are several; and e */
};
/* One call between begin and commit; name is prepared (prep_name). */
enum users_edit_result users_edit_add(struct users_edit *x, const char *name,
				      const struct credential *credentials, size_t count);
/* Name and other fields of the user's line stay. */
enum users_edit_result users_edit_change(struct users_edit *x, const char *name,
					 const struct credential *credentials, size_t count, struct err *e);
enum users_edit_result users_edit_remove(struct users_edit *x,
					 const char *name); /* every line of that user */

/*
 * Temporary file beside it, with owner, group and mode of the old one, fsync, rename, fsync of the folder.
 * Until the rename nothing has happened; behind it all has, and a crash that loses it leaves the old file.
 */
int users_edit_commit(struct users_edit *x, struct err *e);
void users_edit_abort(struct users_edit *x);

#endif
