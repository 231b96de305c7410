/* SPDX-License-Identifier: ISC */
/* An upstream of the configuration as the SMTP client takes it: one place for the relay and `posthouse doctor`. */
#ifndef CONFIG_CLIENT_H
#define CONFIG_CLIENT_H

#include "config/config.h"
#include "oauth/grant.h"
#include "upstream/http.h"
#include "upstream/upstream.h"

/* What the files named in an upstream section hold; NULL, len 0: none. All owned. */
struct config_client_secrets {
	char *password, *proxy_password, *oauth_client_secret;
	struct upstream_blob tls_cert, tls_key;
};

/* Reads them (secret.h). -1: e names the file; those that were read are released. */
int config_client_read_secrets(struct config_client_secrets *s, const struct config_upstream *u, struct err *e);
/* Overwrites, then frees. Of zeroed storage: nothing. */
void config_client_release_secrets(struct config_client_secrets *s);

/* For one of its addresses. Points into cfg, u and the secrets, which must outlive it. */
void config_client_settings(struct upstream_settings *out, const struct config *cfg, const struct config_upstream *u,
			    const struct config_remote *remote, const struct config_client_secrets *secrets);

#define CONFIG_OAUTH_TIMEOUT_MS 30000 /* of one request for a token */
/* What tokens are asked for with, and the way there: the upstream's own proxy. The same pointers. */
void config_client_oauth(struct oauth_client *client, struct http_request *way, const struct config_upstream *u,
			 const struct config_client_secrets *secrets);

#endif
