/* SPDX-License-Identifier: ISC */
/* The process that runs the programs of a configuration (config/programs.h). */
#ifndef DAEMON_PROGRAMS_H
#define DAEMON_PROGRAMS_H

#include <stdbool.h>

#include "config/config.h"
#include "master/rights.h"

/* Those of program_user, with its groups. */
int programs_find_rights(struct rights *rights, const struct config *cfg, struct err *e);

/*
 * Whether program_user, whom this becomes in a process of its own, can execute each of them; all that cannot
 * be are reported.
 */
bool programs_are_usable(const struct config *cfg, void (*report)(void *ctx, const char *text), void *ctx);

#endif
