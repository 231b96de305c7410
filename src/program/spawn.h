/* SPDX-License-Identifier: ISC */
/* A program started with nothing but what it is given (see run.h). */
#ifndef PROGRAM_SPAWN_H
#define PROGRAM_SPAWN_H

#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"

struct spawned {
	pid_t pid; /* also its session and process group */
	int out, err; /* our ends of its 1 and 2; non-blocking */
};

/*
 * in becomes its 0 and stays the caller's. 0, or -1 and why; then nothing is left to be closed or waited for.
 */
int spawn_program(struct spawned *p, int in, char *const argv[], char *const envp[],
		  const struct rlimit *files, struct err *e);

#endif
