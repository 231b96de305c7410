/* SPDX-License-Identifier: ISC */
/* One run of `posthouse send`: send.c has the verb; where the messages go is a file each. */
#ifndef CLI_SEND_RUN_H
#define CLI_SEND_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "cli/send_commands.h"
#include "cli/send_envelope.h"
#include "cli/send_load.h"
#include "cli/send_message.h"
#include "cli/send_report.h"
#include "cli/send_session.h"
#include "cli/transcript.h"

struct send {
	struct cli *cli;
	struct send_session session;
	struct send_message message;
	struct send_envelope envelope;
	struct send_commands commands;
	struct send_load load;
	struct send_report report; /* of the present message */
	enum cli_status worst; /* of the messages before it */
	size_t count; /* of them */
	/* of this connection */
	bool answered; /* some transaction was */
	bool is_last; /* the report is counted, and no message is left */
	bool over; /* it ended before the present message was begun; the next one takes it */
	struct transcript transcript;
	enum transcript_style style;
	bool into_spool; /* --queue */
	bool has_server; /* an option of the server was given */
	bool has_message; /* an option or operand of a message was given */
};

/* The present message's class; s->worst becomes that of all so far. */
void send_count_status(struct send *s, enum cli_status status);
/* The next message that can be sent, in s->message; what cannot is said and counted. False: there is none. */
bool send_take_message(struct send *s);

/* Of several messages: that the rest was given up. */
void send_say_stopped(const struct send *s);

/* Before a connection is begun. */
void send_begin_transcript(struct send *s);

/* All messages over SMTP or LMTP: one after the other. The exit status. */
enum cli_status send_to_server(struct send *s);
/* The messages again and again, and figures instead of reports. */
enum cli_status send_as_load(struct send *s);
/* All messages into the spool. */
enum cli_status send_to_spool(struct send *s);

#endif
