/* SPDX-License-Identifier: ISC */
/* See client.h. */
#include "config/client.h"

void config_client_settings(struct upstream_settings *out, const struct config *cfg, const struct config_upstream *u,
			    const struct config_remote *remote, const char *password)
{
	*out = (struct upstream_settings){
		.name = u->name,
		.remote = remote->endpoint,
		.tls = u->tls,
		.tls_ca_file = u->tls_ca_file,
		.hostname = cfg->hostname,
		.user = u->user,
		.password = password,
		.eightbit = u->eight_bit,
		.pipelining = u->pipelining,
		.connect_timeout_ms = u->connect_timeout_ms,
		.greeting_timeout_ms = u->greeting_timeout_ms,
		.command_timeout_ms = u->command_timeout_ms,
		.data_timeout_ms = u->data_timeout_ms,
		.block_timeout_ms = u->block_timeout_ms,
		.final_timeout_ms = u->final_timeout_ms,
		.idle_timeout_ms = u->idle_timeout_ms,
		.attempt_timeout_ms = u->attempt_timeout_ms,
	};
}
