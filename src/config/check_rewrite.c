/* SPDX-License-Identifier: ISC */
/* See check.h: the rules of rewriting. One rule a function. */
#include "config/check_internal.h"
#include "manage/route.h"
#include "rewrite/rules.h"

static void masquerade_has_exceptions(struct check *c)
{
	if (c->cfg->masquerade_exceptions_count > 0 && c->cfg->masquerade_count == 0)
		check_fail(c, "masquerade_exceptions has no effect without masquerade");
}

static void alias_domains_have_aliases(struct check *c)
{
	if (c->cfg->alias_domains_count > 0 && !c->cfg->aliases)
		check_fail(c, "alias_domains has no effect without aliases");
}

static void original_headers_are_rewritten(struct check *c)
{
	if (c->cfg->keep_original_headers && !c->cfg->rewrite_headers)
		check_fail(c, "keep_original_headers has no effect without rewrite_headers");
}

static bool a_rule_rewrites_headers(const struct config *cfg)
{
	for (size_t i = 0; i < cfg->rewrite_count; i++)
		if (cfg->rewrite[i].apply & 1u << REWRITE_HEADER)
			return true;
	return false;
}

/* One that could not be read may be the one. */
static bool apply_is_bad(const struct check *c)
{
	return c->source->is_bad && c->source->is_bad(c->source->ctx, CONFIG_REWRITE, CHECK_ANY, "apply");
}

static void headers_have_rules(struct check *c)
{
	const struct config *cfg = c->cfg;

	if (cfg->rewrite_headers && !cfg->default_domain && cfg->masquerade_count == 0 &&
	    !a_rule_rewrites_headers(cfg) && !apply_is_bad(c))
		check_fail(c, "rewrite_headers has no effect without default_domain, masquerade or a section "
			      "rewrite for the header");
}

static void rewrite_is_whole(struct check *c)
{
	const struct config_rewrite *r = &c->cfg->rewrite[c->index];

	if (r->match_count == 0)
		check_fail(c, "the section rewrite has no match: patterns of the addresses it is for, \"*\" "
			      "for all");
	if (!r->to)
		check_fail(c, "the section rewrite has no to: an address, or *@domain");
}

static void rewrite_can_be_reached(struct check *c)
{
	const struct config_rewrite *r = &c->cfg->rewrite[c->index];
	struct route_rule rule = { .pattern[ROUTE_RECIPIENT] = (const char *const *)r->match,
				   .pattern_count[ROUTE_RECIPIENT] = r->match_count };

	for (size_t i = 0; i < c->index; i++) {
		const struct config_rewrite *b = &c->cfg->rewrite[i];
		struct route_rule before = { .pattern[ROUTE_RECIPIENT] = (const char *const *)b->match,
					     .pattern_count[ROUTE_RECIPIENT] = b->match_count };

		if (check_section_is_bad(c, CONFIG_REWRITE, i) || (r->apply & ~b->apply) ||
		    b->match_count == 0 || r->match_count == 0 || !route_rule_covers(&before, &rule))
			continue;
		check_fail(c,
			   "rewrite %zu is never used: rewrite %zu, before it, takes all that it would take",
			   c->index + 1, i + 1);
		return;
	}
}

const struct check_rule check_rewrite_rules[] = {
	{ CONFIG_TOP, { "masquerade", "masquerade_exceptions" }, masquerade_has_exceptions },
	{ CONFIG_TOP, { "aliases", "alias_domains" }, alias_domains_have_aliases },
	{ CONFIG_TOP, { "rewrite_headers", "keep_original_headers" }, original_headers_are_rewritten },
	{ CONFIG_TOP, { "default_domain", "masquerade", "rewrite_headers" }, headers_have_rules },
	{ CONFIG_REWRITE, { "match", "to" }, rewrite_is_whole },
	{ CONFIG_REWRITE, { "match", "apply" }, rewrite_can_be_reached },
};
const size_t check_rewrite_rule_count = sizeof(check_rewrite_rules) / sizeof(check_rewrite_rules[0]);
