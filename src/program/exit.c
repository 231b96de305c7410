/* SPDX-License-Identifier: ISC */
/*
 * See exit.h. Postfix (sys_exits.c) returns a message for all of sysexits.h
 * but OSERR, IOERR and TEMPFAIL. Here those that say that the program itself
 * is in disorder (USAGE, NOINPUT, SOFTWARE, OSFILE, CANTCREAT, CONFIG) are
 * temporary too: the operator mends it, and no message is lost by it.
 */
#include "program/exit.h"

#include <sysexits.h>

const struct program_exit program_exits[] = {
	{ EX_OK, "EX_OK", 250, "2.0.0", "OK" },
	{ EX_USAGE, "EX_USAGE", 451, "4.3.0", "Error: the message could not be processed; try again later" },
	{ EX_DATAERR, "EX_DATAERR", 554, "5.6.0", "Error: the message's content is not acceptable" },
	{ EX_NOINPUT, "EX_NOINPUT", 451, "4.3.0",
	  "Error: the message could not be processed; try again later" },
	{ EX_NOUSER, "EX_NOUSER", 550, "5.1.1", "Error: user unknown" },
	{ EX_NOHOST, "EX_NOHOST", 550, "5.1.2", "Error: host unknown" },
	{ EX_UNAVAILABLE, "EX_UNAVAILABLE", 554, "5.3.0", "Error: the message is not accepted" },
	{ EX_SOFTWARE, "EX_SOFTWARE", 451, "4.3.0",
	  "Error: the message could not be processed; try again later" },
	{ EX_OSERR, "EX_OSERR", 451, "4.3.0", "Error: the message could not be processed; try again later" },
	{ EX_OSFILE, "EX_OSFILE", 451, "4.3.0",
	  "Error: the message could not be processed; try again later" },
	{ EX_CANTCREAT, "EX_CANTCREAT", 451, "4.2.0",
	  "Error: the message could not be stored; try again later" },
	{ EX_IOERR, "EX_IOERR", 451, "4.3.0", "Error: the message could not be processed; try again later" },
	{ EX_TEMPFAIL, "EX_TEMPFAIL", 451, "4.3.0",
	  "Error: the message could not be processed; try again later" },
	{ EX_PROTOCOL, "EX_PROTOCOL", 554, "5.5.0", "Error: the message was refused further on" },
	{ EX_NOPERM, "EX_NOPERM", 550, "5.7.1", "Error: permission denied" },
	{ EX_CONFIG, "EX_CONFIG", 451, "4.3.5",
	  "Error: the message could not be processed; try again later" },
};
const size_t program_exit_count = sizeof(program_exits) / sizeof(program_exits[0]);

static const struct program_exit unknown = { -1, "unknown", 451, "4.3.0",
					     "Error: the message could not be processed; try again later" };

const struct program_exit *program_exit_of(int status)
{
	for (size_t i = 0; i < program_exit_count; i++)
		if (program_exits[i].status == status)
			return &program_exits[i];
	return &unknown;
}
