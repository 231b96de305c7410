/* SPDX-License-Identifier: ISC */
/* See introspect.h. */
#include "auth/introspect.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/form.h"
#include "upstream/http.h"

#define CLOCK_SKEW_S 60 /* that the server's clock may be ahead of ours */

/* ---- the judgement ------------------------------------------------------------------- */

static enum auth_result fail(struct err *e, const char *why)
{
	err_set(e, "the token was refused: %s", why);
	return AUTH_FAILED;
}

/* RFC 6749 3.3: scopes are separated by blanks. */
static bool has_scope(const char *scopes, const char *wanted)
{
	size_t len = strlen(wanted);

	for (const char *at = scopes; at && *at; at += strcspn(at, " ")) {
		at += strspn(at, " ");
		if (strncmp(at, wanted, len) == 0 && (at[len] == '\0' || at[len] == ' '))
			return true;
	}
	return false;
}

static const char *text_of(const json_t *answer, const char *key)
{
	const json_t *value = json_object_get(answer, key);
	const char *text = json_string_value(value);

	/* with a NUL inside it would be another text to us than to the server */
	return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static const char *user_of(const struct introspect_settings *s, const json_t *answer)
{
	if (s->user_claim)
		return text_of(answer, s->user_claim);
	return text_of(answer, "username") ? text_of(answer, "username") : text_of(answer, "sub");
}

static enum auth_result take_user(const struct introspect_settings *s, const json_t *answer,
				  const char *claimed, char out[AUTH_USER_MAX], struct err *e)
{
	const char *user = user_of(s, answer);

	if (!user || !*user)
		return fail(e, s->user_claim
				       ? "the server's answer does not have the member auth_oauth_user_claim"
				       : "the server's answer has neither username nor sub");
	if (strlen(user) >= AUTH_USER_MAX)
		return fail(e, "its user is too long");
	for (const char *c = user; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return fail(e, "its user has control characters");
	/* mail addresses, mostly, and providers are not strict about their case */
	if (*claimed && strcasecmp(claimed, user) != 0)
		return fail(e, "it belongs to another user than the client said");
	strcpy(out, user);
	return AUTH_OK;
}

/* RFC 7662 2.2, and 4: what the server leaves to whoever asks. */
static enum auth_result judge_active(const struct introspect_settings *s, const json_t *answer,
				     const char *claimed, int64_t now_s, char user[AUTH_USER_MAX],
				     struct err *e)
{
	const json_t *exp = json_object_get(answer, "exp"), *nbf = json_object_get(answer, "nbf");
	const char *type = text_of(answer, "token_type");

	if (json_is_number(exp) && json_number_value(exp) <= (double)now_s)
		return fail(e, "it is expired");
	if (json_is_number(nbf) && json_number_value(nbf) > (double)(now_s + CLOCK_SKEW_S))
		return fail(e, "it is not valid yet");
	if (type && strcasecmp(type, "Bearer") != 0 && strcasecmp(type, "access_token") != 0)
		return fail(e, "it is not an access token of type Bearer");
	if (s->scope && !has_scope(text_of(answer, "scope"), s->scope))
		return fail(e, "it does not have the scope of auth_oauth_scope");
	return take_user(s, answer, claimed, user, e);
}

static enum auth_result trouble(const struct introspect_settings *s, struct err *e, const char *what)
{
	err_set(e, "%s: %s", s->url, what);
	return AUTH_TEMPORARY;
}

enum auth_result introspect_judge(const struct introspect_settings *s, long status, const char *body,
				  size_t len, const char *claimed, int64_t now_wall_s,
				  char user[AUTH_USER_MAX], struct err *e)
{
	enum auth_result result;
	json_t *answer;
	const json_t *active;

	user[0] = '\0';
	if (status == 401 || status == 403)
		return trouble(s, e,
			       "the server does not let us ask: check auth_oauth_client_id and its secret");
	if (status != 200) {
		err_set(e, "%s: the server answers with HTTP status %ld", s->url, status);
		return AUTH_TEMPORARY;
	}
	answer = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
	active = json_object_get(answer, "active");
	if (!json_is_boolean(active))
		result = trouble(s, e, "the answer is not one of RFC 7662 (JSON with \"active\")");
	else if (!json_is_true(active))
		result = fail(e, "it is not active: withdrawn, expired, or never issued");
	else
		result = judge_active(s, answer, claimed, now_wall_s, user, e);
	json_decref(answer);
	return result;
}

/* ---- the question ----------------------------------------------------------------------- */

enum auth_result introspect_verify(const struct introspect_settings *s, const char *token,
				   const char *claimed, int64_t deadline_mono_ms, char user[AUTH_USER_MAX],
				   struct err *e)
{
	int64_t left = deadline_mono_ms - clock_mono_ms();
	enum auth_result result = AUTH_TEMPORARY;
	struct http_answer answer;
	struct buf body;

	user[0] = '\0';
	if (left <= 0)
		return trouble(s, e, "no time is left to ask");
	buf_init(&body, FORM_MAX);
	if (!form_add(&body, "token", token) || !form_add(&body, "token_type_hint", "access_token")) {
		buf_wipe(&body);
		return fail(e, "it is too long");
	}
	if (http_perform(&(struct http_request){ .url = s->url,
						 .form = body.data,
						 .user = s->client_id,
						 .password = s->client_secret,
						 .ca_file = s->ca_file,
						 .timeout_ms = left },
			 &answer, e) == 0) {
		result = introspect_judge(s, answer.status, answer.body.data, answer.body.len, claimed,
					  clock_wall_us() / 1000000, user, e);
		http_answer_release(&answer);
	}
	buf_wipe(&body);
	return result;
}
