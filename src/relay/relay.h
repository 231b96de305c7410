/* SPDX-License-Identifier: ISC */
/*
 * The relay process: drains the spool to the upstream. One event loop, many
 * upstream connections. Only this process (and a CLI that holds the spool's
 * lock) changes or removes queued files.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/control.h"
#include "base/err.h"
#include "relay/retry.h"
#include "spool/spool.h"
#include "upstream/upstream.h"

struct relay_setup {
	const struct spool *spool; /* opened SPOOL_MANAGE */
	struct upstream_settings upstream;
	unsigned max_connections; /* at least 1 */
	unsigned messages_per_connection; /* 0: no limit */
	struct retry_limits retry; /* of a message */
	struct retry_limits probe; /* of a failing upstream */
	int64_t started_wall_us; /* of the service, by clock_file_us(): what incoming/ holds from before is a leftover */
	int notice_fd; /* read end of the pipe on which workers name new messages; non-blocking */
	_Atomic bool *rescan_wanted; /* set when a notice was lost */
	_Atomic bool *ready; /* set by the relay when it has listed the spool */
	struct control *control;
	bool trace; /* log every line of the SMTP dialogue at debug level */
};

/* Runs until the control line says stop. 0 after an orderly end, -1 and e when it could not start. */
int relay_run(const struct relay_setup *setup, struct err *e);

/*
 * By a worker, after a commit: names the message on the pipe. Never blocks:
 * when the pipe is full the relay is asked to list the spool instead.
 */
void relay_notify(int notice_fd, _Atomic bool *rescan_wanted, const char *id);

#endif
