/* SPDX-License-Identifier: ISC */
/*
 * The OAuth 2 tokens of the relay's upstreams: made of the configuration, and
 * of oauth/keeper.h what relay/credentials.h asks for. relay/ and oauth/ know
 * nothing of each other.
 */
#ifndef DAEMON_RELAY_TOKENS_H
#define DAEMON_RELAY_TOKENS_H

#include "config/client.h"
#include "config/config.h"
#include "relay/relay.h"

struct relay_token;

/* An entry an upstream, those without oauth too. cfg and secrets (one an upstream) must outlive it. */
struct relay_token *relay_tokens_new(const struct config *cfg, const struct config_client_secrets *secrets);
void relay_tokens_free(struct relay_token *tokens, size_t count); /* NULL is allowed */

/* NULL: this upstream has no oauth. */
const struct relay_credentials *relay_token_credentials(const struct relay_token *token);
/* Lets a connection log in with it. */
void relay_token_use(struct relay_token *token, struct upstream_settings *settings);
struct relay_token *relay_token_at(struct relay_token *tokens, size_t index);

/* In the master, as root or not: the folders that files are in by default, for the relay's user ((uid_t)-1: ours). */
int relay_tokens_make_folder(const struct config *cfg, uid_t uid, gid_t gid, struct err *e);

#endif
