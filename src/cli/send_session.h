/* SPDX-License-Identifier: ISC */
/* The session of `posthouse send`: which server, TLS, log-in, time limits; options in, settings of the client out. */
#ifndef CLI_SEND_SESSION_H
#define CLI_SEND_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/endpoint.h"
#include "cli/cli.h"
#include "upstream/upstream.h"

struct send_session {
	/* what the options say; into argv */
	const char *server, *tls, *password_file, *timeout, *helo;
	/* what comes of it: from send_session_settle to send_session_release */
	struct upstream_settings settings;
	char *hostname; /* this machine's name */
	char *secret; /* of the password file */
	char name[ENDPOINT_TEXT_MAX]; /* the server */
};

extern const struct args_option send_session_options[];
/* An option of that table; false: it is none of its. */
bool send_session_take(struct send_session *s, int key, const char *value);
/* Behind the last option. DONE: the settings are ready; else it is said what is wrong. */
enum cli_status send_session_settle(struct send_session *s, struct cli *cli);
void send_session_release(struct send_session *s);

/*
 * The mode by name. NULL chooses: implicit on port 465; required on port 587
 * and whenever a password goes out, but for this machine itself; else
 * opportunistic. False when there is no such mode.
 */
bool send_tls_mode(const char *name, const struct endpoint *remote, bool has_password,
		   enum upstream_tls *mode);

#endif
