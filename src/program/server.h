/* SPDX-License-Identifier: ISC */
/*
 * The program process at work (protocol.h): takes requests and forks a child
 * for each run (run.h), as many at a time as may be. Runs as program_user; it
 * never reads what a client said.
 *
 * A run ends with everything that it started: nothing that a program leaves
 * behind outlives it, wherever it moved to (prctl(2), PR_SET_CHILD_SUBREAPER).
 */
#ifndef PROGRAM_SERVER_H
#define PROGRAM_SERVER_H

#include <stdatomic.h>

#include "base/control.h"
#include "base/err.h"
#include "program/command.h"

struct program_server_config {
	int request_fd; /* read end of the shared pair */
	struct control *control;
	const struct program_setting *command; /* by enum program_command */
	unsigned max_programs; /* at a time; more wait */
	_Atomic bool *ready; /* set when requests are served */
	/* While the service stops: whether somebody may still ask. NULL: nobody */
	bool (*wanted)(void *ctx);
	void *ctx;
};

/*
 * Until the control line says to end: at a stop when no run is left and nobody wants one, or its grace is
 * over.
 */
int program_server_run(const struct program_server_config *cfg, struct err *e);

#endif
