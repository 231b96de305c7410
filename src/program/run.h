/* SPDX-License-Identifier: ISC */
/*
 * One run, in a child of the program process: takes the job from the socket,
 * starts the program in a session of its own with a copy of the message as its
 * standard input, reads what it writes, and ends it when its time is over, when
 * who asked hangs up, or at TERM. Then all that it left behind is killed, and
 * the answer sent.
 *
 * The message is a file and no pipe: whatever dies in between, no program takes
 * a part of it for the whole.
 *
 * The program has descriptors 0, 1 and 2 and no others, an environment of
 * nothing but the facts and a few fixed variables, "/" as its folder, umask
 * 077, no core files, and signals as every program expects them. It gains no
 * rights by set-user-id or set-group-id bits (the role gave that up).
 *
 * Log lines: program, program_stderr (posthouse.conf(5)).
 */
#ifndef PROGRAM_RUN_H
#define PROGRAM_RUN_H

#include <sys/resource.h>

#include "program/command.h"

struct run_setup {
	const struct program_setting *command; /* of all, by enum program_command */
	const char *user, *home; /* for the environment */
	struct rlimit files; /* RLIMIT_NOFILE as the service was started with */
};

/* Blocks until it is over. CHLD and TERM are blocked; fd is closed. */
void run_job(const struct run_setup *setup, enum program_command command, int fd);

#endif
