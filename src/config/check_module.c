/* SPDX-License-Identifier: ISC */
/* The rules about modules. */
#include "config/check_internal.h"
#include "handler/facts.h"

static void handler_has_a_module(struct check *c)
{
	if (handler_find(c->cfg->handler) == HANDLER_MODULE && !c->cfg->module)
		check_fail(c, "handler \"module\" needs one: set module to the path of a shared object");
}

static void arguments_have_a_module(struct check *c)
{
	if (c->cfg->module_argument_count > 0 && !c->cfg->module)
		check_fail(c, "module_arguments has no effect: set module");
}

const struct check_rule check_module_rules[] = {
	{ CONFIG_TOP, { "handler", "module" }, handler_has_a_module },
	{ CONFIG_TOP, { "module", "module_arguments" }, arguments_have_a_module },
};
const size_t check_module_rule_count = sizeof(check_module_rules) / sizeof(check_module_rules[0]);
