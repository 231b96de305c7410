/* SPDX-License-Identifier: ISC */
/* See rewriting.h. */
#include "daemon/rewriting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "rewrite/field.h"

/* ---- the file of aliases ------------------------------------------------------------- */

struct errors {
	struct err *first;
	unsigned count;
};

static void count_error(void *ctx, const char *message)
{
	struct errors *errors = ctx;

	if (errors->count++ == 0)
		err_set(errors->first, "%s", message);
}

static const char *aliases_file(void *ctx, size_t index)
{
	const struct rewriting *r = ctx;

	return index == 0 ? r->cfg->aliases : NULL;
}

static int load_aliases(void *ctx, struct err *e)
{
	struct rewriting *r = ctx;
	const struct config *cfg = r->cfg;
	const char *const usual[] = { cfg->hostname, "localhost", "localhost.localdomain" };
	struct aliases_setup setup = { .domain = usual,
				       .domain_count = sizeof(usual) / sizeof(usual[0]),
				       .expansion_max = cfg->max_recipients };
	struct errors errors = { .first = e };
	size_t len;

	if (cfg->alias_domains_count > 0) {
		setup.domain = (const char *const *)cfg->alias_domains;
		setup.domain_count = cfg->alias_domains_count;
	}
	r->beside = aliases_load(cfg->aliases, &setup, count_error, &errors);
	if (r->beside)
		return 0;
	len = strlen(e->text);
	if (errors.count > 1)
		snprintf(e->text + len, sizeof(e->text) - len, " (and %u more errors)", errors.count - 1);
	return -1;
}

static void swap_aliases(void *ctx)
{
	struct rewriting *r = ctx;

	aliases_free(r->rules.aliases);
	r->rules.aliases = r->beside;
	r->beside = NULL;
}

static void drop_aliases(void *ctx)
{
	struct rewriting *r = ctx;

	aliases_free(r->beside);
	r->beside = NULL;
}

static void release_aliases(void *ctx)
{
	struct rewriting *r = ctx;

	drop_aliases(r);
	aliases_free(r->rules.aliases);
	r->rules.aliases = NULL;
}

void rewriting_reload(struct rewriting *r, struct reload *to)
{
	const struct reloadable aliases = { .what = "aliases",
					    .file = aliases_file,
					    .load = load_aliases,
					    .swap = swap_aliases,
					    .drop = drop_aliases,
					    .release = release_aliases,
					    .ctx = r };

	if (r->cfg->aliases)
		reload_add(to, &aliases);
}

/* ---- the rest --------------------------------------------------------------------------- */

void rewriting_init(struct rewriting *r, const struct config *cfg)
{
	memset(r, 0, sizeof(*r));
	r->cfg = cfg;
	r->rule = mem_array(cfg->rewrite_count + 1, sizeof(*r->rule));
	for (size_t i = 0; i < cfg->rewrite_count; i++) {
		const struct config_rewrite *from = &cfg->rewrite[i];

		r->rule[i] = (struct rewrite_rule){ .match = (const char *const *)from->match,
						    .match_count = from->match_count,
						    .to = from->to,
						    .apply = from->apply };
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
		.headers = cfg->rewrite_headers,
		.keep_original = cfg->keep_original_headers,
		.remove = (const char *const *)cfg->remove_headers,
		.remove_count = cfg->remove_headers_count,
		.always_bcc = cfg->always_bcc,
		.redirect_all = cfg->redirect_all,
		.max_recipients = cfg->max_recipients,
	};
}

void rewriting_release(struct rewriting *r)
{
	free(r->rule);
	memset(r, 0, sizeof(*r));
}

void rewriting_warn(const struct rewriting *r)
{
	static const char received[] = "Received";

	if (r->rules.redirect_all)
		log_msg(LOG_LEVEL_WARNING, "redirect_all",
			"ALL MAIL GOES TO %s AND TO NOBODY ELSE: redirect_all is set, whoever a message "
			"names as its "
			"recipients does not get it",
			r->rules.redirect_all);
	if (field_is_removed(&r->rules, received, sizeof(received) - 1))
		log_msg(LOG_LEVEL_WARNING, "remove_headers",
			"remove_headers takes out Received: a message that goes round in a circle through "
			"this relay is not "
			"recognised any more (max_received)");
}
