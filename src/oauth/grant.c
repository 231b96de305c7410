/* SPDX-License-Identifier: ISC */
/* See grant.h. */
#include "oauth/grant.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/form.h"
#include "base/num.h"
#include "oauth/json.h"

#define WORDS_MAX 300 /* octets of what a server says about an error */
#define INTERVAL_DEFAULT_S 5 /* RFC 8628 3.2 */
#define INTERVAL_MAX_S 300
#define DEVICE_LIFETIME_MAX_S 3600

/* ---- requests ------------------------------------------------------------------------ */

/*
 * The client's password goes into the body: what Microsoft and Google document, and what works with servers that
 * know both ways (RFC 6749 2.3.1).
 */
static bool add_client(const struct oauth_client *c, bool with_secret, struct buf *out)
{
	return form_add(out, "client_id", c->client_id) &&
	       (!with_secret || !c->client_secret || form_add(out, "client_secret", c->client_secret));
}

static bool add_scope(const struct oauth_client *c, struct buf *out)
{
	return !c->scope || form_add(out, "scope", c->scope);
}

bool oauth_ask_refresh(const struct oauth_client *c, const char *refresh_token, struct buf *out)
{
	return form_add(out, "grant_type", "refresh_token") &&
	       form_add(out, "refresh_token", refresh_token) && add_client(c, true, out) && add_scope(c, out);
}

bool oauth_ask_client_credentials(const struct oauth_client *c, struct buf *out)
{
	return form_add(out, "grant_type", "client_credentials") && add_client(c, true, out) &&
	       add_scope(c, out);
}

bool oauth_ask_device(const struct oauth_client *c, struct buf *out)
{
	return add_client(c, false, out) && add_scope(c, out);
}

bool oauth_ask_device_token(const struct oauth_client *c, const char *device_code, struct buf *out)
{
	return form_add(out, "grant_type", "urn:ietf:params:oauth:grant-type:device_code") &&
	       form_add(out, "device_code", device_code) && add_client(c, true, out);
}

/* ---- what goes wrong ------------------------------------------------------------------- */

/* Errors that no later try of the same will do away with (RFC 6749 5.2, RFC 8628 3.5); the rest may pass. */
static const struct {
	const char *error;
	enum oauth_answer meaning;
} errors[] = {
	{ "authorization_pending", OAUTH_PENDING },
	{ "slow_down", OAUTH_SLOW_DOWN },
	{ "invalid_grant", OAUTH_REFUSED },
	{ "invalid_client", OAUTH_REFUSED },
	{ "unauthorized_client", OAUTH_REFUSED },
	{ "unsupported_grant_type", OAUTH_REFUSED },
	{ "invalid_scope", OAUTH_REFUSED },
	{ "invalid_request", OAUTH_REFUSED },
	{ "access_denied", OAUTH_REFUSED },
	{ "expired_token", OAUTH_REFUSED },
	/* not of an RFC: */
	{ "authorization_declined", OAUTH_REFUSED }, /* Microsoft, for access_denied */
	{ "bad_verification_code", OAUTH_REFUSED }, /* Microsoft */
	{ "interaction_required", OAUTH_REFUSED }, /* Microsoft: a second factor, new terms */
	{ "consent_required", OAUTH_REFUSED },
	{ "login_required", OAUTH_REFUSED },
	{ "org_internal", OAUTH_REFUSED }, /* Google */
	{ "deleted_client", OAUTH_REFUSED }, /* Google */
	{ "admin_policy_enforced", OAUTH_REFUSED }, /* Google */
	{ "disabled_client", OAUTH_REFUSED }, /* Google */
};

static enum oauth_answer meaning_of(const char *error)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (strcmp(errors[i].error, error) == 0)
			return errors[i].meaning;
	return OAUTH_TROUBLE; /* temporarily_unavailable, server_error, and whatever comes */
}

/* Google says {"error":{"message":...,"status":...}} where another of its front ends answers. */
static enum oauth_answer read_error(long status, const json_t *answer, struct err *e)
{
	const char *error = oauth_json_text(answer, "error"),
		   *words = oauth_json_text(answer, "error_description");
	const json_t *nested = json_object_get(answer, "error");

	if (json_is_object(nested)) {
		error = oauth_json_text(nested, "status");
		words = oauth_json_text(nested, "message");
	}
	if (!error) {
		err_set(e, "the server answers with HTTP status %ld and nothing that RFC 6749 knows", status);
		return OAUTH_TROUBLE;
	}
	/* Microsoft's description goes on with a trace id and the time, line by line */
	err_set(e, words ? "%.60s: %.*s" : "%.60s", error, words ? (int)strnlen(words, WORDS_MAX) : 0,
		words ? words : "");
	/* what a server that is ill says about our request means nothing */
	return status >= 500 || status == 429 ? OAUTH_TROUBLE : meaning_of(error);
}

static enum oauth_answer garbage(long status, const char *body, size_t len, struct err *e)
{
	size_t blank = 0;

	while (blank < len && strchr(" \t\r\n", body[blank]))
		blank++;
	if (blank < len && body[blank] == '<')
		err_set(e,
			"the server answers with HTTP status %ld and a web page, not JSON: is the URL right?",
			status);
	else if (status != 200)
		err_set(e, "the server answers with HTTP status %ld", status);
	else
		err_set(e, "the server's answer is not a JSON object");
	return OAUTH_TROUBLE;
}

/* An object that is no error; else NULL, *why and e. */
static json_t *read_answer(long status, const char *body, size_t len, enum oauth_answer *why, struct err *e)
{
	json_t *answer = json_loadb(body, len, 0, NULL);

	if (!json_is_object(answer))
		*why = garbage(status, body, len, e);
	else if (status != 200 || json_object_get(answer, "error"))
		*why = read_error(status, answer, e);
	else
		return answer;
	json_decref(answer);
	return NULL;
}

/* ---- a token ---------------------------------------------------------------------------- */

void oauth_token_release(struct oauth_token *t)
{
	oauth_wipe(t->access_token);
	oauth_wipe(t->refresh_token);
	free(t->scope);
	memset(t, 0, sizeof(*t));
}

/* RFC 6749 A.12, A.17: 1*VSCHAR. A blank or a control would change the message that it is put into. */
static bool is_token(const char *text)
{
	size_t len = strlen(text);

	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c >= 0x7f)
			return false;
	return len > 0 && len < OAUTH_TOKEN_MAX;
}

/* A number, or a number as text, as Azure's first version wrote it. Anything else: otherwise. */
static int64_t seconds_of(const json_t *answer, const char *key, int64_t otherwise, int64_t most)
{
	const json_t *value = json_object_get(answer, key);
	const char *text = json_string_value(value);
	double number = json_number_value(value);
	uint64_t n;

	if (text)
		return num_parse_u64(text, strlen(text), (uint64_t)most, &n) && n > 0 ? (int64_t)n
										      : otherwise;
	if (!json_is_number(value) || !(number >= 1))
		return otherwise;
	return number > (double)most ? most : (int64_t)number;
}

static int take_token(const json_t *answer, struct oauth_token *t, struct err *e)
{
	const char *access = oauth_json_text(answer, "access_token");
	const char *refresh = oauth_json_text(answer, "refresh_token");
	const char *type = oauth_json_text(answer, "token_type"), *scope = oauth_json_text(answer, "scope");

	if (!access || !is_token(access)) {
		err_set(e, "the server's answer has no access_token that is one");
		return -1;
	}
	/* RFC 6749 7.1: a type that is not understood must not be used; none at all is sloppiness */
	if (type && strcasecmp(type, "Bearer") != 0) {
		err_set(e, "the token is of type \"%.40s\", not Bearer", type);
		return -1;
	}
	if (json_object_get(answer, "refresh_token") &&
	    !json_is_null(json_object_get(answer, "refresh_token")) && (!refresh || !is_token(refresh))) {
		err_set(e, "the server's answer has a refresh_token that is none");
		return -1;
	}
	t->access_token = mem_strdup(access);
	t->refresh_token = mem_strdup_or_null(refresh);
	t->scope = scope && strlen(scope) < 1000 ? mem_strdup(scope) : NULL;
	t->lifetime_s = seconds_of(answer, "expires_in", OAUTH_LIFETIME_DEFAULT_S, OAUTH_LIFETIME_MAX_S);
	return 0;
}

enum oauth_answer oauth_read_token(long status, const char *body, size_t len, struct oauth_token *token,
				   struct err *e)
{
	enum oauth_answer result = OAUTH_GRANTED;
	json_t *answer = read_answer(status, body, len, &result, e);

	memset(token, 0, sizeof(*token));
	if (answer && take_token(answer, token, e) < 0)
		result = OAUTH_TROUBLE;
	oauth_json_wipe(answer);
	return result;
}

/* ---- a device code ----------------------------------------------------------------------- */

void oauth_device_release(struct oauth_device *d)
{
	oauth_wipe(d->device_code);
	free(d->user_code);
	free(d->verification_uri);
	free(d->verification_uri_complete);
	memset(d, 0, sizeof(*d));
}

static bool is_short(const char *text)
{
	return text && *text && strlen(text) <= 1000;
}

static int take_device(const json_t *answer, struct oauth_device *d, struct err *e)
{
	const char *code = oauth_json_text(answer, "device_code"),
		   *user = oauth_json_text(answer, "user_code");
	const char *uri = oauth_json_text(answer, "verification_uri");
	const char *complete = oauth_json_text(answer, "verification_uri_complete");

	if (!uri) /* Google's, from before the RFC */
		uri = oauth_json_text(answer, "verification_url");
	if (!code || !is_token(code) || !is_short(user) || !is_short(uri)) {
		err_set(e, "the server's answer lacks device_code, user_code or verification_uri");
		return -1;
	}
	d->device_code = mem_strdup(code);
	d->user_code = mem_strdup(user);
	d->verification_uri = mem_strdup(uri);
	d->verification_uri_complete = is_short(complete) ? mem_strdup(complete) : NULL;
	d->lifetime_s = seconds_of(answer, "expires_in", DEVICE_LIFETIME_MAX_S, DEVICE_LIFETIME_MAX_S);
	d->interval_s = seconds_of(answer, "interval", INTERVAL_DEFAULT_S, INTERVAL_MAX_S);
	return 0;
}

enum oauth_answer oauth_read_device(long status, const char *body, size_t len, struct oauth_device *device,
				    struct err *e)
{
	enum oauth_answer result = OAUTH_GRANTED;
	json_t *answer = read_answer(status, body, len, &result, e);

	memset(device, 0, sizeof(*device));
	if (answer && take_device(answer, device, e) < 0)
		result = OAUTH_TROUBLE;
	oauth_json_wipe(answer);
	return result;
}

/* ---- when --------------------------------------------------------------------------------- */

#define MARGIN_MAX_MS 600000
#define RETRY_MIN_MS 5000
#define RETRY_MAX_MS 300000
#define REFUSED_MIN_MS 300000 /* what a person has to put right */
#define REFUSED_MAX_MS 3600000

int64_t oauth_margin_ms(int64_t lifetime_s, double luck)
{
	int64_t tenth_ms = lifetime_s * 100, margin = tenth_ms < MARGIN_MAX_MS ? tenth_ms : MARGIN_MAX_MS;

	return margin + (int64_t)((double)margin * luck / 2);
}

int64_t oauth_retry_ms(unsigned failures, bool was_refused, double luck)
{
	int64_t wait = was_refused ? REFUSED_MIN_MS : RETRY_MIN_MS,
		most = was_refused ? REFUSED_MAX_MS : RETRY_MAX_MS;

	for (; failures > 1 && wait < most; failures--)
		wait *= 2;
	wait = wait < most ? wait : most;
	return wait - (int64_t)((double)wait * luck / 4);
}
