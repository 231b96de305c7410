/* SPDX-License-Identifier: ISC */
/* See check_oauth.h. */
#include "config/check_oauth.h"

#include <stddef.h>

#include "config/paths.h"

static int wrong(struct err *e, const char *what)
{
	err_set(e, "%s", what);
	return -1;
}

int check_oauth_asks(const struct config_upstream *u, struct err *e)
{
	if (u->oauth == OAUTH_NONE) {
		if (u->oauth_token_url)
			return wrong(e, "oauth_token_url has no effect without oauth");
		if (u->oauth_client_id)
			return wrong(e, "oauth_client_id has no effect without oauth");
	} else if (!u->oauth_token_url) {
		return wrong(e, "oauth without oauth_token_url: where are tokens to be asked for?");
	} else if (!u->oauth_client_id) {
		return wrong(e, "oauth without oauth_client_id: as whom are tokens to be asked for?");
	}
	if (u->oauth == OAUTH_DEVICE_CODE && !u->oauth_device_url)
		return wrong(e, "oauth = device_code without oauth_device_url");
	if (u->oauth != OAUTH_DEVICE_CODE && u->oauth_device_url)
		return wrong(e, "oauth_device_url has no effect: it is for oauth = device_code");
	return 0;
}

int check_oauth_secret(const struct config_upstream *u, struct err *e)
{
	if (u->oauth == OAUTH_CLIENT_CREDENTIALS && !u->oauth_client_secret_file)
		return wrong(e, "oauth = client_credentials without oauth_client_secret_file: the secret is all "
				"that says who asks");
	if (u->oauth == OAUTH_NONE && u->oauth_client_secret_file)
		return wrong(e, "oauth_client_secret_file has no effect without oauth");
	return 0;
}

int check_oauth_login(const struct config_upstream *u, struct err *e)
{
	if (u->oauth == OAUTH_NONE)
		return 0;
	if (!u->user)
		return wrong(e, "oauth without user: the mailbox that the token is for");
	if (u->password_file)
		return wrong(e, "oauth and password_file exclude each other: the token is instead of a password");
	return 0;
}

int check_oauth_file(const struct config_upstream *u, struct err *e)
{
	if (u->oauth == OAUTH_NONE && u->oauth_token_file)
		return wrong(e, "oauth_token_file has no effect without oauth");
	if (u->oauth == OAUTH_NONE || u->oauth_token_file || config_oauth_name_is_safe(u->name))
		return 0;
	err_set(e, "oauth_token_file is missing: by default a file is named like the upstream, and \"%s\" cannot be the "
		   "name of a file (letters, digits, - _ .)", u->name);
	return -1;
}

int check_oauth_used(const struct config_upstream *u, struct err *e)
{
	if (u->oauth != OAUTH_NONE)
		return 0;
	if (u->oauth_scope)
		return wrong(e, "oauth_scope has no effect without oauth");
	if (u->oauth_ca_file)
		return wrong(e, "oauth_ca_file has no effect without oauth");
	return 0;
}

int check_oauth_introspection(const struct config *cfg, struct err *e)
{
	if (!cfg->auth_oauth_introspection_url &&
	    (cfg->auth_oauth_client_id || cfg->auth_oauth_client_secret_file || cfg->auth_oauth_ca_file ||
	     cfg->auth_oauth_scope || cfg->auth_oauth_user_claim))
		return wrong(e, "auth_oauth_... has no effect without auth_oauth_introspection_url");
	if (cfg->auth_oauth_client_secret_file && !cfg->auth_oauth_client_id)
		return wrong(e, "auth_oauth_client_secret_file without auth_oauth_client_id");
	return 0;
}
