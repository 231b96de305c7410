/* SPDX-License-Identifier: ISC */
/* See renew.h. */
#include "oauth/renew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

int oauth_renew_ask(const struct oauth_client *c, const struct oauth_stored *stored, struct buf *body,
		    struct err *e)
{
	bool fits;

	if (c->grant == OAUTH_CLIENT_CREDENTIALS) {
		fits = oauth_ask_client_credentials(c, body);
	} else if (stored->refresh_token) {
		fits = oauth_ask_refresh(c, stored->refresh_token, body);
	} else {
		err_set(e, "no token: run posthouse oauth login %s", c->upstream);
		return -1;
	}
	if (fits)
		return 0;
	err_set(e, "the request for a token is too long");
	return -1;
}

static char *copy(const char *text)
{
	return mem_strdup_or_null(text);
}

void oauth_stored_copy(struct oauth_stored *to, const struct oauth_stored *from)
{
	*to = *from;
	to->access_token = copy(from->access_token);
	to->refresh_token = copy(from->refresh_token);
	to->scope = copy(from->scope);
	to->last_error = copy(from->last_error);
}

bool oauth_stored_is_valid(const struct oauth_stored *s, int64_t now_wall_s)
{
	return s->access_token && now_wall_s < s->expires_wall_s;
}

void oauth_stored_fail(struct oauth_stored *s, const struct err *e, int64_t now_wall_s)
{
	free(s->last_error);
	s->last_error = mem_strdup(e->text);
	s->last_error_wall_s = now_wall_s;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

void oauth_advise(const struct oauth_client *c, enum oauth_answer answer, struct err *e)
{
	char advice[256] = "";
	size_t len, room;

	if (answer != OAUTH_REFUSED)
		return;
	if (begins(e->text, "invalid_client") || begins(e->text, "unauthorized_client") ||
	    begins(e->text, "deleted_client") || begins(e->text, "disabled_client"))
		snprintf(advice, sizeof(advice), ": check oauth_client_id and oauth_client_secret_file");
	else if (begins(e->text, "invalid_scope"))
		snprintf(advice, sizeof(advice), ": check oauth_scope");
	else if (c->grant != OAUTH_CLIENT_CREDENTIALS)
		snprintf(advice, sizeof(advice), ": run posthouse oauth login %s", c->upstream);
	/* what to do is worth more than the end of a long description */
	len = strlen(e->text);
	room = sizeof(e->text) - 1 - strlen(advice);
	strcpy(e->text + (len < room ? len : room), advice);
}

enum oauth_answer oauth_renew_take(const struct oauth_client *c, const struct oauth_stored *stored,
				   long status, const char *body, size_t len, int64_t now_wall_s,
				   struct oauth_stored *next, bool *rotated, struct err *e)
{
	struct oauth_token token;
	enum oauth_answer answer = oauth_read_token(status, body, len, &token, e);

	memset(next, 0, sizeof(*next));
	*rotated = false;
	if (answer != OAUTH_GRANTED) {
		oauth_advise(c, answer, e);
		err_prefix(e, "%s", c->token_url);
		return answer;
	}
	*rotated = token.refresh_token &&
		   (!stored->refresh_token || strcmp(token.refresh_token, stored->refresh_token) != 0);
	next->access_token = token.access_token;
	next->refresh_token = token.refresh_token ? token.refresh_token : copy(stored->refresh_token);
	next->scope = token.scope ? token.scope : copy(stored->scope);
	next->obtained_wall_s = now_wall_s;
	next->expires_wall_s = now_wall_s + token.lifetime_s;
	return OAUTH_GRANTED;
}
