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
