/* SPDX-License-Identifier: ISC */
/* See credential.h. Runs in the master, as root if it was started so. */
#include "config/credential.h"

#include <stdlib.h>

#include "config/secret.h"

static bool find(char **file, const char *key, config_report *report, void *ctx)
{
	struct err e;
	char *path;

	if (!*file)
		return true;
	if (secret_path(*file, &path, &e) < 0) {
		err_prefix(&e, "%s", key);
		report(ctx, e.text);
		return false;
	}
	free(*file);
	*file = path;
	return true;
}

int config_find_credentials(struct config *cfg, config_report *report, void *ctx)
{
	bool found = find(&cfg->auth_users_file, "auth_users_file", report, ctx);

	for (size_t i = 0; i < cfg->listener_count; i++) {
		struct config_listener *l = &cfg->listener[i];

		for (size_t k = 0; k < l->tls_cert_count; k++)
			found = find(&l->tls_cert[k], "tls_cert", report, ctx) && found;
		for (size_t k = 0; k < l->tls_key_count; k++)
			found = find(&l->tls_key[k], "tls_key", report, ctx) && found;
		found = find(&l->tls_client_ca, "tls_client_ca", report, ctx) && found;
	}
	return found ? 0 : -1;
}
