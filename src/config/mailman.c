/* SPDX-License-Identifier: ISC */
/* See mailman.h. */
#include "config/mailman.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "config/options.h"
#include "config/remote.h"
#include "handler/facts.h"

bool config_is_mailman(const struct config *cfg)
{
	return handler_find(cfg->handler) == HANDLER_MAILMAN;
}

size_t config_mailman_upstream(const struct config *cfg)
{
	if (!config_is_mailman(cfg))
		return cfg->upstream_count;
	for (size_t i = 0; i < cfg->upstream_count; i++)
		if (strcmp(cfg->upstream[i].name, cfg->mailman_upstream) == 0)
			return i;
	return cfg->upstream_count;
}

void config_complete_mailman(struct config *cfg)
{
	struct config_upstream *u;
	struct err e;

	if (!config_is_mailman(cfg) || strcmp(cfg->mailman_upstream, CONFIG_MAILMAN_UPSTREAM) != 0 ||
	    config_mailman_upstream(cfg) < cfg->upstream_count)
		return;
	u = config_add_upstream(cfg, CONFIG_MAILMAN_UPSTREAM);
	u->tls = UPSTREAM_TLS_NONE;
	u->remoteaddr = mem_alloc(sizeof(*u->remoteaddr));
	ASSERT(config_remote_parse(cfg->mailman_command ? "program:mailman" : CONFIG_MAILMAN_LMTP, -1,
				   u->remoteaddr, &e) == 0);
	u->remoteaddr_count = 1;
}

const char *config_mailman_url(const struct config *cfg)
{
	/* Mailman 2 has none */
	return cfg->mailman_command || strcmp(cfg->mailman_url, CONFIG_MAILMAN_NONE) == 0 ? NULL
											  : cfg->mailman_url;
}
