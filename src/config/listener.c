/* SPDX-License-Identifier: ISC */
/* See listener.h. */
#include "config/listener.h"

struct tls_settings config_listener_tls(const struct config_listener *l)
{
	return (struct tls_settings){
		.listener = l->name,
		.cert = l->tls_cert,
		.cert_count = l->tls_cert_count,
		.key = l->tls_key,
		.key_count = l->tls_key_count,
		.profile = l->tls_profile,
		.client_ca = l->tls_client_ca,
		.client_cert = l->tls_client_cert,
	};
}

bool config_listener_has_tls(const struct config_listener *l)
{
	bool tcp = false;

	for (size_t i = 0; i < l->localaddr_count; i++)
		tcp = tcp || l->localaddr[i].kind == ENDPOINT_TCP;
	return tcp && l->tls != SESSION_TLS_NONE;
}

bool config_has_tls(const struct config *cfg)
{
	for (size_t i = 0; i < cfg->listener_count; i++)
		if (config_listener_has_tls(&cfg->listener[i]))
			return true;
	return false;
}
