/* SPDX-License-Identifier: ISC */
/*
 * ETRN (RFC 1985): a client that can take its mail again asks us to try now
 * what waits for it.
 *
 *   etrn-cmd = "ETRN" SP [ "@" / "#" ] node-name CRLF
 *
 * Without a mark the node is a domain, with "@" that and its subdomains, with
 * "#" the name of an upstream. Who may relay may ask; what comes of it the
 * client does not see, as there is no 252 or 253: nobody here knows the queue.
 */
#include <string.h>

#include "session/session_internal.h"
#include "smtp/path.h"

static enum session_flush_of kind_of(const char *node)
{
	return *node == '#'   ? SESSION_FLUSH_UPSTREAM
	       : *node == '@' ? SESSION_FLUSH_SUBDOMAINS
			      : SESSION_FLUSH_DOMAIN;
}

static bool is_node(enum session_flush_of kind, const char *name, size_t len)
{
	if (kind == SESSION_FLUSH_UPSTREAM)
		return len > 0;
	return smtp_is_domain(name, len) ||
	       (kind == SESSION_FLUSH_DOMAIN && smtp_is_address_literal(name, len));
}

void verb_etrn(struct session *s, const char *arg, size_t len)
{
	char node[SMTP_DOMAIN_MAX + 2];
	enum session_flush_of kind;
	const char *name;

	if (len >= sizeof(node)) {
		session_reply_syntax(s, command_find("ETRN", 4), NULL);
		return;
	}
	memcpy(node, arg, len);
	node[len] = '\0';
	kind = kind_of(node);
	name = kind == SESSION_FLUSH_DOMAIN ? node : node + 1;
	if (!is_node(kind, name, strlen(name))) {
		session_reply_syntax(s, command_find("ETRN", 4), NULL);
		return;
	}
	if (!session_may_relay(s)) {
		session_reply(s, 459, "4.7.1", "Node %s not allowed: %s may not relay", node,
			      s->peer->address);
		return;
	}
	switch (s->cfg->flush(s->cfg->flush_ctx, kind, name)) {
	case SESSION_FLUSH_BEGUN:
		session_reply(s, 250, "2.0.0", "OK, queuing for node %s started", node);
		break;
	case SESSION_FLUSH_NOTHING:
		session_reply(s, 251, "2.0.0", "OK, no messages waiting for node %s", node);
		break;
	case SESSION_FLUSH_NO_SUCH:
		session_reply(s, 459, "4.4.4", "Node %s not allowed: there is no such queue", node);
		break;
	case SESSION_FLUSH_FAILED:
		session_reply(s, 458, "4.3.0", "Unable to queue messages for node %s", node);
		break;
	}
}
