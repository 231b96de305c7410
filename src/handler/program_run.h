/* SPDX-License-Identifier: ISC */
/* What the handlers share that have a program run for a message: the envelope as the program's facts. */
#ifndef HANDLER_PROGRAM_RUN_H
#define HANDLER_PROGRAM_RUN_H

#include "handler/content_file.h"
#include "handler/handler.h"
#include "program/client.h"

#define PROGRAM_RECIPIENTS_BYTES                                                                             \
	(64 << 10) /* of all recipients' addresses: what fits into a job and a variable */

/* For MAIL: whether this sender can be given to the program (program_takes). */
enum handler_verdict program_run_mail(const struct program_setting *s, const struct envelope *env,
				      struct smtp_reply *reply);
/*
 * For RCPT: the same for the last recipient, and whether there is room for it (452: in another transaction).
 */
enum handler_verdict program_run_rcpt(const struct program_setting *s, const struct envelope *env,
				      struct smtp_reply *reply);

/* Blocks. output NULL: the command is no filter. */
void program_run_message(const struct program_line *line, enum program_command command,
			 const struct envelope *env, const struct content_file *input,
			 const struct content_file *output, struct program_outcome *out);

#endif
