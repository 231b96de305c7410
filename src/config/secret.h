/* SPDX-License-Identifier: ISC */
/*
 * A secret (password) from the file that holds it. Called after the fork by
 * the one process that needs it, so that no other ever has it.
 */
#ifndef CONFIG_SECRET_H
#define CONFIG_SECRET_H

#include <sys/stat.h>

#include "base/err.h"

#define SECRET_BYTES_MAX 4096

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

#endif
