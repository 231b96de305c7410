/* SPDX-License-Identifier: ISC */
/* See check.h: the rules between the keys of handler "mailman". One rule a function. */
#include <string.h>

#include "config/check_internal.h"
#include "config/mailman.h"

static void mailman_has_an_upstream(struct check *c)
{
	const struct config *cfg = c->cfg;

	if (!config_is_mailman(cfg) ||
	    (c->source->is_bad &&
	     c->source->is_bad(c->source->ctx, CONFIG_UPSTREAM, CHECK_ANY, "remoteaddr")))
		return;
	if (config_mailman_upstream(cfg) == cfg->upstream_count)
		check_fail(c, "mailman_upstream: there is no upstream \"%s\"", cfg->mailman_upstream);
	else if (cfg->upstream_count == 1)
		check_fail(
			c,
			"remoteaddr is missing: where is mail to go that is not for one of Mailman's lists?");
}

/* Whoever writes it wants it used. */
static void mailman_keys_are_used(struct check *c)
{
	const struct config *cfg = c->cfg;

	if (!config_is_mailman(cfg) && (cfg->mailman_password_file || cfg->mailman_domains_count > 0 ||
					cfg->mailman_maps_count > 0 || cfg->mailman_command))
		check_fail(c, "mailman_... has no effect: set handler = \"mailman\"");
}

static void mailman_can_be_asked(struct check *c)
{
	const struct config *cfg = c->cfg;

	if (!config_is_mailman(cfg))
		return;
	if (cfg->mailman_command && cfg->mailman_maps_count == 0)
		check_fail(
			c,
			"mailman_command without mailman_maps: which lists there are, Mailman 2 says in its "
			"data/aliases alone");
	else if (cfg->mailman_command && cfg->mailman_domains_count == 0)
		check_fail(
			c,
			"mailman_command without mailman_domains: the aliases of Mailman 2 name no domains");
	else if (!config_mailman_url(cfg) && cfg->mailman_maps_count == 0)
		check_fail(
			c,
			"mailman_url = none without mailman_maps: nothing would say which lists there are");
	if (!config_mailman_url(cfg) && cfg->mailman_password_file)
		check_fail(c, "mailman_password_file has no effect: Mailman is not asked over mailman_url");
}

/* The program is there for one upstream alone, which has nothing else. */
static void program_is_mailmans(struct check *c)
{
	const struct config_upstream *u = &c->cfg->upstream[c->index];
	bool is_mailmans = config_mailman_upstream(c->cfg) == c->index, is_program = false;

	for (size_t i = 0; i < u->remoteaddr_count; i++)
		is_program = is_program || u->remoteaddr[i].program;
	if (is_program && (!is_mailmans || !c->cfg->mailman_command))
		check_fail(c, "remoteaddr: program:mailman is for the upstream of mailman_upstream, with "
			      "mailman_command");
	else if (is_program && u->remoteaddr_count > 1)
		check_fail(c, "remoteaddr: program:mailman goes with no other address");
	else if (is_mailmans && c->cfg->mailman_command && !is_program)
		check_fail(c,
			   "remoteaddr: with mailman_command the upstream \"%s\" has remoteaddr = "
			   "\"program:mailman\"",
			   u->name);
	else if (is_program && (u->tls != UPSTREAM_TLS_NONE || u->user || u->proxy))
		check_fail(c, "tls, user and proxy have no effect on a program (program:mailman)");
}

const struct check_rule check_mailman_rules[] = {
	{ CONFIG_UPSTREAM, { "remoteaddr", "tls", "user", "proxy" }, program_is_mailmans },
	{ CONFIG_TOP, { "handler", "mailman_upstream" }, mailman_has_an_upstream },
	{ CONFIG_TOP,
	  { "handler", "mailman_password_file", "mailman_domains", "mailman_maps", "mailman_command" },
	  mailman_keys_are_used },
	{ CONFIG_TOP,
	  { "mailman_url", "mailman_maps", "mailman_domains", "mailman_command", "mailman_password_file" },
	  mailman_can_be_asked },
};
const size_t check_mailman_rule_count = sizeof(check_mailman_rules) / sizeof(check_mailman_rules[0]);
