/* SPDX-License-Identifier: ISC */
/*
 * The messages of `posthouse send`: built from options, or from files; and to
 * whom they go. Options and operands in, submissions out, one at a time.
 */
#ifndef CLI_SEND_MESSAGE_H
#define CLI_SEND_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "cli/send_source.h"
#include "submit/compose.h"
#include "submit/submit.h"

/* Values of an option that may be repeated; into argv. */
struct send_values {
	char **item; /* owned */
	size_t count;
};

struct send_message {
	/* what options and operands say; into argv */
	const char *from;
	struct send_values to, cc, bcc, to_files;
	bool read_recipients, no_add_headers;
	bool has_format;
	enum source_format format;
	struct compose compose;
	struct send_values reply_to, fields;
	struct compose_attachment *attachment; /* owned */
	const char *text_file, *html_file;
	const char *compose_option; /* one that builds a message; NULL: none did */
	char **path;
	size_t path_count;
	/* what comes of it: from send_message_open to send_message_release */
	struct send_values recipients; /* all options' together */
	struct buf files; /* what to_files hold */
	struct buf text, html;
	char *null_author; /* From of a built message without a sender; owned */
	char *date_field; /* of one that is made up (send_load.c); owned */
	struct submit_options options;
	struct send_source *source; /* NULL: it is built */
	bool built; /* and was given */
	/* the present message */
	struct submission submission;
	size_t *rcpt; /* 0, 1, 2 ...: all recipients */
	bool is_read;
};

extern const struct args_option send_message_options[], send_compose_options[];
/* An option of those tables; false: it is none of theirs. *status is what ended it, or DONE. */
bool send_message_take(struct send_message *m, struct cli *cli, int key, const char *value,
		       enum cli_status *status);
/* What stands behind the options. Not DONE: it is said what is wrong. */
enum cli_status send_message_operands(struct send_message *m, struct cli *cli, char **operand, int count);
/* Makes ready; hostname is for what is added, and outlives m. Not DONE: it is said what is wrong. */
enum cli_status send_message_open(struct send_message *m, struct cli *cli, const char *hostname);

enum send_next {
	SEND_NEXT_MESSAGE, /* in submission and rcpt, until the next call */
	SEND_NEXT_BAD, /* one that cannot be sent; it is said why, and *status has the class */
	SEND_NEXT_END
};
enum send_next send_message_next(struct send_message *m, const struct cli *cli, enum cli_status *status);
/* Its name, where it is one of several; NULL: it is the only one. */
const char *send_message_name(const struct send_message *m);
void send_message_release(struct send_message *m);

#endif
