/* SPDX-License-Identifier: ISC */
/*
 * What the actions of `posthouse oauth` share: the upstream, its secrets, its
 * token file. Started by root it becomes the relay's user, before it says a
 * word to a server or touches a token.
 */
#ifndef CLI_OAUTH_H
#define CLI_OAUTH_H

#include "cli/cli.h"
#include "config/client.h"
#include "oauth/renew.h"

struct oauth_session {
	struct cli *cli;
	const struct config_upstream *upstream;
	struct config_client_secrets secrets;
	struct oauth_client client;
	struct http_request way;
	char *file; /* owned */
	bool json;
	bool was_root; /* before it became the relay's user */
};

/* Tells step by step what is done, on standard output: "asking   https://... : valid for 1h". Escapes. */
void oauth_say(const struct oauth_session *s, const char *step, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Takes the lock of the token file, waits a while for who has it (*fd is to be closed). -1: it is said. */
int oauth_lock(const struct oauth_session *s, int *fd);
/* Asks for an access token with what is stored, and stores it; under the lock. */
enum cli_status oauth_renew_now(const struct oauth_session *s, const struct oauth_stored *stored);

/* oauth_login.c, oauth_status.c */
enum cli_status oauth_login(const struct oauth_session *s);
enum cli_status oauth_status(const struct oauth_session *s);

#endif
