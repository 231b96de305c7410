/* SPDX-License-Identifier: ISC */
/* Files with messages that a verb was given, or found in a folder that it was given. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stdbool.h>

#include "base/err.h"

/*
 * A file that was named is whatever its name leads to. One that was found in a folder was perhaps put there
 * by whoever may write to it: neither a link to what only root may read, nor a pipe that nobody writes to. -1
 * and e; e->os_error is 0 when it is found and none that may be read.
 */
int input_open(const char *path, bool found, struct err *e);
/* A regular file that begins as an mbox does. */
bool input_is_mbox(const char *path);
/* path/name is a folder. */
bool input_has_folder(const char *path, const char *name);

#endif
