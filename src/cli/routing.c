/* SPDX-License-Identifier: ISC */
/* See routing.h. */
#include "cli/routing.h"

#include <string.h>

#include "cli/settings.h"

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
	config_routes_init(&r->made, &r->config);
	r->routes = r->made.routes;
	return 0;
}

void routing_release(struct routing *r)
{
	config_routes_release(&r->made);
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
		struct routes one = { .rule = &r->made.rule[i], .rule_count = 1, .fallback = SIZE_MAX };

		if (route_find(&one, env, rcpt, NULL) != SIZE_MAX)
			*rule = i + 1;
	}
	return r->made.name[found];
}
