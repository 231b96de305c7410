/* SPDX-License-Identifier: ISC */
/* The argument that MAIL and RCPT share: "FROM:" or "TO:", a path, parameters (RFC 5321 4.1.1.2, .3). */
#ifndef SESSION_PATH_ARGUMENT_H
#define SESSION_PATH_ARGUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "smtp/params.h"
#include "smtp/path.h"

struct session;

struct path_argument {
	struct smtp_path path;
	struct smtp_params params; /* point into the argument */
};

/* False after a 501 went out. path_flags: enum smtp_path_flags; UTF-8 is always read, for the caller to judge; addresses
 * without a domain where the configuration says so. */
bool path_argument_read(struct session *s, const char *verb, const char *keyword, const char *arg, size_t len,
			unsigned path_flags, struct path_argument *out);

#endif
