/* SPDX-License-Identifier: ISC */
/*
 * Log lines of workers and master on their way to operators who watch: as
 * datagrams to the relay, only while somebody does, and never waited for.
 */
#ifndef DAEMON_EVENTS_H
#define DAEMON_EVENTS_H

#include <stddef.h>

#include "base/err.h"
#include "base/log.h"

/* fd[0] is read by the relay, fd[1] written by the others; both non-blocking, kept across their restarts. */
int events_open(int fd[2], struct err *e);
/* A log_tap_function; ctx is the service. A line that cannot be sent at once is counted and forgotten. */
void events_send(void *ctx, enum log_level level, const char *line, size_t len);

#endif
