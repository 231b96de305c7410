/* SPDX-License-Identifier: ISC */
/*
 * Options of a verb as a const table: it drives the parsing (getopt_long
 * does the work), the usage text, and a test that finds each in the manual.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stdio.h>
#include <getopt.h>

#include "base/err.h"

#define ARGS_OPTIONS_MAX 160
#define ARGS_LONG_ONLY 256 /* keys from here on have no letter */

struct args_option {
	const char *name; /* without "--" */
	int key; /* its letter, or ARGS_LONG_ONLY + n; unique in a table */
	const char *value; /* name of its value in the usage text; NULL: it takes none */
	const char *help; /* one line */
};

/* Tables end with this; NULL is an empty table. */
#define ARGS_OPTIONS_END { NULL, 0, NULL, NULL }

enum { ARGS_END = 0, ARGS_BAD = -1 };

/*
 * The options of a verb that has many, by subject: each segment is owned by the file that takes its options.
 */
struct args_segment {
	const char *title; /* heading in the help: "Options of the message" */
	const struct args_option *options;
};

/* One run over a command line. Only one at a time: getopt is the process's. */
struct args {
	int argc;
	char **argv; /* [0] is skipped */
	struct option longs[ARGS_OPTIONS_MAX + 1];
	size_t long_count;
	char letters[3 * ARGS_OPTIONS_MAX + 3];
	size_t letter_count;
	const char *value; /* of the option just read, NULL: none; points into argv */
};

/* leading: stop at the first operand (the verb), else operands are moved behind the options. */
void args_begin(struct args *a, int argc, char **argv, const struct args_option *own,
		const struct args_option *common, bool leading);
/* More options, behind args_begin. NULL: none. */
void args_add(struct args *a, const struct args_option *options);
/* The key of the next option, ARGS_END behind the last one, or ARGS_BAD and e (what is wrong with it). */
int args_next(struct args *a, struct err *e);
/* After ARGS_END: the operands. */
char **args_operands(const struct args *a, int *count);

/* The options as two columns, for help texts. */
void args_describe(const struct args_option *options, FILE *out);

#endif
