/* SPDX-License-Identifier: ISC */
/* See check.h: what the handler "proxy" cannot do without a spool and a relay. One rule a function. */
#include "config/check_internal.h"
#include "handler/facts.h"

static bool handler_is_proxy(const struct check *c)
{
	return handler_find(c->cfg->handler) == HANDLER_PROXY;
}

static const struct config_upstream *upstream_of(const struct check *c)
{
	return &c->cfg->upstream[c->index];
}

/* Tokens are kept good by the relay, one for all connections; the workers would ask for one each. */
static void tokens_are_renewed(struct check *c)
{
	if (handler_is_proxy(c) && upstream_of(c)->oauth != OAUTH_NONE)
		check_fail(c, "oauth does not go with handler = \"proxy\": without a relay nobody renews the "
			      "token; use a password, or handler = \"spool\"");
}

static void messages_are_counted(struct check *c)
{
	if (handler_is_proxy(c) && upstream_of(c)->messages_per_minute > 0)
		check_fail(
			c,
			"messages_per_minute has no effect with handler = \"proxy\": each client's message "
			"goes on at once; client_messages_per_minute limits clients");
}

/* One answer for all recipients is what a client gets, and LMTP gives one for each (RFC 2033 4.2). */
static void answers_are_one(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);

	for (size_t i = 0; i < u->remoteaddr_count; i++) {
		if (!handler_is_proxy(c) || !u->remoteaddr[i].lmtp)
			continue;
		check_fail(c, "lmtp:// does not go with handler = \"proxy\": its answers, one a recipient, "
			      "cannot be "
			      "passed on as one; use handler = \"spool\"");
		return;
	}
}

const struct check_rule check_proxy_rules[] = {
	{ CONFIG_UPSTREAM, { "oauth" }, tokens_are_renewed },
	{ CONFIG_UPSTREAM, { "messages_per_minute" }, messages_are_counted },
	{ CONFIG_UPSTREAM, { "remoteaddr" }, answers_are_one },
};
const size_t check_proxy_rule_count = sizeof(check_proxy_rules) / sizeof(check_proxy_rules[0]);
