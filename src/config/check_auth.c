/* SPDX-License-Identifier: ISC */
/* See check.h: the rules of AUTH of clients. One rule a function. */
#include <string.h>

#include "config/check_internal.h"
#include "config/listener.h"
#include "smtp/mechanism.h"

#define TOKENS (SMTP_MECHANISM_BIT(SMTP_MECHANISM_OAUTHBEARER) | SMTP_MECHANISM_BIT(SMTP_MECHANISM_XOAUTH2))

static const struct config_listener *listener_of(const struct check *c)
{
	return &c->cfg->listener[c->index];
}

/* AUTH is for those who come over a network: a local socket has none, whatever is said. */
static bool has_network(const struct config_listener *l)
{
	for (size_t i = 0; i < l->localaddr_count; i++)
		if (l->localaddr[i].kind != ENDPOINT_UNIX)
			return true;
	return false;
}

static void auth_has_a_backend(struct check *c)
{
	const struct config *cfg = c->cfg;
	const struct config_listener *l = listener_of(c);

	if (l->auth != SESSION_AUTH_NONE && !cfg->auth_users_file && !cfg->auth_pam_service &&
	    !cfg->auth_dovecot_socket && !cfg->auth_oauth_introspection_url)
		check_fail(c,
			   "listener \"%s\": auth without a place where users are known: auth_users_file, "
			   "auth_pam_service, auth_dovecot_socket or auth_oauth_introspection_url",
			   l->name);
}

/* PLAIN and LOGIN show the password to everyone on the way. */
static void auth_is_encrypted(struct check *c)
{
	const struct config_listener *l = listener_of(c);

	if (l->auth == SESSION_AUTH_NONE || l->auth_without_tls || l->tls != SESSION_TLS_NONE ||
	    !has_network(l))
		return;
	check_fail(c,
		   "listener \"%s\": auth without tls: passwords could be read on their way; set tls, or "
		   "auth_without_tls = yes if that is meant",
		   l->name);
}

static void mechanisms_can_be_done(struct check *c)
{
	const struct config *cfg = c->cfg;
	const struct config_listener *l = listener_of(c);
	bool tokens = cfg->auth_oauth_introspection_url || cfg->auth_dovecot_socket;

	if (l->auth != SESSION_AUTH_NONE && l->auth_mechanisms && !(l->auth_mechanisms & ~TOKENS) && !tokens)
		check_fail(c,
			   "listener \"%s\": auth_mechanisms: OAUTHBEARER and XOAUTH2 need "
			   "auth_oauth_introspection_url",
			   l->name);
}

/* Who could be taken over by a client must not be who reads the hashes. */
static void auth_user_is_apart(struct check *c)
{
	const struct config *cfg = c->cfg;

	if (!cfg->auth_user)
		return;
	if (cfg->smtp_user && strcmp(cfg->auth_user, cfg->smtp_user) == 0 &&
	    strcmp(cfg->auth_user, "nobody") != 0)
		check_fail(
			c,
			"auth_user and smtp_user are the same: the processes that talk to clients could read "
			"what only the auth process should");
	else if (strcmp(cfg->auth_user, "root") == 0 && !cfg->auth_pam_service)
		check_fail(c, "auth_user = root is for auth_pam_service only");
}

/* Who could be taken over by a client, or an upstream, must not be who has the private keys. */
static void keys_user_is_apart(struct check *c)
{
	const struct config *cfg = c->cfg;
	const struct {
		const char *key, *user;
	} others[] = { { "user", cfg->user },
		       { "smtp_user", cfg->smtp_user },
		       { "auth_user", cfg->auth_user } };

	if (!config_has_tls(cfg) || !cfg->keys_user || strcmp(cfg->keys_user, "nobody") == 0)
		return;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (others[i].user && strcmp(others[i].user, cfg->keys_user) == 0)
			check_fail(
				c,
				"keys_user and %s are the same: private keys are to be within reach of nobody "
				"else",
				others[i].key);
}

const struct check_rule check_auth_rules[] = {
	{ CONFIG_LISTENER, { "auth" }, auth_has_a_backend },
	{ CONFIG_LISTENER, { "auth", "auth_without_tls", "tls" }, auth_is_encrypted },
	{ CONFIG_LISTENER, { "auth", "auth_mechanisms" }, mechanisms_can_be_done },
	{ CONFIG_TOP, { "auth_user", "smtp_user" }, auth_user_is_apart },
	{ CONFIG_TOP, { "keys_user", "user", "smtp_user", "auth_user" }, keys_user_is_apart },
};
const size_t check_auth_rule_count = sizeof(check_auth_rules) / sizeof(check_auth_rules[0]);
