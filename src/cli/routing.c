/* SPDX-License-Identifier: ISC */
/* See routing.h. */
#include "cli/routing.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/settings.h"

static size_t upstream_index(const struct config *cfg, const char *name)
{
	for (size_t i = 0; i < cfg->upstream_count; i++)
		if (strcmp(cfg->upstream[i].name, name) == 0)
			return i;
	return 0; /* config_check refuses a route to nowhere */
}

static void fill(struct routing *r)
{
	const struct config *cfg = &r->config;

	r->name = mem_array(cfg->upstream_count + 1, sizeof(*r->name));
	for (size_t i = 0; i < cfg->upstream_count; i++)
		r->name[i] = cfg->upstream[i].name;
	r->rule = mem_array(cfg->route_count + 1, sizeof(*r->rule));
	for (size_t i = 0; i < cfg->route_count; i++) {
		const struct config_route *from = &cfg->route[i];

		r->rule[i] = (struct route_rule){
			.pattern = { [ROUTE_SENDER] = (const char *const *)from->sender,
				     [ROUTE_RECIPIENT] = (const char *const *)from->recipient,
				     [ROUTE_AUTH_USER] = (const char *const *)from->auth_user },
			.pattern_count = { [ROUTE_SENDER] = from->sender_count,
					   [ROUTE_RECIPIENT] = from->recipient_count,
					   [ROUTE_AUTH_USER] = from->auth_user_count },
			.upstream = upstream_index(cfg, from->upstream),
		};
	}
	r->routes = (struct routes){ .rule = r->rule, .rule_count = cfg->route_count, .upstream_name = r->name,
				     .upstream_count = cfg->upstream_count };
}

int routing_load(struct routing *r, const struct cli *cli)
{
	struct err e;
	int loaded;

	memset(r, 0, sizeof(*r));
	loaded = settings_config(cli->config_file, &r->config, &e);
	if (loaded < 0) {
		cli_error("%s", e.text);
		return -1;
	}
	if (loaded > 0 && !cli->config_file && cli->spool_path && strcmp(cli->spool_path, r->config.spool) != 0) {
		config_release(&r->config);
		config_init(&r->config);
		loaded = 0;
	}
	r->known = loaded > 0;
	fill(r);
	return 0;
}

void routing_release(struct routing *r)
{
	free(r->rule);
	free(r->name);
	config_release(&r->config);
}

const char *routing_find(const struct routing *r, const struct envelope *env, size_t rcpt, const char *chosen,
			 size_t *rule)
{
	size_t found;

	*rule = 0;
	if (r->routes.upstream_count == 0)
		return NULL;
	found = route_find(&r->routes, env, rcpt, chosen);
	/* which rule it was: the first that matches when it is the only one */
	for (size_t i = 0; i < r->routes.rule_count && *rule == 0; i++) {
		struct routes one = { .rule = &r->rule[i], .rule_count = 1, .fallback = SIZE_MAX };

		if (route_find(&one, env, rcpt, NULL) != SIZE_MAX)
			*rule = i + 1;
	}
	return r->name[found];
}
