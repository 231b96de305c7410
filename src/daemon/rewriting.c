/* SPDX-License-Identifier: ISC */
/* See rewriting.h. */
#include "daemon/rewriting.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "rewrite/field.h"

static int load_aliases(struct rewriting *r, const struct config *cfg, config_report *report, void *ctx)
{
	const char *const usual[] = { cfg->hostname, "localhost", "localhost.localdomain" };
	struct aliases_setup setup = { .domain = usual, .domain_count = sizeof(usual) / sizeof(usual[0]),
				       .expansion_max = cfg->max_recipients };

	if (!cfg->aliases)
		return 0;
	if (cfg->alias_domains_count > 0) {
		setup.domain = (const char *const *)cfg->alias_domains;
		setup.domain_count = cfg->alias_domains_count;
	}
	r->aliases = aliases_load(cfg->aliases, &setup, report, ctx);
	return r->aliases ? 0 : -1;
}

int rewriting_init(struct rewriting *r, const struct config *cfg, config_report *report, void *ctx)
{
	memset(r, 0, sizeof(*r));
	if (load_aliases(r, cfg, report, ctx) < 0)
		return -1;
	r->rule = mem_array(cfg->rewrite_count + 1, sizeof(*r->rule));
	for (size_t i = 0; i < cfg->rewrite_count; i++) {
		const struct config_rewrite *from = &cfg->rewrite[i];

		r->rule[i] = (struct rewrite_rule){ .match = (const char *const *)from->match,
						    .match_count = from->match_count, .to = from->to, .apply = from->apply };
	}
	r->rules = (struct rewrite_rules){
		.default_domain = cfg->default_domain,
		.hostname = cfg->hostname,
		.masquerade = (const char *const *)cfg->masquerade,
		.masquerade_count = cfg->masquerade_count,
		.unmasked = (const char *const *)cfg->masquerade_exceptions,
		.unmasked_count = cfg->masquerade_exceptions_count,
		.rule = r->rule,
		.rule_count = cfg->rewrite_count,
		.aliases = r->aliases,
		.headers = cfg->rewrite_headers,
		.keep_original = cfg->keep_original_headers,
		.remove = (const char *const *)cfg->remove_headers,
		.remove_count = cfg->remove_headers_count,
		.always_bcc = cfg->always_bcc,
		.redirect_all = cfg->redirect_all,
		.max_recipients = cfg->max_recipients,
	};
	return 0;
}

void rewriting_release(struct rewriting *r)
{
	aliases_free(r->aliases);
	free(r->rule);
	memset(r, 0, sizeof(*r));
}

void rewriting_warn(const struct rewriting *r)
{
	static const char received[] = "Received";

	if (r->rules.redirect_all)
		log_msg(LOG_LEVEL_WARNING, "redirect_all",
			"ALL MAIL GOES TO %s AND TO NOBODY ELSE: redirect_all is set, whoever a message names as its "
			"recipients does not get it",
			r->rules.redirect_all);
	if (field_is_removed(&r->rules, received, sizeof(received) - 1))
		log_msg(LOG_LEVEL_WARNING, "remove_headers",
			"remove_headers takes out Received: a message that goes round in a circle through this relay is not "
			"recognised any more (max_received)");
}
