/* SPDX-License-Identifier: ISC */
/*
 * Where this service's log goes (log, log_format, log_level), in the master: opening it, the process that writes
 * its file (log_writer.h), opening that file anew. One a process, as base/log.h is. Children inherit what is
 * open, and need none of this.
 */
#ifndef DAEMON_LOGGING_H
#define DAEMON_LOGGING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config.h"

/*
 * At the start, and again with another configuration: from now on the log is as cfg says. The file is opened as
 * who we are, root if we were started so. -1: nothing has changed. Strings of cfg are not kept.
 */
int logging_open(const struct config *cfg, bool foreground, struct err *e);
/*
 * For an executable that takes the place of this one in the same process: the writer of the file stays, so that those
 * who log to it already and those who will have one file. describe fills in descriptors (-1: none) and returns the
 * writer's process; adopt is called with them, before logging_open.
 */
int64_t logging_describe(int fd[3]);
void logging_adopt(const int fd[3], int64_t writer);
/* Once, in the process that is to be the master, before it forks others: starts the writer of the file. */
int logging_begin(const struct config *cfg, struct err *e);
/* About once a second: a file that was moved away, a writer that died, lines that were lost. */
void logging_tick(void);
/* USR1: the file is opened anew, whatever has become of it. */
void logging_reopen(void);
/* The last lines are written; waits for that, not long. Nothing is logged behind it. */
void logging_end(void);

bool logging_is_to_stderr(void);
/* For -t: whether the file could be opened; makes none. */
bool logging_is_usable(const struct config *cfg, void (*report)(void *ctx, const char *text), void *ctx);

#endif
