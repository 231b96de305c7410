/* SPDX-License-Identifier: ISC */
/*
 * Going into the background (without -F): the command returns only when the
 * service is ready, with status 0, or when it failed, with the reason on
 * standard error, so that an init script can believe it.
 */
#ifndef DAEMON_BACKGROUND_H
#define DAEMON_BACKGROUND_H

#include <stdbool.h>

#include "base/err.h"

struct background {
	int ready_fd; /* the waiting command's end, -1: we are in the foreground */
};
#define BACKGROUND_NONE { -1 }

/*
 * Forks; the caller goes on in the child, in a session of its own, with
 * /dev/null as standard input, output and (unless the log goes there) error.
 * The parent waits and exits.
 */
int background_begin(struct background *bg, bool keep_stderr, struct err *e);
/* The service is ready: lets the parent go. ctx is the struct. */
void background_ready(void *ctx);
/* It will not be: the parent prints why and exits with a failure. */
void background_failed(struct background *bg, const struct err *e);

#endif
