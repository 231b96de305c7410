/* SPDX-License-Identifier: ISC */
/* The programs that a configuration names, as program/command.h has them. */
#ifndef CONFIG_PROGRAMS_H
#define CONFIG_PROGRAMS_H

#include "config/config.h"
#include "program/command.h"

struct config_programs {
	struct program_setting setting[PROGRAM_COMMANDS]; /* by enum program_command; word_count 0: none */
	const char *mailman[3]; /* the words of that one: it stays where it is */
};

/* Points into the configuration, which outlives it, and into itself. */
void config_programs_init(struct config_programs *p, const struct config *cfg);
/* Whether there is any. */
bool config_runs_programs(const struct config *cfg);

#endif
