/* SPDX-License-Identifier: ISC */
/*
 * Which programs there are to be run, and what they can be told. The
 * configuration says what each command is (posthouse.conf(5)); who asks for a
 * run only says which of them, and the facts: never a path, never a variable
 * of its own choice. So whoever takes a worker over gets no further than what
 * a message could do.
 */
#ifndef PROGRAM_COMMAND_H
#define PROGRAM_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum program_command {
	PROGRAM_EXEC, /* handler "exec": gets the message, its status and output are the reply */
	PROGRAM_FILTER, /* its output takes the message's place */
	PROGRAM_MAILMAN /* Mailman 2's command: gets the message for a list */
};
#define PROGRAM_COMMANDS 3
extern const char *const program_command_names[PROGRAM_COMMANDS]; /* "exec", ... */

/* What the configuration says of one. Immutable; everything it points to outlives the processes. */
struct program_setting {
	const char *const *word; /* the first one is an absolute path; the others may hold %{fact} */
	size_t word_count; /* 0: there is no such command */
	int64_t timeout_ms; /* for the whole run */
	bool crlf; /* the program's lines end with CRLF, both ways; false: LF */
	bool filters; /* its output is kept: a run needs a file to write it to */
	uint64_t output_max; /* of a filter; in octets as they are written, with CRLF */
};

/*
 * What a program is told, in its environment by name, and in words of its command as %{name in lower case}.
 */
enum program_fact {
	FACT_SENDER, /* reverse-path, "" for <> */
	FACT_RECIPIENT, /* may be given several times */
	FACT_PEER, /* as in the log: "192.0.2.1:4711" */
	FACT_CLIENT_ADDRESS,
	FACT_CLIENT_PORT,
	FACT_CLIENT_HELO,
	FACT_CLIENT_PROTOCOL,
	FACT_LISTENER,
	FACT_SASL_USERNAME,
	FACT_TLS_CIPHER,
	FACT_MAIL_OPTIONS,
	FACT_RCPT_OPTIONS,
	FACT_MESSAGE_SIZE,
	FACT_LIST, /* Mailman: name of the list ... */
	FACT_ACTION /* ... and what is to be done: "post", "request" ... */
};
#define PROGRAM_FACTS 15
extern const char *const program_fact_names[PROGRAM_FACTS]; /* "SENDER", ... */

/*
 * Whether a word of a command can be expanded: %{name} with the name of a
 * fact, or no "%{" at all. For the check of a configuration.
 */
bool program_word_is_good(const char *word, struct err *e);

/*
 * Whether this value of a fact can be given to the command: where a word
 * begins with %{fact}, a value that begins with "-" would be taken for an
 * option by most programs, and is refused, unless "--" stands before it.
 */
bool program_takes(const struct program_setting *s, enum program_fact fact, const char *value);

#endif
