/* SPDX-License-Identifier: ISC */
/* See fake_policy.h. */
#include "fake_policy.h"

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

static const struct session_policy_ops open_ops = { pass, pass_envelope, pass_envelope, pass };
static const struct session_policy_ops closed_ops = { pass, pass_envelope, refuse, pass };

struct session_policy fake_policy_open = { &open_ops }, fake_policy_closed = { &closed_ops };
