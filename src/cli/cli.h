/* SPDX-License-Identifier: ISC */
/*
 * What all verbs of `posthouse` share: exit statuses, where the spool and
 * the daemon are, how output and errors are written. One process, the
 * operator's own rights, no daemon needed.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "cli/args.h"
#include "cli/term.h"
#include "spool/spool.h"

/* DESIGN 8; posthouse(1) EXIT STATUS */
enum cli_status {
	CLI_DONE = 0,
	CLI_NOTHING = 1, /* nothing matched, a check failed, mail was refused */
	CLI_USAGE = 2,
	CLI_UNREACHABLE = 3, /* spool, file or server cannot be reached, or the output not be written */
	/* those of `send` alone */
	CLI_PARTLY = 4, /* accepted for some of the recipients */
	CLI_LATER = 5, /* refused for now (4yz): the same again may work */
	CLI_TLS = 6, /* no encryption as it was asked for */
	CLI_AUTH = 7, /* the log-in failed, or none was possible */
	CLI_UNSUPPORTED = 8, /* the server cannot take such a message */
	CLI_UNCERTAIN = 9 /* all was sent, and the answer is missing */
};

struct cli_verb;
struct daemon;
struct select;

struct cli {
	const char *config_file; /* --config; NULL: the default one, if it is there */
	const char *spool_path; /* --spool; NULL: the configuration's, or the default */
	const struct cli_verb *verb; /* the one running; NULL before */
	struct args args;
	struct select *select; /* what the selectors say; NULL: the verb takes none */
	struct daemon *view; /* reads the spool for us (access.h); NULL: we read it */
	struct term out; /* standard output */
	enum cli_status ended; /* of cli_option: why the verb returns at once */
};

extern const struct args_option cli_common_options[];

/*
 * The next option of the verb, its value in cli->args.value. Common options
 * are dealt with in here. ARGS_END: operands follow (args_operands). ARGS_BAD:
 * the verb returns cli->ended, all is said.
 */
int cli_option(struct cli *cli);

/* "posthouse: object: what failed: what to do" on standard error, one line, strangers' text escaped. */
void cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, with where to read on; returns CLI_USAGE. */
enum cli_status cli_usage_error(const struct cli *cli, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The handler's name (the caller's) where the configuration, and not --spool, says which spool, and its handler has none:
 * what lies in a spool there was left by an earlier handler, and no relay takes it. Else NULL.
 */
char *cli_spoolless(const struct cli *cli);
/* The spool's path, *path is the caller's: found as cli_open_spool does. -1: it is said. */
int cli_spool_path(const struct cli *cli, char **path);
/*
 * Opens the spool for reading: --spool, else the one of the configuration
 * file, else the system's if there is one, else the user's own. On failure it
 * is said, and -1 returned (CLI_UNREACHABLE).
 */
int cli_open_spool(struct cli *cli, struct spool *s);

/* Whether standard output still takes something; listings stop when not. */
bool cli_output_is_open(void);
/* Flushes standard output; CLI_UNREACHABLE when it could not be written, else status. */
enum cli_status cli_finish_output(enum cli_status status);

/* The whole program. */
int cli_main(int argc, char **argv);

#endif
