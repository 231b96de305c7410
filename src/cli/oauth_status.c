/* SPDX-License-Identifier: ISC */
/* posthouse oauth status: what is stored for an upstream, and how it is; never a token itself. */
#include <stdio.h>

#include "base/clock.h"
#include "cli/json.h"
#include "cli/oauth.h"

/* In posthouse-json(5). */
static const char *state_of(enum oauth_store_found found, const struct oauth_stored *stored, int64_t now_s)
{
	switch (found) {
	case OAUTH_STORE_BAD:
		return "unreadable";
	case OAUTH_STORE_MISSING:
		return "none";
	case OAUTH_STORE_OK:
		break;
	}
	if (oauth_stored_is_valid(stored, now_s))
		return "valid";
	return stored->access_token ? "expired" : "none";
}

static const char *grant_name(enum oauth_grant grant)
{
	static const char *const names[] = { [OAUTH_NONE] = "none",
					     [OAUTH_REFRESH_TOKEN] = "refresh_token",
					     [OAUTH_CLIENT_CREDENTIALS] = "client_credentials",
					     [OAUTH_DEVICE_CODE] = "device_code" };

	return names[grant];
}

static void put_json(const struct oauth_session *s, const char *state, const struct oauth_stored *t,
		     const char *error)
{
	json_t *o = json_object();

	json_put_key(o, "upstream", json_text_or_null(s->upstream->name));
	json_put_key(o, "grant", json_string(grant_name(s->client.grant)));
	json_put_key(o, "file", json_text_or_null(s->file));
	json_put_key(o, "state", json_string(state));
	json_put_key(o, "valid_until", json_of_time(t->expires_wall_s * 1000000));
	json_put_key(o, "obtained", json_of_time(t->obtained_wall_s * 1000000));
	json_put_key(o, "refresh_token", json_boolean(t->refresh_token != NULL));
	json_put_key(o, "scope", json_text_or_null(t->scope));
	json_put_key(o, "last_error", json_text_or_null(error));
	json_put_key(o, "last_error_at", json_of_time(t->last_error_wall_s * 1000000));
	json_put(o, JSON_ONE_LINE, stdout);
	json_decref(o);
}

static void put_text(const struct oauth_session *s, const char *state, const struct oauth_stored *t,
		     const char *error)
{
	char until[CLOCK_UTC_MAX], when[32];
	int64_t now = clock_wall_us();

	oauth_say(s, "upstream", "%s (%s)", s->upstream->name, grant_name(s->client.grant));
	oauth_say(s, "file", "%s", s->file);
	if (t->access_token)
		oauth_say(s, "token", "%s, until %.19sZ (%s%s)", state,
			  clock_format_utc(t->expires_wall_s * 1000000, until),
			  t->expires_wall_s * 1000000 > now
				  ? term_until(t->expires_wall_s * 1000000, now, when, sizeof(when))
				  : term_age(t->expires_wall_s * 1000000, now, when, sizeof(when)),
			  t->expires_wall_s * 1000000 > now ? "" : " ago");
	else
		oauth_say(s, "token", "%s", state);
	if (s->client.grant != OAUTH_CLIENT_CREDENTIALS)
		oauth_say(s, "refresh", "%s",
			  t->refresh_token ? "a refresh token is stored" : "no refresh token");
	if (t->scope)
		oauth_say(s, "scope", "%s", t->scope);
	if (error && t->last_error_wall_s)
		oauth_say(s, "error", "%s ago: %s",
			  term_age(t->last_error_wall_s * 1000000, now, when, sizeof(when)), error);
	else if (error)
		oauth_say(s, "error", "%s", error);
}

enum cli_status oauth_status(const struct oauth_session *s)
{
	struct oauth_stored stored;
	enum oauth_store_found found;
	enum cli_status status;
	const char *error;
	struct err e;

	found = oauth_store_load(s->file, &stored, &e);
	if (found == OAUTH_STORE_BAD)
		error = e.text;
	else if (found == OAUTH_STORE_MISSING && s->client.grant != OAUTH_CLIENT_CREDENTIALS)
		error = "nobody has logged in: run posthouse oauth login";
	else
		error = stored.last_error;
	(s->json ? put_json : put_text)(s, state_of(found, &stored, clock_wall_us() / 1000000), &stored,
					error);
	status = oauth_stored_is_valid(&stored, clock_wall_us() / 1000000) ? CLI_DONE : CLI_NOTHING;
	oauth_stored_release(&stored);
	return status;
}
