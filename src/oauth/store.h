/* SPDX-License-Identifier: ISC */
/*
 * The file with the tokens of one upstream: JSON, mode 0600, replaced as a
 * whole. Read and written by the relay and by `posthouse oauth`, both as the
 * relay's user; the lock beside it keeps them from using one refresh token
 * twice at a time, which some servers answer by withdrawing it.
 *
 *   FILE        the tokens; appears whole or not at all
 *   FILE.new    being written; a leftover of a crash is overwritten
 *   FILE.lock   empty; who holds its lock may ask the server and write FILE
 */
#ifndef OAUTH_STORE_H
#define OAUTH_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define STORE_BYTES_MAX (128 << 10)

/* All texts are owned. */
struct oauth_stored {
	char *access_token; /* NULL: none */
	char *refresh_token; /* NULL: none */
	char *scope; /* NULL: not said */
	int64_t obtained_wall_s, expires_wall_s; /* of the access token; 0: none */
	char *last_error; /* why the last attempt failed; NULL: it did not */
	int64_t last_error_wall_s;
};
void oauth_stored_release(struct oauth_stored *s); /* overwrites the tokens */

enum oauth_store_found {
	OAUTH_STORE_OK,
	OAUTH_STORE_MISSING, /* there is no file */
	OAUTH_STORE_BAD /* it is there and cannot be used: e names it, what is wrong, and what to do; nothing of its content */
};

/*
 * Refused: not a regular file (also a symbolic link), accessible for more than owner and group reading, writable by
 * others than the owner, too large, not as we write it.
 */
enum oauth_store_found oauth_store_load(const char *file, struct oauth_stored *s, struct err *e);
/* Durable when it returns 0. On -1 what was there before is still there. */
int oauth_store_save(const char *file, const struct oauth_stored *s, struct err *e);

/* The descriptor that holds the lock, to be closed; -1 and e, with os_error EWOULDBLOCK when somebody else has it. */
int oauth_store_lock(const char *file, struct err *e);

/*
 * Makes the folder of token files, mode 0700 and that user's ((uid_t)-1: ours), with the folders above it (0755). Who
 * cannot make it, not being root, finds out when it is used; root makes sure that it is nobody else's.
 */
int oauth_store_make_folder(const char *folder, uid_t uid, gid_t gid, struct err *e);

/* What shows that the file is another one than before. All 0: there is none. */
struct oauth_stamp {
	dev_t dev;
	ino_t ino;
	int64_t mtime_ns;
	off_t size;
};
struct oauth_stamp oauth_store_stamp(const char *file);
bool oauth_stamp_equal(const struct oauth_stamp *a, const struct oauth_stamp *b);

#endif
