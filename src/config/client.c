/* SPDX-License-Identifier: ISC */
/* See client.h. */
#include "config/client.h"

#include <stdint.h>
#include <string.h>

#include "config/secret.h"

static int read_password(const char *name, const char *key, char **password, struct err *e)
{
	if (!name || secret_read(name, password, e) == 0)
		return 0;
	err_prefix(e, "%s", key);
	return -1;
}

static int read_blob(const char *name, const char *key, bool is_public, struct upstream_blob *blob,
		     struct err *e)
{
	char *data;

	if (!name)
		return 0;
	if (secret_read_data(name, is_public, &data, &blob->len, e) != 0) {
		err_prefix(e, "%s", key);
		return -1;
	}
	blob->data = data;
	return 0;
}

int config_client_read_secrets(struct config_client_secrets *s, const struct config_upstream *u,
			       struct err *e)
{
	*s = (struct config_client_secrets){ 0 };
	/* a certificate is no secret, but for a key in the same file */
	if (read_password(u->password_file, "password_file", &s->password, e) == 0 &&
	    read_password(u->proxy_password_file, "proxy_password_file", &s->proxy_password, e) == 0 &&
	    read_password(u->oauth_client_secret_file, "oauth_client_secret_file", &s->oauth_client_secret,
			  e) == 0 &&
	    read_blob(u->tls_cert, "tls_cert", u->tls_key != NULL, &s->tls_cert, e) == 0 &&
	    read_blob(u->tls_key, "tls_key", false, &s->tls_key, e) == 0)
		return 0;
	config_client_release_secrets(s);
	return -1;
}

static void release_blob(struct upstream_blob *blob)
{
	secret_free_data((char *)(uintptr_t)blob->data, blob->len);
}

void config_client_release_secrets(struct config_client_secrets *s)
{
	secret_free(s->password);
	secret_free(s->proxy_password);
	secret_free(s->oauth_client_secret);
	release_blob(&s->tls_cert);
	release_blob(&s->tls_key);
	*s = (struct config_client_secrets){ 0 };
}

void config_client_settings(struct upstream_settings *out, const struct config *cfg,
			    const struct config_upstream *u, const struct config_remote *remote,
			    const struct config_client_secrets *secrets)
{
	*out = (struct upstream_settings){
		.name = u->name,
		.remote = remote->endpoint,
		.lmtp = remote->lmtp,
		.tls = u->tls,
		.tls_ca_file = u->tls_ca_file,
		.tls_verify = u->tls_verify,
		.tls_pin = u->tls_pin,
		.tls_cert = secrets->tls_cert,
		.tls_key = secrets->tls_key,
		.tls_min_version = u->tls_min_version,
		.hostname = cfg->hostname,
		.user = u->user,
		.password = secrets->password,
		.mechanisms = u->auth_mechanisms,
		.proxy = u->proxy,
		.proxy_user = u->proxy_user,
		.proxy_password = secrets->proxy_password,
		.source_ipv4 = u->source_address.ipv4,
		.source_ipv6 = u->source_address.ipv6,
		.source_interface = u->source_address.interface,
		.family = u->address_family,
		.eightbit = u->eight_bit,
		.discard = u->discard_ehlo_keywords,
		.chunking = u->chunking,
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

void config_client_oauth(struct oauth_client *client, struct http_request *way,
			 const struct config_upstream *u, const struct config_client_secrets *secrets)
{
	*client = (struct oauth_client){
		.upstream = u->name,
		.grant = u->oauth,
		.token_url = u->oauth_token_url,
		.device_url = u->oauth_device_url,
		.client_id = u->oauth_client_id,
		.client_secret = secrets->oauth_client_secret,
		.scope = u->oauth_scope,
	};
	*way = (struct http_request){
		.ca_file = u->oauth_ca_file,
		.proxy = u->proxy,
		.proxy_user = u->proxy_user,
		.proxy_password = secrets->proxy_password,
		.timeout_ms = CONFIG_OAUTH_TIMEOUT_MS,
	};
}
