/* SPDX-License-Identifier: ISC */
/* What the exit status of a program means for the message: sysexits.h as a table. Pure. */
#ifndef PROGRAM_EXIT_H
#define PROGRAM_EXIT_H

#include <stddef.h>

struct program_exit {
	int status;
	const char *name; /* "EX_TEMPFAIL" */
	int code; /* of the reply: 250, 4yz or 5yz */
	const char *enhanced;
	const char *text; /* for the client */
};

extern const struct program_exit program_exits[];
extern const size_t program_exit_count;

/*
 * Never NULL: what is not in the table says nothing about the message (a
 * script that broke, a program that is not there), so it is a 451 and the
 * message comes again.
 */
const struct program_exit *program_exit_of(int status);

#endif
