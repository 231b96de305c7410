/* SPDX-License-Identifier: ISC */
/* See proxying.h. */
#include "daemon/proxying.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"

static struct proxy_remote *make_remotes(const struct config *cfg, const struct config_upstream *u,
					 const struct config_client_secrets *secrets)
{
	struct proxy_remote *remote = mem_array(u->remoteaddr_count, sizeof(*remote));

	for (size_t i = 0; i < u->remoteaddr_count; i++) {
		char text[ENDPOINT_TEXT_MAX];

		remote[i].name = mem_strdup(endpoint_format(&u->remoteaddr[i].endpoint, text));
		remote[i].weight = u->remoteaddr[i].weight;
		config_client_settings(&remote[i].settings, cfg, u, &u->remoteaddr[i], secrets);
	}
	return remote;
}

static int make_upstream(struct proxying *p, const struct config *cfg, size_t index, struct err *e)
{
	const struct config_upstream *u = &cfg->upstream[index];

	if (config_client_read_secrets(&p->secrets[index], u, e) < 0) {
		err_prefix(e, "upstream \"%s\"", u->name);
		return -1;
	}
	p->remote[index] = make_remotes(cfg, u, &p->secrets[index]);
	p->upstream[index] = (struct proxy_upstream){
		.name = u->name,
		.remote = p->remote[index],
		.remote_count = u->remoteaddr_count,
		.messages_per_connection = u->messages_per_connection,
		.recipients_per_message = u->recipients_per_message,
		.connection_max_age_ms = u->connection_max_age_ms,
		.probe = { u->probe_min_ms, u->probe_max_ms, 2.0 },
	};
	p->setup.upstream_count++;
	return 0;
}

struct proxying *proxying_new(const struct config *cfg, struct control *control, struct err *e)
{
	struct proxying *p = mem_alloc(sizeof(*p));

	config_routes_init(&p->routes, cfg);
	p->upstream = mem_array(cfg->upstream_count, sizeof(*p->upstream));
	p->remote = mem_array(cfg->upstream_count, sizeof(*p->remote));
	p->secrets = mem_array(cfg->upstream_count, sizeof(*p->secrets));
	p->setup = (struct proxy_setup){ .upstream = p->upstream,
					 .routes = &p->routes.routes,
					 .control = control,
					 .x_peer = cfg->x_peer,
					 .trace = log_wants(LOG_LEVEL_DEBUG, "upstream_dialogue") };
	for (size_t i = 0; i < cfg->upstream_count; i++) {
		if (make_upstream(p, cfg, i, e) == 0)
			continue;
		proxying_free(p);
		return NULL;
	}
	return p;
}

void proxying_free(struct proxying *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->setup.upstream_count; i++) {
		for (size_t k = 0; k < p->upstream[i].remote_count; k++)
			free((char *)(uintptr_t)p->remote[i][k].name);
		free(p->remote[i]);
		config_client_release_secrets(&p->secrets[i]);
	}
	config_routes_release(&p->routes);
	free(p->upstream);
	free(p->remote);
	free(p->secrets);
	free(p);
}
