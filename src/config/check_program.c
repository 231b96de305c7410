/* SPDX-License-Identifier: ISC */
/* See check.h: the programs that get messages. One rule a function. */
#include <string.h>

#include "config/check_internal.h"

static void exec_has_a_program(struct check *c)
{
	if (strcmp(c->cfg->handler, "exec") == 0 && c->cfg->exec_command_count == 0)
		check_fail(c, "exec_command is missing: handler \"exec\" gives each message to a program");
}

const struct check_rule check_program_rules[] = {
	{ CONFIG_TOP, { "handler", "exec_command" }, exec_has_a_program },
};
const size_t check_program_rule_count = sizeof(check_program_rules) / sizeof(check_program_rules[0]);
