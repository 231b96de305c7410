/* SPDX-License-Identifier: ISC */
/*
 * A secret (password) from the file that holds it. Called after the fork by
 * the one process that needs it, so that no other ever has it.
 */
#ifndef CONFIG_SECRET_H
#define CONFIG_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/err.h"

#define SECRET_BYTES_MAX 4096
#define SECRET_FILE_BYTES_MAX ((size_t)256 << 10) /* of a certificate with its chain and key */

/*
 * How a configuration names the file of a secret: an absolute path, or
 * "credential:NAME" for what systemd passes with LoadCredential= and the
 * like: NAME in the folder that the environment names in
 * CREDENTIALS_DIRECTORY. Everything here takes both.
 */
#define SECRET_CREDENTIAL "credential:"

/* Whether it is one of the two. */
int secret_name_check(const char *name, struct err *e);
/* Whether only the service could read it: a credential, which this process was not passed. */
bool secret_is_elsewhere(const char *name);
/* The path behind the name, allocated; -1: there are no credentials. */
int secret_path(const char *name, char **path, struct err *e);

/*
 * The content of the file without one trailing newline. Refused, with a
 * message that never holds any of the content: a file that is empty, longer
 * than SECRET_BYTES_MAX, of several lines, with a NUL, not regular, readable
 * by everyone, or writable by anyone but its owner. A symbolic link is
 * followed: systemd credentials and container secrets are such.
 * On success *secret is to be released with secret_free.
 */
int secret_read(const char *file, char **secret, struct err *e);
/* The rule about kind and mode of a file with secrets, for who reads others than those of one line; what: its kind. */
int secret_check_file(const char *what, const char *file, const struct stat *st, struct err *e);
/* Overwrites, then frees. NULL is allowed. */
void secret_free(char *secret);

/*
 * The whole content of a file of up to SECRET_FILE_BYTES_MAX, as it is, under the same rules; with is_public
 * everyone may read it (a certificate). *data has a NUL behind *len; it is released with secret_free_data.
 */
int secret_read_data(const char *file, bool is_public, char **data, size_t *len, struct err *e);
void secret_free_data(char *data, size_t len);

#endif
