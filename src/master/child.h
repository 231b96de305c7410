/* SPDX-License-Identifier: ISC */
/* The master's book of its children: born, told, buried. */
#ifndef MASTER_CHILD_H
#define MASTER_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum child_role {
	ROLE_WORKER, /* many */
	/* one of each, or none */
	ROLE_RELAY,
	ROLE_AUTH,
	ROLE_PROGRAMS,
	ROLE_KEYS, /* private keys of certificates */
	ROLE_MONITOR /* figures and health */
};
#define CHILD_ROLES 6

struct child {
	pid_t pid; /* 0: this place is free */
	enum child_role role;
	unsigned slot; /* of the scoreboard, workers only */
	int control_fd; /* the master's end of its control line */
	int64_t born_mono_ms;
	bool told; /* was asked to retire or stop */
	bool old; /* another one takes, or took, its place; not of workers */
	unsigned batch; /* workers: which they were started with (turnover.c) */
	bool foreign; /* workers: of the executable before this one; they write to another scoreboard */
	bool has_guest; /* workers: code that is not ours may run in it (a module) */
	int64_t kill_at_mono_ms; /* it has to be gone by then; 0: no such time */
};

const char *child_role_name(enum child_role role);

/*
 * fork() with a control line between. In the child 0 is returned, *control_fd
 * is its end and signals are as a child wants them: those meant for the
 * master are ignored (the control line speaks), nothing is blocked. In the
 * master c is filled and the pid returned. -1 on failure.
 */
pid_t child_spawn(struct child *c, enum child_role role, int *control_fd, struct err *e);
/* Signals as they are in a child, see above: for a process that the master forks by itself. */
void child_take_signals(void);
/* One byte down the control line; a child that does not read any more is dying anyway. */
void child_tell(struct child *c, char what);
/*
 * It is gone: closes the line, logs how it ended; true when that was not in order. guest: whose code it died
 * in, and in which function of that; NULL: none's but ours. Who dies in there is not in order, whatever its
 * exit status.
 */
bool child_bury(struct child *c, int wait_status, const char *guest, const char *function);

#endif
