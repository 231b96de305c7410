/* SPDX-License-Identifier: ISC */
/*
 * XCLIENT (Postfix's XCLIENT_README): a proxy in front of us tells for whom
 * it speaks, and perhaps who that has logged in as. Only who stands in
 * xclient_from is believed; for the rest it is as if the client had just
 * connected.
 *
 * It is believed until it has spoken: what comes behind another command may
 * be the client's own, as proxies (nginx) pass on whatever that says, and the
 * client is not to choose who it is.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "session/session_internal.h"
#include "smtp/xtext.h"

/* What was told; "" where nothing was, or that it is not known. */
struct told {
	char address[INET6_ADDRSTRLEN];
	bool ipv6;
	uint64_t port;
	char login[AUTHENTICATOR_USER_MAX];
	bool has_address, has_login;
};

static bool is_unknown(const char *value)
{
	return strcasecmp(value, "[UNAVAILABLE]") == 0 || strcasecmp(value, "[TEMPUNAVAIL]") == 0;
}

static bool take_address(struct told *t, const char *value)
{
	unsigned char address[16];
	bool prefix = strncasecmp(value, "IPV6:", 5) == 0;

	t->has_address = true;
	t->ipv6 = false;
	if (is_unknown(value)) { /* then it is nobody: what the proxy may do is not for its clients */
		strcpy(t->address, "unknown");
		return true;
	}
	value += prefix ? 5 : 0;
	t->ipv6 = inet_pton(AF_INET6, value, address) == 1;
	if (!t->ipv6 && (prefix || inet_pton(AF_INET, value, address) != 1))
		return false;
	if (t->ipv6 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address)) {
		inet_ntop(AF_INET, address + 12, t->address, sizeof(t->address));
		t->ipv6 = false;
	} else {
		inet_ntop(t->ipv6 ? AF_INET6 : AF_INET, address, t->address, sizeof(t->address));
	}
	return true;
}

static bool take_port(struct told *t, const char *value)
{
	return is_unknown(value) || num_parse_u64(value, strlen(value), 65535, &t->port);
}

static bool take_login(struct told *t, const char *value)
{
	if (is_unknown(value))
		return true;
	for (const char *c = value; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	if (!*value || strlen(value) >= sizeof(t->login))
		return false;
	strcpy(t->login, value);
	t->has_login = true;
	return true;
}

/* The name is not used here: who it is goes by the address, and HELO comes again. */
static bool ignore(struct told *t, const char *value)
{
	(void)t;
	(void)value;
	return true;
}

static const struct {
	const char *name;
	bool (*take)(struct told *t, const char *value);
} attributes[] = {
	{ "ADDR", take_address },   { "PORT", take_port },  { "LOGIN", take_login },
	{ "NAME", ignore },         { "HELO", ignore },     { "PROTO", ignore },
	{ "REVERSE_NAME", ignore }, { "DESTADDR", ignore }, { "DESTPORT", ignore },
};
#define ATTRIBUTES (sizeof(attributes) / sizeof(*attributes))

bool xclient_is_offered(const struct session *s)
{
	return s->peer->may_xclient && !s->proxy_done;
}

void xclient_attributes(const struct session *s, struct buf *out)
{
	(void)s;
	for (size_t i = 0; i < ATTRIBUTES; i++)
		buf_addf(out, " %s", attributes[i].name);
}

static bool take_one(struct told *t, const char *text, size_t len)
{
	const char *equal = memchr(text, '=', len);
	char value[512];

	if (!equal)
		return false;
	for (size_t i = 0; i < ATTRIBUTES; i++) {
		const char *name = attributes[i].name;

		if (strlen(name) != (size_t)(equal - text) || strncasecmp(name, text, strlen(name)) != 0)
			continue;
		return xtext_decode(equal + 1, (size_t)(text + len - equal - 1), value, sizeof(value)) >= 0 &&
		       attributes[i].take(t, value);
	}
	return false;
}

static bool take_all(struct told *t, const char *arg, size_t len)
{
	const char *end = arg + len;

	while (arg < end) {
		const char *space = memchr(arg, ' ', (size_t)(end - arg)), *stop = space ? space : end;

		if (stop > arg && !take_one(t, arg, (size_t)(stop - arg)))
			return false;
		arg = space ? space + 1 : end;
	}
	return true;
}

static void become_client(struct session *s, const struct told *t)
{
	if (!t->has_address)
		return;
	snprintf(s->told_address, sizeof(s->told_address), "%s", t->address);
	snprintf(s->told_text, sizeof(s->told_text), t->ipv6 ? "[%s]:%u" : "%s:%u", t->address,
		 (unsigned)t->port);
	s->told_peer = *s->peer;
	s->told_peer.text = s->told_text;
	s->told_peer.address = s->told_address;
	s->peer = &s->told_peer;
	envelope_set(&s->env.peer, s->told_text, strlen(s->told_text));
	if (s->events && s->events->peer)
		s->events->peer(s->events->ctx, s->told_text);
}

static bool is_welcome(struct session *s)
{
	struct session_client client = session_client(s);
	struct session_policy *policy = s->cfg->policy;
	struct smtp_reply reply = { .code = 0 };

	if (!policy || session_policy_passes(s, policy->ops->peer_changed(policy, &client, &reply), &reply))
		return true;
	session_finish(s, SESSION_REFUSED);
	return false;
}

void verb_xclient(struct session *s, const char *arg, size_t len)
{
	struct told told = { .ipv6 = false };

	if (!xclient_is_offered(s)) {
		session_reply(s, 550, "5.7.0", "Error: insufficient authorization");
		return;
	}
	if (!take_all(&told, arg, len)) {
		session_reply(s, 501, "5.5.4", "Error: bad or unknown XCLIENT attribute");
		return;
	}
	session_start_over(s);
	s->xclient_told = true;
	become_client(s, &told);
	if (!is_welcome(s))
		return;
	if (told.has_login && !session_become_user(s, told.login))
		return;
	if (hooks_begin_anew(s))
		session_reply(s, 220, NULL, "%s ESMTP Posthouse", s->cfg->hostname);
}
