/* SPDX-License-Identifier: ISC */
/* See check.h: the programs that get messages. One rule a function. */
#include <string.h>

#include "config/check_internal.h"
#include "config/programs.h"
#include "handler/facts.h"

static void exec_has_a_program(struct check *c)
{
	if (handler_find(c->cfg->handler) == HANDLER_EXEC && c->cfg->exec_command_count == 0)
		check_fail(c, "exec_command is missing: handler \"exec\" gives each message to a program");
}

/* Whoever runs programs must not reach what the others have: the spool, sessions, passwords. */
static void programs_are_apart(struct check *c)
{
	const struct config *cfg = c->cfg;
	const struct {
		const char *key, *user;
	} others[] = { { "user", cfg->user },
		       { "smtp_user", cfg->smtp_user },
		       { "auth_user", cfg->auth_user },
		       { "keys_user", cfg->keys_user } };

	if (!config_runs_programs(cfg) || !cfg->program_user)
		return;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (others[i].user && strcmp(others[i].user, cfg->program_user) == 0)
			check_fail(c,
				   "program_user and %s are the same: programs could reach all that this one "
				   "has",
				   others[i].key);
}

const struct check_rule check_program_rules[] = {
	{ CONFIG_TOP, { "handler", "exec_command" }, exec_has_a_program },
	{ CONFIG_TOP, { "program_user", "user", "smtp_user", "auth_user", "keys_user" }, programs_are_apart },
};
const size_t check_program_rule_count = sizeof(check_program_rules) / sizeof(check_program_rules[0]);
