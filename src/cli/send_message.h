/* SPDX-License-Identifier: ISC */
/* The message of `posthouse send`: where it comes from and to whom it goes; options in, a submission out. */
#ifndef CLI_SEND_MESSAGE_H
#define CLI_SEND_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "submit/submit.h"

struct send_message {
	/* what options and operands say; into argv */
	const char *from, *file;
	char **to;
	size_t to_count;
	bool read_recipients, no_add_headers;
	/* what comes of it: from send_message_read to send_message_release */
	struct submission submission;
	size_t *rcpt; /* 0, 1, 2 ...: all recipients */
	bool is_read;
};

extern const struct args_option send_message_options[];
/* An option of that table; false: it is none of its. *status is what ended it, or DONE. */
bool send_message_take(struct send_message *m, struct cli *cli, int key, const char *value,
		       enum cli_status *status);
/* What stands behind the options. Not DONE: it is said what is wrong. */
enum cli_status send_message_operands(struct send_message *m, struct cli *cli, char **operand, int count);
/* Reads it; hostname is for what is added. Not DONE: it is said what is wrong. */
enum cli_status send_message_read(struct send_message *m, struct cli *cli, const char *hostname);
void send_message_release(struct send_message *m);

#endif
