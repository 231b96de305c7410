/* SPDX-License-Identifier: ISC */
/*
 * AUTH (RFC 4954): the SMTP side. What client and authenticator say to each
 * other passes through in base64, unread, and is in no trace and no log.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "session/session_internal.h"

#define MECHANISM_MAX 20 /* RFC 4422 3.1 */
#define STEPS_MAX 10 /* no mechanism needs so many */
#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

struct exchange {
	char mechanism[MECHANISM_MAX + 1];
	char *initial; /* NULL: none; owned */
	struct authenticator_answer answer;
};

void auth_mechanisms(const struct session *s, struct buf *out)
{
	struct session_client client = session_client(s);

	if (s->cfg->auth == SESSION_AUTH_NONE || (!client.tls && !s->cfg->auth_without_tls))
		return;
	s->cfg->authenticator->ops->mechanisms(s->cfg->authenticator, &client, out);
}

bool auth_is_offered(const struct session *s)
{
	struct buf mechanisms;
	bool any;

	buf_init(&mechanisms, SMTP_REPLY_LINE_MAX);
	auth_mechanisms(s, &mechanisms);
	any = mechanisms.len > 0;
	buf_release(&mechanisms);
	return any;
}

/* What stands against AUTH in this state; replies and returns false. */
static bool may_authenticate(struct session *s)
{
	if (s->cfg->auth != SESSION_AUTH_NONE && !session_tls(s) && !s->cfg->auth_without_tls)
		session_reply(s, 538, "5.7.11", "Error: encryption is required for AUTH: STARTTLS first");
	else if (s->env.auth_user)
		session_reply(s, 503, "5.5.1", "Error: already authenticated");
	else if (!s->extended)
		session_reply(s, 503, "5.5.1", "Error: send EHLO first");
	else if (!auth_is_offered(s))
		session_reply(s, 502, "5.5.1", "Error: AUTH is not offered here");
	else
		return true;
	return false;
}

static bool is_base64(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0' || !strchr(BASE64, text[i]))
			return false;
	return true;
}

static bool is_mechanism_octet(char o)
{
	return (o >= 'A' && o <= 'Z') || (o >= '0' && o <= '9') || o == '-' || o == '_';
}

/* Mechanism and initial response; replies and returns false when this is neither. */
static bool read_argument(struct session *s, struct exchange *x, const char *arg, size_t len)
{
	const char *space = memchr(arg, ' ', len), *end = arg + len;
	size_t name_len = (size_t)((space ? space : end) - arg);

	if (name_len > MECHANISM_MAX) {
		session_reply(s, 504, "5.5.4", "Error: no such authentication mechanism");
		return false;
	}
	for (size_t i = 0; i < name_len; i++) {
		x->mechanism[i] = arg[i] >= 'a' && arg[i] <= 'z' ? (char)(arg[i] - 'a' + 'A') : arg[i];
		if (!is_mechanism_octet(x->mechanism[i])) {
			session_reply_syntax(s, command_find("AUTH", 4), NULL);
			return false;
		}
	}
	while (space && space < end && *space == ' ')
		space++;
	if (!space)
		return true;
	if (!is_base64(space, (size_t)(end - space))) {
		session_reply(s, 501, "5.5.2", "Error: the initial response is not base64");
		return false;
	}
	/* "=" is an empty one (RFC 4954 4) */
	x->initial = end - space == 1 && *space == '=' ? mem_strdup("")
						       : mem_strndup(space, (size_t)(end - space));
	return true;
}

/* The client's answer to a challenge, the caller's to free. NULL: the client was told what is wrong, or is gone. */
static char *read_response(struct session *s)
{
	int64_t deadline = session_deadline_in(s->cfg->command_timeout_ms);
	enum input_event event;
	const char *line;
	size_t len;

	while ((event = input_line(&s->in, &line, &len)) == INPUT_MORE)
		if (!session_fill(s, deadline))
			return NULL;
	session_trace(s, true, "***", 3);
	if (event == INPUT_TOO_LONG)
		session_reply(s, 500, "5.5.6", "Error: authentication exchange line is too long");
	else if (event == INPUT_LINE && len == 1 && *line == '*')
		session_reply(s, 501, "5.7.0", "Authentication cancelled");
	else if (event != INPUT_LINE || !is_base64(line, len))
		session_reply(s, 501, "5.5.2", "Error: the response is not base64");
	else
		return mem_strndup(line, len);
	return NULL;
}

/* Secrets do not lie about in freed memory. */
static void forget(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

bool session_become_user(struct session *s, const char *user)
{
	struct smtp_reply reply = { .code = 0 };
	struct session_client client;

	ASSERT(user[0] && strlen(user) < AUTHENTICATOR_USER_MAX);
	envelope_set(&s->env.auth_user, user, strlen(user));
	client = session_client(s);
	if (s->cfg->policy &&
	    !session_policy_passes(s, s->cfg->policy->ops->authenticated(s->cfg->policy, &client, &reply),
				   &reply)) {
		free(s->env.auth_user);
		s->env.auth_user = NULL;
		return false;
	}
	s->in.line_max = INPUT_LINE_MAX;
	return true;
}

static void conclude(struct session *s, const struct exchange *x, enum authenticator_result result)
{
	switch (result) {
	case AUTHENTICATOR_CONTINUE:
		break;
	case AUTHENTICATOR_OK:
		if (session_become_user(s, x->answer.user))
			session_reply(s, 235, "2.7.0", "Authentication successful");
		break;
	case AUTHENTICATOR_FAILED:
		session_reply(s, 535, "5.7.8", "Error: authentication credentials invalid");
		break;
	case AUTHENTICATOR_MALFORMED:
		session_reply(s, 501, "5.5.2", "Error: not what %s sends", x->mechanism);
		break;
	case AUTHENTICATOR_NO_MECHANISM:
		session_reply(s, 504, "5.5.4", "Error: no such authentication mechanism");
		break;
	case AUTHENTICATOR_TEMPORARY:
		session_reply(s, 454, "4.7.0", "Temporary authentication failure, try again later");
		break;
	case AUTHENTICATOR_BANNED:
		session_reply(s, 421, "4.7.0", "%s Error: too many failed authentications", s->cfg->hostname);
		break;
	case AUTHENTICATOR_SHED:
		session_shed(s);
		break;
	}
}

static void run_exchange(struct session *s, struct exchange *x)
{
	struct session_authenticator *a = s->cfg->authenticator;
	struct session_client client = session_client(s);
	enum authenticator_result result;

	result = a->ops->begin(a, &client, x->mechanism, x->initial,
			       session_deadline_in(s->cfg->command_timeout_ms), &x->answer);
	for (int i = 0; result == AUTHENTICATOR_CONTINUE; i++) {
		char *response = NULL;

		if (i == STEPS_MAX) {
			result = AUTHENTICATOR_FAILED;
			break;
		}
		session_reply(s, 334, NULL, "%s", x->answer.challenge);
		response = read_response(s);
		if (!response) {
			a->ops->cancel(a);
			return;
		}
		result = a->ops->step(a, response, session_deadline_in(s->cfg->command_timeout_ms),
				      &x->answer);
		forget(response);
	}
	a->ops->cancel(a);
	conclude(s, x, result);
}

void verb_auth(struct session *s, const char *arg, size_t len)
{
	struct exchange x = { .initial = NULL };

	if (may_authenticate(s) && read_argument(s, &x, arg, len))
		run_exchange(s, &x);
	forget(x.initial);
}
