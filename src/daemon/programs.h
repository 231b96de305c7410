/* SPDX-License-Identifier: ISC */
/* The programs that a configuration names (program/command.h), and the process that runs them. */
#ifndef DAEMON_PROGRAMS_H
#define DAEMON_PROGRAMS_H

#include <stdbool.h>

#include "config/config.h"
#include "master/rights.h"
#include "program/command.h"

bool programs_are_configured(const struct config *cfg);
/* By enum program_command; points into the configuration, which outlives it. */
void programs_configured(struct program_setting setting[PROGRAM_COMMANDS], const struct config *cfg);

/* Those of program_user, with its groups. */
int programs_find_rights(struct rights *rights, const struct config *cfg, struct err *e);

/*
 * Whether program_user, whom this becomes in a process of its own, can execute each of them; all that cannot be are
 * reported.
 */
bool programs_are_usable(const struct config *cfg, void (*report)(void *ctx, const char *text), void *ctx);

#endif
