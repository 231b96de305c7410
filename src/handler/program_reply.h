/* SPDX-License-Identifier: ISC */
/* What a run of a program says to the client. Pure. */
#ifndef HANDLER_PROGRAM_REPLY_H
#define HANDLER_PROGRAM_REPLY_H

#include "handler/handler.h"
#include "program/client.h"

/*
 * posthoused(8), "The reply of a program": the exit status by the table of
 * program/exit.h, and the first line of its output, which may say "NNN text" or
 * "NNN X.Y.Z text" itself; never a positive reply after a status that is not 0.
 */
enum handler_verdict program_reply(const struct program_outcome *o, struct smtp_reply *reply);

#endif
