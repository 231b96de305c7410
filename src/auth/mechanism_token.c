/* SPDX-License-Identifier: ISC */
/* OAUTHBEARER (RFC 7628) and XOAUTH2, see mechanism.h: the client shows a token, the authorization server is asked whose. */
#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/bearer.h"
#include "auth/introspect.h"
#include "auth/mechanism.h"

static enum exchange_end ask_server(struct mechanism *m, const struct bearer_message *message)
{
	char user[AUTH_USER_MAX] = "";
	struct err e = { .text = "" };
	enum auth_result result;

	memcpy(m->outcome->user, message->user, sizeof(message->user));
	result = introspect_verify(m->setup->introspect, message->token, message->user,
				   m->client->deadline_mono_ms, user, &e);
	if (result == AUTH_OK)
		memcpy(m->outcome->user, user, sizeof(user));
	return mechanism_judged(m, result, &e);
}

/* The refusal is a challenge (RFC 7628 3.2.3): the client answers something, and only then hears 535. */
static void refuse(struct mechanism *m)
{
	char *challenge = NULL;

	if (gsasl_base64_to(BEARER_REFUSAL, strlen(BEARER_REFUSAL), &challenge, NULL) == GSASL_OK)
		(void)m->conversation->ask(m->conversation, challenge);
	free(challenge);
}

enum exchange_end mechanism_token(struct mechanism *m)
{
	const char *response = m->initial ? m->initial : m->conversation->ask(m->conversation, "");
	bool xoauth2 = strcmp(m->outcome->mechanism, "XOAUTH2") == 0;
	struct bearer_message message;
	enum exchange_end end;
	struct err e;
	size_t len;
	char *data;
	int parsed;

	if (!response)
		return EXCHANGE_CANCELLED;
	data = mechanism_decode(response, &len);
	if (!data)
		return mechanism_end(m, EXCHANGE_MALFORMED, "no base64");
	parsed = xoauth2 ? bearer_parse_xoauth2(data, len, &message, &e)
			 : bearer_parse_oauthbearer(data, len, &message, &e);
	mechanism_forget(data, len);
	end = parsed == 0 ? ask_server(m, &message) : mechanism_end(m, EXCHANGE_MALFORMED, e.text);
	explicit_bzero(&message, sizeof(message));
	if (end == EXCHANGE_FAILED)
		refuse(m);
	return end;
}
