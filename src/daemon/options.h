/* SPDX-License-Identifier: ISC */
/*
 * The command line of posthoused, and the configuration that follows from it:
 * read from a file, or made here for the quick form, which is that of
 * `python3 -m smtpd`. First thing that runs; as root if started so.
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/endpoint.h"
#include "base/err.h"
#include "config/config.h"

enum daemon_action {
	DAEMON_RUN,
	DAEMON_CHECK, /* check the configuration and end */
	DAEMON_DUMP, /* the same, and print it */
	DAEMON_HELP,
	DAEMON_VERSION
};

struct daemon_options {
	enum daemon_action action;
	bool foreground;
	bool no_setuid; /* stay who we are, also as root */
	bool debug; /* log_level = debug, whatever the file says */
	const char *pid_file; /* instead of the file's; NULL: not given */
	const char *config_file; /* NULL: the quick form; the pointers are into argv */
	int handover_fd; /* of what another executable left to this one (handover.h); -1: none did */

	/* quick form only */
	struct endpoint local;
	struct config_remote remote;
	const char *class_name; /* handler or smtpd class, NULL: not given */
	bool has_size;
	uint64_t size_bytes;
	bool smtputf8;
	const char *spool; /* NULL: not given */
};

/* One line of the table, for usage and tests. */
struct daemon_option {
	char letter; /* 0: none */
	const char *name;
	const char *argument; /* NULL: takes none */
	const char *quick; /* quick form only: what to do instead with a file; NULL: goes with both forms */
	const char *help;
};
extern const struct daemon_option daemon_option_table[];
extern const size_t daemon_option_count;

/* Fails on wrong usage only; touches nothing but getopt's globals. */
int daemon_options_parse(struct daemon_options *o, int argc, char *const argv[], struct err *e);

/*
 * What is needed after the start of the service is kept apart from argv, which becomes the process title, and
 * names files absolutely.
 */
void daemon_options_keep(struct daemon_options *o);

/*
 * Makes the whole configuration: config_init, the file or the quick form,
 * what options and rights change in it, config_check. Can be called again to
 * read the file anew. Reports each error; cfg is to be released in any case.
 */
int daemon_options_configure(const struct daemon_options *o, uid_t euid, struct config *cfg,
			     config_report *report, void *ctx);

/*
 * Makes the missing folders above the spool, for us alone (0700; root's for
 * everyone to pass, 0755): the quick form's default spool lies where nobody
 * has made any. Not for the file form.
 */
int daemon_options_make_parents(const struct config *cfg, struct err *e);

/* The text of --help. */
void daemon_options_usage(struct buf *out);

#endif
