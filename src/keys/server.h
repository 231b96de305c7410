/* SPDX-License-Identifier: ISC */
/*
 * The key process at work (protocol.h): takes connections of workers and
 * answers what they ask, with as many threads as there are processors, each
 * connection a question at a time. Nobody waits for another's connection, and
 * who asks without end only has its turn.
 *
 * Log lines: keys_refused, keys_error.
 */
#ifndef KEYS_SERVER_H
#define KEYS_SERVER_H

#include <stdatomic.h>

#include "base/control.h"
#include "base/err.h"
#include "keys/vault.h"

struct keys_server_config {
	int line_fd; /* read end of the shared pair */
	struct control *control;
	const struct vault *vault;
	/* connections; beyond it the one that was quiet for longest goes, and may come back */
	unsigned max_clients;
	unsigned threads;
	_Atomic bool *ready; /* shared memory: set when requests are served */
};

/*
 * Until nobody can ask any more: the line is at its end (all who had its other end are gone) and the connections
 * are; or told to stop and the connections are gone, at the latest when the grace is over.
 */
int keys_server_run(const struct keys_server_config *cfg, struct err *e);

#endif
