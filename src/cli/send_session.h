/* SPDX-License-Identifier: ISC */
/*
 * The session of `posthouse send`: which server, how it is reached, TLS,
 * log-in, time limits. Options in, settings of the client out. Most options
 * are keys of an upstream section (posthouse.conf(5)) under the same name,
 * read by the same code.
 */
#ifndef CLI_SEND_SESSION_H
#define CLI_SEND_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/endpoint.h"
#include "cli/cli.h"
#include "config/client.h"
#include "upstream/upstream.h"

struct send_session {
	/* what the options say; into argv */
	const char *server, *lmtp_server, *tls, *token_file, *timeout, *helo;
	bool no_verify;
	struct config config; /* one upstream, with one address: the server */
	/* what comes of it: from send_session_settle to send_session_release */
	struct upstream_settings settings;
	struct config_client_secrets secrets;
	char *hostname; /* this machine's name */
	char *token;
	char name[ENDPOINT_TEXT_MAX]; /* the server */
};

extern const struct args_option send_session_options[];

void send_session_init(struct send_session *s);
/*
 * An option of that table; false: it is none of its. Not DONE in *status: it is said what is wrong with its
 * value.
 */
bool send_session_take(struct send_session *s, struct cli *cli, int key, const char *value,
		       enum cli_status *status);
/* Behind the last option. DONE: the settings are ready; else it is said what is wrong. */
enum cli_status send_session_settle(struct send_session *s, struct cli *cli);
void send_session_release(struct send_session *s);

/*
 * The mode by name. NULL chooses: none for a unix socket; implicit on port
 * 465; required on port 587 and whenever a password goes out, but for this
 * machine itself; else opportunistic. False when there is no such mode.
 */
bool send_tls_mode(const char *name, const struct endpoint *remote, bool has_password,
		   enum upstream_tls *mode);

#endif
