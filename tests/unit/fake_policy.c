/* SPDX-License-Identifier: ISC */
/* See fake_policy.h. */
#include "fake_policy.h"

#include <string.h>

#include "session/session.h"

static enum policy_verdict pass(struct session_policy *p, const struct session_client *client, struct smtp_reply *reply)
{
	(void)p;
	(void)client;
	(void)reply;
	return POLICY_PASS;
}

static enum policy_verdict pass_envelope(struct session_policy *p, const struct session_client *client,
					 struct envelope *env, struct smtp_reply *reply)
{
	(void)env;
	return pass(p, client, reply);
}

static enum policy_verdict refuse(struct session_policy *p, const struct session_client *client, struct envelope *env,
				  struct smtp_reply *reply)
{
	(void)p;
	(void)env;
	smtp_reply_set(reply, 554, "5.7.1", "Relay access denied: %s is not in relay_from", client->peer->address);
	return POLICY_REFUSE;
}

/* The table that tests/transcripts/README has for vrfy_table. */
static bool verify(struct session_policy *p, const struct session_client *client, const char *address, bool expand,
		   struct smtp_reply *reply)
{
	bool is_bob = strcmp(address, "bob@example.org") == 0;

	(void)p;
	(void)client;
	if (strcmp(address, "carol@example.org") == 0)
		smtp_reply_set(reply, 550, "5.1.1", "No such user here");
	else if (strcmp(address, "staff@example.org") == 0 && expand)
		smtp_reply_set(reply, 250, "2.1.5", "<bob@example.org>\n<carol@example.org>");
	else if (strcmp(address, "staff@example.org") == 0)
		smtp_reply_set(reply, 252, "2.5.2", "<staff@example.org> is a mailing list");
	else if (is_bob && expand)
		smtp_reply_set(reply, 550, "5.2.4", "<bob@example.org> is no mailing list");
	else if (is_bob)
		smtp_reply_set(reply, 250, "2.1.5", "Bob Builder <bob@example.org>");
	else if (expand)
		smtp_reply_set(reply, 550, "5.1.1", "<%s> is no mailing list that is known here", address);
	return reply->code != 0;
}

static bool verify_nothing(struct session_policy *p, const struct session_client *client, const char *address,
			   bool expand, struct smtp_reply *reply)
{
	(void)p;
	(void)address;
	if (expand)
		smtp_reply_set(reply, 550, "5.7.1", "Access denied: %s is not in relay_from", client->peer->address);
	return expand;
}

static bool yes(struct session_policy *p, const struct session_client *client)
{
	(void)p;
	(void)client;
	return true;
}

static bool no(struct session_policy *p, const struct session_client *client)
{
	return !yes(p, client);
}

static const struct session_policy_ops open_ops = { pass, pass_envelope, pass_envelope, verify, yes, pass };
static const struct session_policy_ops closed_ops = { pass, pass_envelope, refuse, verify_nothing, no, pass };

struct session_policy fake_policy_open = { &open_ops }, fake_policy_closed = { &closed_ops };
