/* SPDX-License-Identifier: ISC */
/*
 * `posthouse send` without a message: what a server announces, and commands
 * it is asked (smtplib's esmtp_features, has_extn, verify, expn, help, noop
 * and docmd), one after the other on one connection. Replies go to standard
 * output as they came.
 */
#ifndef CLI_SEND_COMMANDS_H
#define CLI_SEND_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "cli/transcript.h"
#include "upstream/upstream.h"

struct send_command {
	int option;
	const char *value; /* into argv; NULL: it takes none */
};

struct send_commands {
	struct send_command *command; /* in the order of the command line; owned */
	size_t count;
};

extern const struct args_option send_commands_options[];

/* An option of that table; false: it is none of its. Not DONE in *status: it is said what is wrong. */
bool send_commands_take(struct send_commands *c, struct cli *cli, int key, const char *value,
			enum cli_status *status);
/* The whole session. The worst of what came of it: DONE, LATER, NOTHING, or why there was none (cli.h). */
enum cli_status send_commands_run(const struct send_commands *c, const struct upstream_settings *settings,
				  struct transcript *transcript);
void send_commands_release(struct send_commands *c);

/* Whether a line may be said as a command of its own; else why not. Exposed for the tests. */
const char *send_command_unsafe(const char *line);
/*
 * Whether the keyword lines of an EHLO reply ("SIZE 1000\n8BITMIME\n") have an extension, as has_extn of
 * smtplib: the keyword in any case; or keyword and parameter ("AUTH PLAIN"). AUTH=X of old servers is AUTH X.
 * Exposed for the tests.
 */
bool send_has_extension(const char *lines, const char *wanted);

#endif
