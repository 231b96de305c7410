/* SPDX-License-Identifier: ISC */
/* See check.h: the rules between the keys of OAuth 2. One rule a function. */
#include "config/check_internal.h"
#include "config/paths.h"

#define BEARER (1u << UPSTREAM_XOAUTH2 | 1u << UPSTREAM_OAUTHBEARER)

static const struct config_upstream *upstream_of(const struct check *c)
{
	return &c->cfg->upstream[c->index];
}

static void oauth_can_be_asked(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);

	if (u->oauth != OAUTH_NONE && !u->oauth_token_url)
		check_fail(c, "oauth without oauth_token_url: where are tokens to be asked for?");
	else if (u->oauth != OAUTH_NONE && !u->oauth_client_id)
		check_fail(c, "oauth without oauth_client_id: as whom are tokens to be asked for?");
	else if (u->oauth == OAUTH_DEVICE_CODE && !u->oauth_device_url)
		check_fail(c, "oauth = device_code without oauth_device_url");
	else if (u->oauth != OAUTH_DEVICE_CODE && u->oauth_device_url)
		check_fail(c, "oauth_device_url has no effect: it is for oauth = device_code");
}

static void oauth_client_has_a_secret(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);

	if (u->oauth == OAUTH_CLIENT_CREDENTIALS && !u->oauth_client_secret_file)
		check_fail(c, "oauth = client_credentials without oauth_client_secret_file: the secret is "
			      "all that says "
			      "who asks");
}

static void oauth_logs_in(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);

	if (u->oauth == OAUTH_NONE)
		return;
	if (!u->user)
		check_fail(c, "oauth without user: the mailbox that the token is for");
	if (u->password_file)
		check_fail(c,
			   "oauth and password_file exclude each other: the token is instead of a password");
}

static void oauth_goes_with_mechanisms(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);

	if (u->oauth != OAUTH_NONE && u->auth_mechanisms & ~BEARER)
		check_fail(c, "auth_mechanisms: with oauth only OAUTHBEARER and XOAUTH2 can be used");
	if (u->oauth == OAUTH_NONE && u->auth_mechanisms & BEARER)
		check_fail(c, "auth_mechanisms: OAUTHBEARER and XOAUTH2 need a token, so oauth is to say how "
			      "to get it");
}

static void oauth_has_a_file(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);

	if (u->oauth == OAUTH_NONE || u->oauth_token_file || config_oauth_name_is_safe(u->name))
		return;
	check_fail(c,
		   "oauth_token_file is missing: by default the file is named like the upstream, and \"%s\" "
		   "cannot be "
		   "the name of a file (letters, digits, - _ .)",
		   u->name);
}

static void no_effect(struct check *c, const char *key, const char *value)
{
	if (upstream_of(c)->oauth == OAUTH_NONE && value)
		check_fail(c, "%s has no effect without oauth", key);
}

static void token_url_is_used(struct check *c)
{
	no_effect(c, "oauth_token_url", upstream_of(c)->oauth_token_url);
}

static void client_id_is_used(struct check *c)
{
	no_effect(c, "oauth_client_id", upstream_of(c)->oauth_client_id);
}

static void client_secret_is_used(struct check *c)
{
	no_effect(c, "oauth_client_secret_file", upstream_of(c)->oauth_client_secret_file);
}

static void scope_is_used(struct check *c)
{
	no_effect(c, "oauth_scope", upstream_of(c)->oauth_scope);
}

static void ca_file_is_used(struct check *c)
{
	no_effect(c, "oauth_ca_file", upstream_of(c)->oauth_ca_file);
}

static void token_file_is_used(struct check *c)
{
	no_effect(c, "oauth_token_file", upstream_of(c)->oauth_token_file);
}

static void introspection_is_complete(struct check *c)
{
	const struct config *cfg = c->cfg;
	bool more = cfg->auth_oauth_client_id || cfg->auth_oauth_client_secret_file ||
		    cfg->auth_oauth_ca_file || cfg->auth_oauth_scope || cfg->auth_oauth_user_claim;

	if (!cfg->auth_oauth_introspection_url && more)
		check_fail(c, "auth_oauth_... has no effect without auth_oauth_introspection_url");
	else if (cfg->auth_oauth_client_secret_file && !cfg->auth_oauth_client_id)
		check_fail(c, "auth_oauth_client_secret_file without auth_oauth_client_id");
}

const struct check_rule check_oauth_rules[] = {
	{ CONFIG_UPSTREAM,
	  { "oauth", "oauth_token_url", "oauth_client_id", "oauth_device_url" },
	  oauth_can_be_asked },
	{ CONFIG_UPSTREAM, { "oauth", "oauth_client_secret_file" }, oauth_client_has_a_secret },
	{ CONFIG_UPSTREAM, { "oauth", "user", "password_file" }, oauth_logs_in },
	{ CONFIG_UPSTREAM, { "auth_mechanisms", "oauth" }, oauth_goes_with_mechanisms },
	{ CONFIG_UPSTREAM, { "oauth", "oauth_token_file" }, oauth_has_a_file },
	{ CONFIG_UPSTREAM, { "oauth_token_url", "oauth" }, token_url_is_used },
	{ CONFIG_UPSTREAM, { "oauth_client_id", "oauth" }, client_id_is_used },
	{ CONFIG_UPSTREAM, { "oauth_client_secret_file", "oauth" }, client_secret_is_used },
	{ CONFIG_UPSTREAM, { "oauth_scope", "oauth" }, scope_is_used },
	{ CONFIG_UPSTREAM, { "oauth_ca_file", "oauth" }, ca_file_is_used },
	{ CONFIG_UPSTREAM, { "oauth_token_file", "oauth" }, token_file_is_used },
	{ CONFIG_TOP,
	  { "auth_oauth_introspection_url", "auth_oauth_client_id", "auth_oauth_client_secret_file" },
	  introspection_is_complete },
};
const size_t check_oauth_rule_count = sizeof(check_oauth_rules) / sizeof(check_oauth_rules[0]);
