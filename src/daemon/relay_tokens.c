/* SPDX-License-Identifier: ISC */
/* See relay_tokens.h. */
#include "daemon/relay_tokens.h"

#include <limits.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "config/paths.h"
#include "manage/json.h"
#include "oauth/keeper.h"
#include "oauth/store.h"

struct relay_token {
	struct relay_credentials credentials;
	struct oauth_keeper_settings settings;
	struct oauth_keeper *keeper; /* NULL: no oauth */
	char *file; /* owned */
};

/* ---- what the relay asks --------------------------------------------------------------- */

static void token_start(void *c, struct event_base *base, struct upstream *client, void (*changed)(void *ctx),
			void *ctx)
{
	oauth_keeper_start(c, base, client, changed, ctx);
}

static void token_stop(void *c)
{
	oauth_keeper_stop(c);
}

static enum credentials_state token_state(void *c, struct err *e)
{
	switch (oauth_keeper_state(c, e)) {
	case OAUTH_KEEPER_READY:
		return CREDENTIALS_READY;
	case OAUTH_KEEPER_COMING:
		return CREDENTIALS_COMING;
	case OAUTH_KEEPER_NOTHING:
		break;
	}
	return CREDENTIALS_NONE;
}

static uint64_t token_generation(void *c)
{
	return oauth_keeper_generation(c);
}

static bool token_rejected(void *c, uint64_t generation)
{
	return oauth_keeper_rejected(c, generation);
}

static bool token_busy(void *c)
{
	return oauth_keeper_is_busy(c);
}

static json_t *token_describe(void *c)
{
	struct oauth_keeper_facts facts = oauth_keeper_facts(c);
	json_t *o = json_object();

	json_put_key(o, "valid_until", json_seconds_or_null(facts.expires_wall_us));
	json_put_key(o, "last_error", json_text_or_null(facts.last_error));
	json_put_key(o, "last_error_at",
		     json_seconds_or_null(facts.last_error ? facts.last_error_wall_us : 0));
	return o;
}

static const struct relay_credentials_ops token_ops = { token_start,      token_stop,     token_state,
							token_generation, token_rejected, token_busy,
							token_describe };

/* ---- from the configuration -------------------------------------------------------------- */

static void make_token(struct relay_token *t, const struct config_upstream *u,
		       const struct config_client_secrets *secrets)
{
	char file[PATH_MAX];

	t->file = mem_strdup(config_oauth_token_file(u, file, sizeof(file)));
	t->settings.file = t->file;
	config_client_oauth(&t->settings.client, &t->settings.way, u, secrets);
	t->keeper = oauth_keeper_new(&t->settings);
	t->credentials = (struct relay_credentials){ .ops = &token_ops, .c = t->keeper };
}

struct relay_token *relay_tokens_new(const struct config *cfg, const struct config_client_secrets *secrets)
{
	struct relay_token *tokens = mem_array(cfg->upstream_count, sizeof(*tokens));

	for (size_t i = 0; i < cfg->upstream_count; i++)
		if (cfg->upstream[i].oauth != OAUTH_NONE)
			make_token(&tokens[i], &cfg->upstream[i], &secrets[i]);
	return tokens;
}

void relay_tokens_free(struct relay_token *tokens, size_t count)
{
	for (size_t i = 0; tokens && i < count; i++) {
		if (tokens[i].keeper)
			oauth_keeper_free(tokens[i].keeper);
		free(tokens[i].file);
	}
	free(tokens);
}

struct relay_token *relay_token_at(struct relay_token *tokens, size_t index)
{
	return &tokens[index];
}

const struct relay_credentials *relay_token_credentials(const struct relay_token *token)
{
	return token->keeper ? &token->credentials : NULL;
}

static const char *bearer(void *ctx)
{
	return oauth_keeper_token(ctx);
}

void relay_token_use(struct relay_token *token, struct upstream_settings *settings)
{
	if (!token->keeper)
		return;
	settings->bearer = bearer;
	settings->bearer_ctx = token->keeper;
}

int relay_tokens_make_folder(const struct config *cfg, uid_t uid, gid_t gid, struct err *e)
{
	for (size_t i = 0; i < cfg->upstream_count; i++)
		if (cfg->upstream[i].oauth != OAUTH_NONE && !cfg->upstream[i].oauth_token_file)
			return oauth_store_make_folder(CONFIG_OAUTH_FOLDER, uid, gid, e);
	return 0;
}
