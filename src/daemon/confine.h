/* SPDX-License-Identifier: ISC */
/*
 * What each role may still do when it has begun: one table (confine.c) of the system calls, files, ports and
 * limits of every role. A role enters it when it has its rights and all that it opens once, and before a stranger
 * can say a word to it. SECURITY.md tells what that is worth.
 */
#ifndef DAEMON_CONFINE_H
#define DAEMON_CONFINE_H

#include "base/err.h"
#include "config/config.h"
#include "master/child.h"
#include "sandbox/filter.h"
#include "sandbox/support.h"

struct sandbox_watch;

struct confine {
	const struct config *cfg;
	struct sandbox_support support;
	struct sandbox_filter *filter[CHILD_ROLES]; /* NULL: none for that role */
	struct sandbox_watch *watch; /* of all generations; NULL: none had listeners; the house's */
};

/*
 * In the master, before the first fork. Says in the log what there is, and what this machine cannot do. *watch is
 * made when it is NULL and there is something to watch; it logs what was not allowed and ends who did it, and
 * outlives this.
 */
int confine_prepare(struct confine *c, const struct config *cfg, struct sandbox_watch **watch, struct err *e);
void confine_release(struct confine *c);

/* In a child, as its last step before it works; its rights are dropped. Once. */
int confine_enter(struct confine *c, enum child_role role, struct err *e);

/* The same for the process that writes the log's file, which is no role (logging.h): of cfg, seccomp and landlock. */
int confine_log_writer(const struct config *cfg, struct err *e);

#endif
