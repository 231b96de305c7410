/* SPDX-License-Identifier: ISC */
/*
 * The command line of sendmail(1), as Postfix understands it: what programs
 * have passed to /usr/sbin/sendmail for forty years. Pure.
 */
#ifndef SENDMAIL_OPTIONS_H
#define SENDMAIL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "smtp/envelope.h"

enum sendmail_mode {
	SENDMAIL_SUBMIT, /* -bm, the default: a message on standard input */
	SENDMAIL_SMTP, /* -bs: SMTP on standard input and output */
	SENDMAIL_QUEUE, /* -bp, mailq */
	SENDMAIL_ALIASES, /* -bi, -I, newaliases: there are none */
	SENDMAIL_FLUSH, /* -q, -qI, -qR: try again now */
	SENDMAIL_NOTHING, /* -q30m: for a daemon that we are not */
	SENDMAIL_HELP, /* --help, --version */
	SENDMAIL_VERSION
};

/* Strings point into argv. */
struct sendmail_options {
	enum sendmail_mode mode;
	const char *flush_id, *flush_site; /* of SENDMAIL_FLUSH; both NULL: all */
	const char *sender; /* -f, -r; NULL: who runs us */
	const char *full_name; /* -F; NULL: not given */
	const char *config_file; /* -C */
	bool read_recipients; /* -t */
	bool dot_is_text; /* -i, -oi */
	bool gateway; /* -G: from elsewhere, so nothing is added */
	bool verbose; /* -v */
	bool quiet; /* -oeq */
	enum envelope_body body; /* -B */
	unsigned notify; /* -N: ENVELOPE_NOTIFY_*; 0: not given */
	enum envelope_ret ret; /* -R */
	const char *envid; /* -V, not yet xtext */
	char **operand; /* recipients; the array is owned */
	size_t operand_count;
};

/* Told what is wrong and ignored, one call each. */
typedef void sendmail_warn(void *ctx, const char *message);

/* -1 and e: EX_USAGE. Release in either case. */
int sendmail_options_parse(struct sendmail_options *o, int argc, char **argv, sendmail_warn *warn, void *ctx,
			   struct err *e);
void sendmail_options_release(struct sendmail_options *o);

/* "posthouse-sendmail", "sendmail" ... of argv[0]: for messages, and to choose the mode. */
const char *sendmail_program_name(const char *argv0);

/* The table, for the usage text and the test of the manual: letter, its value's name (NULL: none), what it does. */
struct sendmail_letter {
	char letter;
	const char *value;
	const char *help;
};
extern const struct sendmail_letter sendmail_letters[];
extern const size_t sendmail_letter_count;

#endif
