/* SPDX-License-Identifier: ISC */
/* See routing.h. */
#include "cli/routing.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/settings.h"
#include "config/config.h"

struct routing {
	struct config config; /* holds the strings */
	struct routes routes;
	struct route_rule *rule;
	const char **name;
};

static size_t upstream_index(const struct config *cfg, const char *name)
{
	for (size_t i = 0; i < cfg->upstream_count; i++)
		if (strcmp(cfg->upstream[i].name, name) == 0)
			return i;
	return 0; /* config_check refuses a route to nowhere */
}

static void set_patterns(struct route_rule *rule, enum route_field field, char **pattern, size_t count)
{
	rule->pattern[field] = (const char *const *)pattern;
	rule->pattern_count[field] = count;
}

static void fill(struct routing *r)
{
	static const char *const quick[] = { "default" };
	const struct config *cfg = &r->config;

	r->name = mem_array(cfg->upstream_count + 1, sizeof(*r->name));
	for (size_t i = 0; i < cfg->upstream_count; i++)
		r->name[i] = cfg->upstream[i].name;
	r->rule = mem_array(cfg->route_count + 1, sizeof(*r->rule));
	for (size_t i = 0; i < cfg->route_count; i++) {
		const struct config_route *from = &cfg->route[i];

		set_patterns(&r->rule[i], ROUTE_SENDER, from->sender, from->sender_count);
		set_patterns(&r->rule[i], ROUTE_RECIPIENT, from->recipient, from->recipient_count);
		set_patterns(&r->rule[i], ROUTE_AUTH_USER, from->auth_user, from->auth_user_count);
		r->rule[i].upstream = upstream_index(cfg, from->upstream);
	}
	r->routes = (struct routes){ .rule = r->rule, .rule_count = cfg->route_count, .upstream_name = r->name,
				     .upstream_count = cfg->upstream_count };
	if (cfg->upstream_count == 0) {
		r->routes.upstream_name = quick;
		r->routes.upstream_count = 1;
	}
}

struct routing *routing_load(const struct cli *cli)
{
	struct routing *r = mem_alloc(sizeof(*r));
	struct err e;

	if (settings_load(cli->config_file, &r->config, &e) < 0) {
		cli_error("%s", e.text);
		free(r);
		return NULL;
	}
	fill(r);
	return r;
}

void routing_free(struct routing *r)
{
	if (!r)
		return;
	config_release(&r->config);
	free(r->rule);
	free(r->name);
	free(r);
}

const struct routes *routing_routes(const struct routing *r)
{
	return &r->routes;
}
