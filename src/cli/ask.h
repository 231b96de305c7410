/* SPDX-License-Identifier: ISC */
/* One question to the relay, one object back. */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include <jansson.h>

#include "cli/daemon.h"

#define ASK_TIMEOUT_MS 10000

/*
 * {"ask":what}. DAEMON_CONNECTED: *answer is the caller's reference. Otherwise NULL, and e; DAEMON_FAILED also when
 * it does not answer within timeout_ms, or nonsense.
 */
enum daemon_found ask_daemon(const char *spool_path, const char *what, int timeout_ms, json_t **answer, struct err *e);

#endif
