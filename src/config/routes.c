/* SPDX-License-Identifier: ISC */
/* See routes.h. */
#include "config/routes.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/mailman.h"

struct route_rule config_route_rule(const struct config_route *route)
{
	return (struct route_rule){
		.pattern = { [ROUTE_SENDER] = (const char *const *)route->sender,
			     [ROUTE_RECIPIENT] = (const char *const *)route->recipient,
			     [ROUTE_AUTH_USER] = (const char *const *)route->auth_user },
		.pattern_count = { [ROUTE_SENDER] = route->sender_count,
				   [ROUTE_RECIPIENT] = route->recipient_count,
				   [ROUTE_AUTH_USER] = route->auth_user_count },
	};
}

static size_t upstream_index(const struct config *cfg, const char *name)
{
	for (size_t i = 0; i < cfg->upstream_count; i++)
		if (strcmp(cfg->upstream[i].name, name) == 0)
			return i;
	return 0; /* config_check refuses a route to nowhere */
}

void config_routes_init(struct config_routes *r, const struct config *cfg)
{
	r->rule = mem_array(cfg->route_count + 1, sizeof(*r->rule));
	r->name = mem_array(cfg->upstream_count + 1, sizeof(*r->name));
	for (size_t i = 0; i < cfg->upstream_count; i++)
		r->name[i] = cfg->upstream[i].name;
	for (size_t i = 0; i < cfg->route_count; i++) {
		r->rule[i] = config_route_rule(&cfg->route[i]);
		r->rule[i].upstream = upstream_index(cfg, cfg->route[i].upstream);
	}
	r->routes = (struct routes){ .rule = r->rule, .rule_count = cfg->route_count, .upstream_name = r->name,
				     .upstream_count = cfg->upstream_count };
	/* who is no list is not to go to Mailman because its section stands first */
	if (cfg->upstream_count > 1 && config_mailman_upstream(cfg) == 0)
		r->routes.fallback = 1;
}

void config_routes_release(struct config_routes *r)
{
	free(r->rule);
	free(r->name);
}
