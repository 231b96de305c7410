/* SPDX-License-Identifier: ISC */
/*
 * How one generation takes the place of another (hooks of master/supervise.h; ctx is the service in use). At HUP
 * the configuration is tried in a process of its own (trial.h), as posthoused -t does; then a generation is made of
 * it beside the one in use; only when all of it is good it comes into use. USR2 tries the configuration in the
 * same way, then the new executable (upgrade.h). What is refused is logged, and all stays as it was. None of
 * these waits for what is tried; they run in the master.
 */
#ifndef DAEMON_SUCCESSION_H
#define DAEMON_SUCCESSION_H

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/service.h"
#include "master/supervise.h"

/* HUP: begins; with no configuration file, only files that it named are read again. */
enum master_change succession_reload(void *ctx);
/* USR2: begins. */
enum master_change succession_upgrade(void *ctx);
/* A child of no role has ended: what was tried, perhaps, and then it goes on. */
enum master_change succession_ended(void *ctx, pid_t pid, int wait_status);
/* Executes what was tried; returns only when that failed, and all goes on. */
void succession_execute(void *ctx, const struct child *const *child, unsigned count);
/* What children are to be replaced now; changed: files that workers inherit have. */
enum master_change succession_of_files(struct service *s, bool changed);

#endif
