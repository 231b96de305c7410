/* SPDX-License-Identifier: ISC */
/*
 * See access.h. Runs in a worker. The order of the questions is that of the
 * session: the client at its greeting, its user after AUTH, the sender at
 * MAIL, each recipient at RCPT; what costs the client's share is asked last.
 */
#include "access/access.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "session/session.h"

/* ---- refusals ---------------------------------------------------------------------- */

static enum policy_verdict refuse(struct access *a, struct smtp_reply *reply, const char *rule, int code,
				  const char *enhanced, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
static enum policy_verdict refuse(struct access *a, struct smtp_reply *reply, const char *rule, int code,
				  const char *enhanced, const char *fmt, ...)
{
	char text[SMTP_REPLY_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	smtp_reply_set(reply, code, enhanced, "%s", text);
	snprintf(a->rule, sizeof(a->rule), "%s", rule);
	return POLICY_REFUSE;
}

/* What the entry says; a hold is noted in *hold. */
static enum policy_verdict follow(struct access *a, enum rules_kind kind, const struct rule *rule,
				  char **hold, struct smtp_reply *reply)
{
	switch (rule->action) {
	case RULE_ALLOW:
	case RULE_UNKNOWN:
	case RULE_LIST:
		break;
	case RULE_HOLD:
		if (!*hold) /* the first reason counts */
			*hold = mem_strdup(rule->text);
		break;
	case RULE_REJECT:
	case RULE_DEFER:
		*reply = rule->reply;
		snprintf(a->rule, sizeof(a->rule), "%s:%u", rules_names[kind], (unsigned)rule->line);
		return POLICY_REFUSE;
	}
	return POLICY_PASS;
}

/* ---- the client ----------------------------------------------------------------------- */

static void take_address(struct access *a, const char *text)
{
	static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	char plain[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "%"); /* the scope of a link-local address */

	memset(a->address, 0, sizeof(a->address));
	a->family = AF_UNSPEC;
	if (strcmp(text, "unix") == 0) {
		a->family = AF_UNIX;
	} else if (len < sizeof(plain)) {
		memcpy(plain, text, len);
		plain[len] = '\0';
		if (inet_pton(AF_INET, plain, a->address) == 1)
			a->family = AF_INET;
		else if (inet_pton(AF_INET6, plain, a->address) == 1)
			a->family = AF_INET6;
	}
	if (a->family == AF_INET6 && memcmp(a->address, mapped, sizeof(mapped)) == 0) {
		memmove(a->address, a->address + 12, 4);
		a->family = AF_INET;
	}
}

static size_t address_len(int family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

static bool is_in(const struct access *a, const struct cidr *nets, size_t count)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	const struct sockaddr *sa =
		a->family == AF_INET ? (const struct sockaddr *)&in : (const struct sockaddr *)&in6;

	if (a->family != AF_INET && a->family != AF_INET6)
		return false;
	memcpy(&in.sin_addr, a->address, sizeof(in.sin_addr));
	memcpy(&in6.sin6_addr, a->address, sizeof(in6.sin6_addr));
	for (size_t i = 0; i < count; i++)
		if (cidr_contains(&nets[i], sa))
			return true;
	return false;
}

/*
 * RFC 5321 3.1 and 4.3.2 know 554 and 421 as greetings of one who will not serve; the codes of a table are
 * those of commands.
 */
static void make_greeting(struct smtp_reply *reply)
{
	reply->code = smtp_reply_is_permanent(reply) ? 554 : 421;
}

static enum policy_verdict ask_clients(struct access *a, struct smtp_reply *reply)
{
	const struct rules *rules = &a->settings->tables->rules[RULES_CLIENT];
	struct rule rule;

	if (!rules_find_client(rules, a->family, a->address, &rule))
		return POLICY_PASS;
	return follow(a, RULES_CLIENT, &rule, &a->hold, reply);
}

static enum policy_verdict enter_client(struct access *a, const struct session_peer *peer, unsigned sessions,
					struct smtp_reply *reply)
{
	const struct access_settings *s = a->settings;
	unsigned most = s->client.connections;
	bool crowded = most > 0 && s->crowd > 0 && sessions > s->crowd && s->share < most;

	if (!s->limits || a->exempt)
		return POLICY_PASS;
	if (limits_enter(s->limits, s->slot, LIMITS_CLIENT, a->client_key, crowded ? s->share : most))
		return POLICY_PASS;
	return refuse(a, reply, crowded ? "client_share" : "client_connections", 421, "4.7.0",
		      "Error: too many connections from %s%s", peer->address,
		      crowded ? " while many clients are served" : "");
}

/* Forgets all but the settings. */
static void start_over(struct access *a)
{
	free(a->hold);
	a->hold = NULL;
	a->rule[0] = '\0';
	a->user_key = 0;
	if (a->settings->limits)
		limits_clear_slot(a->settings->limits, a->settings->slot);
}

static enum policy_verdict receive(struct access *a, const struct session_peer *peer, unsigned sessions,
				   struct smtp_reply *reply)
{
	const struct access_settings *s = a->settings;
	enum policy_verdict verdict;

	start_over(a);
	take_address(a, peer->address);
	a->exempt = a->family == AF_UNIX || is_in(a, s->exempt, s->exempt_count);
	if (s->limits)
		a->client_key = limits_key_of_address(s->limits, a->address, address_len(a->family));
	verdict = ask_clients(a, reply);
	if (verdict == POLICY_PASS)
		verdict = enter_client(a, peer, sessions, reply);
	if (verdict == POLICY_REFUSE)
		make_greeting(reply);
	return verdict;
}

enum policy_verdict access_begin(struct access *a, const struct session_peer *peer, struct access_login login,
				 unsigned sessions, struct smtp_reply *reply)
{
	a->login = login;
	return receive(a, peer, sessions, reply);
}

enum client_rank access_rank(const struct access *a)
{
	if (a->family == AF_UNIX)
		return CLIENT_LOCAL;
	return a->exempt || a->user_key != 0 ? CLIENT_PRIVILEGED : CLIENT_STRANGER;
}

void access_end(struct access *a)
{
	start_over(a);
}

static enum policy_verdict peer_changed(struct session_policy *p, const struct session_client *client,
					struct smtp_reply *reply)
{
	/* whoever speaks for it was let in, however many there are */
	return receive((struct access *)p, client->peer, 0, reply);
}

/* ---- users ------------------------------------------------------------------------------- */

static enum policy_verdict authenticated(struct session_policy *p, const struct session_client *client,
					 struct smtp_reply *reply)
{
	struct access *a = (struct access *)p;
	const struct access_settings *s = a->settings;

	a->rule[0] = '\0';
	if (!s->limits)
		return POLICY_PASS;
	a->user_key = limits_key_of_user(s->limits, client->auth_user);
	if (limits_enter(s->limits, s->slot, LIMITS_USER, a->user_key, s->user.connections))
		return POLICY_PASS;
	a->user_key = 0;
	return refuse(a, reply, "user_connections", 421, "4.7.0", "Error: too many connections of this user");
}

/* ---- the shares of client and user -------------------------------------------------------- */

static unsigned a_minute(const struct access_numbers *n, enum limits_what what)
{
	switch (what) {
	case LIMITS_MESSAGES:
		return n->messages_per_minute;
	case LIMITS_RECIPIENTS:
		return n->recipients_per_minute;
	}
	return 0;
}

static const char *const what_names[] = {
	[LIMITS_MESSAGES] = "messages", [LIMITS_RECIPIENTS] = "recipients"
};

static enum policy_verdict over_limit(struct access *a, const char *who, enum limits_what what, unsigned most,
				      struct smtp_reply *reply)
{
	char rule[sizeof(a->rule)];

	snprintf(rule, sizeof(rule), "%s_%s_per_minute", who, what_names[what]);
	/* not 452 4.5.3 for recipients: that asks a client to send the rest at once (RFC 5321 4.5.3.1.10) */
	return refuse(a, reply, rule, 450, "4.7.1",
		      "Error: too many %s from this %s, %u a minute are allowed; try again later",
		      what_names[what], who, most);
}

static enum policy_verdict take_share(struct access *a, enum limits_what what, struct smtp_reply *reply)
{
	const struct access_settings *s = a->settings;
	unsigned of_client = a_minute(&s->client, what), of_user = a_minute(&s->user, what);
	int64_t now = clock_mono_ms();

	if (!s->limits)
		return POLICY_PASS;
	if (a->user_key && !limits_take(s->limits, a->user_key, what, of_user, now))
		return over_limit(a, "user", what, of_user, reply);
	if (a->exempt || limits_take(s->limits, a->client_key, what, of_client, now))
		return POLICY_PASS;
	if (a->user_key) /* a busy neighbour is not to cost it its own share */
		limits_give_back(s->limits, a->user_key, what, of_user);
	return over_limit(a, "client", what, of_client, reply);
}

/* ---- MAIL ---------------------------------------------------------------------------------- */

/* The address as a table has it: one without a domain is in ours. Valid until the next call. */
static const char *whole(struct access *a, const char *address)
{
	if (!*address || smtp_address_domain(address) || !a->settings->default_domain)
		return address;
	snprintf(a->whole, sizeof(a->whole), "%s@%s", address, a->settings->default_domain);
	return a->whole;
}

static enum policy_verdict ask_addresses(struct access *a, enum rules_kind kind, const char *address,
					 struct envelope *env, struct smtp_reply *reply)
{
	struct rule rule;

	if (!rules_find_address(&a->settings->tables->rules[kind], whole(a, address), &rule))
		return POLICY_PASS;
	return follow(a, kind, &rule, &env->hold, reply);
}

static enum policy_verdict ask_owners(struct access *a, const struct session_client *client,
				      const char *sender, struct smtp_reply *reply)
{
	const struct access_tables *t = a->settings->tables;
	char user[AUTHENTICATOR_USER_MAX];
	size_t n = 0;

	if (!client->auth_user || !t->has_owners ||
	    owners_permit(&t->owners, client->auth_user, whole(a, sender)))
		return POLICY_PASS;
	for (const char *c = client->auth_user; *c && n < sizeof(user) - 1; c++)
		/* also what would begin another line of the reply */
		user[n++] = *c < ' ' || *c > '~' ? '?' : *c;
	user[n] = '\0';
	return refuse(a, reply, "auth_senders", 553, "5.7.1", "Sender address rejected: not owned by user %s",
		      user);
}

static enum policy_verdict mail(struct session_policy *p, const struct session_client *client,
				struct envelope *env, struct smtp_reply *reply)
{
	struct access *a = (struct access *)p;

	a->rule[0] = '\0';
	if (a->hold)
		envelope_set(&env->hold, a->hold, strlen(a->hold));
	if (ask_owners(a, client, env->sender, reply) == POLICY_REFUSE ||
	    ask_addresses(a, RULES_SENDER, env->sender, env, reply) == POLICY_REFUSE)
		return POLICY_REFUSE;
	return take_share(a, LIMITS_MESSAGES, reply);
}

/* ---- RCPT ------------------------------------------------------------------------------------ */

/* *.example.org: one label and not more stands for the star (RFC 6125 6.4.3). */
static bool name_matches(const char *pattern, const char *name)
{
	const char *dot;

	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, name) == 0;
	dot = strchr(name, '.');
	return dot && dot > name && !strchr(name, '@') && strcasecmp(pattern + 1, dot) == 0;
}

static bool cert_matches(const char *pattern, const struct session_tls *tls)
{
	if (strncmp(pattern, "sha256:", 7) == 0)
		return tls->fingerprint && strcasecmp(pattern + 7, tls->fingerprint) == 0;
	if (strncmp(pattern, "name:", 5) != 0 || !tls->verified)
		return false;
	for (size_t i = 0; i < tls->name_count; i++)
		if (name_matches(pattern + 5, tls->names[i]))
			return true;
	return false;
}

/* The one place that says so. */
static bool may_relay(const struct access *a, const struct session_client *client)
{
	const struct access_settings *s = a->settings;

	/* MAIL is refused to it anyway; what else is for those who may relay is not for it either */
	if (a->login.required && !client->auth_user)
		return false;
	if (a->family == AF_UNIX || client->auth_user || is_in(a, s->relay_from, s->relay_from_count))
		return true;
	for (size_t i = 0; client->tls && i < s->relay_from_cert_count; i++)
		if (cert_matches(s->relay_from_cert[i], client->tls))
			return true;
	return false;
}

/* What would help. */
static const char *remedy(const struct access *a, const struct session_client *client)
{
	if (!a->login.offered)
		return client->tls && client->tls->fingerprint && a->settings->relay_from_cert_count > 0
			       ? ", nor its certificate in relay_from_cert"
			       : "";
	return client->tls || a->login.in_clear ? "; log in first (AUTH)"
						: "; use STARTTLS and log in first (AUTH)";
}

static enum policy_verdict rcpt(struct session_policy *p, const struct session_client *client,
				struct envelope *env, struct smtp_reply *reply)
{
	struct access *a = (struct access *)p;
	const char *address = env->rcpt[env->rcpt_count - 1].address;

	a->rule[0] = '\0';
	if (a->settings->relays && !may_relay(a, client))
		return refuse(a, reply, "relay_from", 554, "5.7.1",
			      "Relay access denied: %s is not in relay_from%s", client->peer->address,
			      remedy(a, client));
	if (ask_addresses(a, RULES_RECIPIENT, address, env, reply) == POLICY_REFUSE)
		return POLICY_REFUSE;
	return take_share(a, LIMITS_RECIPIENTS, reply);
}

/* ---- VRFY, EXPN ------------------------------------------------------------------------------ */

static void tell_members(const char *members, struct smtp_reply *reply)
{
	char text[SMTP_REPLY_TEXT_MAX] = "";
	size_t n = 0;

	/* that they fit was seen when the table was read */
	while (*members) {
		size_t len = strcspn(members, " ");

		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s<%.*s>", n > 0 ? "\n" : "", (int)len,
				      members);
		members += len + (members[len] == ' ');
	}
	smtp_reply_set(reply, 250, "2.1.5", "%s", text);
}

/* A reply is ASCII: an address that is not stays out of it. */
static const char *shown(const char *address, char out[SMTP_PATH_MAX + 2])
{
	snprintf(out, SMTP_PATH_MAX + 2, "<%s>", address);
	return text_is_printable_ascii(address) ? out : "This address";
}

/* RFC 5321 3.5.2 and .3 */
static bool answer(const struct rule *rule, const char *address, bool expand, struct smtp_reply *reply)
{
	char name[SMTP_PATH_MAX + 2];

	switch (rule->action) {
	case RULE_ALLOW:
		if (expand)
			smtp_reply_set(reply, 550, "5.2.4", "%s is no mailing list", shown(address, name));
		else
			smtp_reply_set(reply, 250, "2.1.5", "%s",
				       *rule->text ? rule->text : shown(address, name));
		return true;
	case RULE_REJECT:
	case RULE_DEFER:
		*reply = rule->reply;
		return true;
	case RULE_LIST:
		if (expand)
			tell_members(rule->text, reply);
		else /* not the 550 of the RFC's example: who asks in order to send may send */
			smtp_reply_set(reply, 252, "2.5.2", "%s is a mailing list", shown(address, name));
		return true;
	case RULE_UNKNOWN:
	case RULE_HOLD:
		break;
	}
	return false;
}

static bool verify(struct session_policy *p, const struct session_client *client, const char *address,
		   bool expand, struct smtp_reply *reply)
{
	struct access *a = (struct access *)p;
	const struct access_settings *s = a->settings;
	char name[SMTP_PATH_MAX + 2];
	struct rule rule;

	a->rule[0] = '\0';
	if (!s->verifies)
		return false;
	if (!s->verifies_for_anyone && !may_relay(a, client)) {
		/* RFC 5321 7.3: neither a yes nor a no */
		if (expand)
			refuse(a, reply, "relay_from", 550, "5.7.1",
			       "Access denied: %s is not in relay_from%s", client->peer->address,
			       remedy(a, client));
		return expand;
	}
	if (!rules_find_address(&s->tables->rules[RULES_VRFY], whole(a, address), &rule))
		rule.action = RULE_UNKNOWN;
	if (answer(&rule, address, expand, reply)) {
		if (rule.action == RULE_REJECT || rule.action == RULE_DEFER)
			snprintf(a->rule, sizeof(a->rule), "%s:%u", rules_names[RULES_VRFY],
				 (unsigned)rule.line);
		return true;
	}
	if (expand)
		smtp_reply_set(reply, 550, "5.1.1", "%s is no mailing list that is known here",
			       shown(address, name));
	return expand;
}

static bool asked_may_relay(struct session_policy *p, const struct session_client *client)
{
	return may_relay((struct access *)p, client);
}

/* ---- life -------------------------------------------------------------------------------------- */

static const struct session_policy_ops ops = { .authenticated = authenticated,
					       .mail = mail,
					       .rcpt = rcpt,
					       .verify = verify,
					       .may_relay = asked_may_relay,
					       .peer_changed = peer_changed };

void access_init(struct access *a, const struct access_settings *settings)
{
	memset(a, 0, sizeof(*a));
	a->policy.ops = &ops;
	a->settings = settings;
	start_over(a);
}

void access_release(struct access *a)
{
	start_over(a);
}
