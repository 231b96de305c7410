/* SPDX-License-Identifier: ISC */
/* See send_message.h. */
#include "cli/send_message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

enum {
	OPT_FROM = ARGS_LONG_ONLY + 100, /* this segment has the keys up to ARGS_LONG_ONLY + 199 */
	OPT_TO,
	OPT_NO_ADD_HEADERS
};

const struct args_option send_message_options[] = {
	{ "from", OPT_FROM, "ADDRESS", "sender, instead of the header's" },
	{ "to", OPT_TO, "ADDRESS", "recipient, or a list of them; may be repeated" },
	{ "read-recipients", 't', NULL, "to the header's To, Cc, Bcc; Bcc is taken out" },
	{ "no-add-headers", OPT_NO_ADD_HEADERS, NULL, "leave missing Date, Message-ID and From missing" },
	ARGS_OPTIONS_END,
};

#define TO_MAX 1000 /* --to options; each may be a list */

bool send_message_take(struct send_message *m, struct cli *cli, int key, const char *value,
		       enum cli_status *status)
{
	switch (key) {
	case OPT_FROM:
		m->from = value;
		return true;
	case OPT_TO:
		if (m->to_count == TO_MAX) {
			*status = cli_usage_error(cli, "more than %d --to: give lists, A,B,C", TO_MAX);
			return true;
		}
		m->to = mem_resize(m->to, m->to_count + 1, sizeof(*m->to));
		m->to[m->to_count++] = (char *)(uintptr_t)value;
		return true;
	case 't':
		m->read_recipients = true;
		return true;
	case OPT_NO_ADD_HEADERS:
		m->no_add_headers = true;
		return true;
	}
	return false;
}

enum cli_status send_message_operands(struct send_message *m, struct cli *cli, char **operand, int count)
{
	if (count > 1)
		return cli_usage_error(cli, "%s: one message at a time", operand[1]);
	m->file = count == 1 ? operand[0] : NULL;
	return CLI_DONE;
}

enum cli_status send_message_read(struct send_message *m, struct cli *cli, const char *hostname)
{
	struct submit_options options = {
		.from = m->from,
		.to = m->to,
		.to_count = m->to_count,
		.read_recipients = m->read_recipients,
		.add_headers = !m->no_add_headers,
		.hostname = hostname,
	};
	enum submit_result r;
	int fd = STDIN_FILENO;
	struct err e;

	if (m->file && strcmp(m->file, "-") != 0) {
		fd = open(m->file, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			cli_error("%s: %s", m->file, strerror(errno));
			return CLI_UNREACHABLE;
		}
	}
	r = submission_read(&m->submission, fd, &options, &e);
	if (fd != STDIN_FILENO)
		close(fd);
	switch (r) {
	case SUBMIT_OK:
		break;
	case SUBMIT_INVALID:
	case SUBMIT_NOBODY:
		return cli_usage_error(cli, "%s", e.text);
	case SUBMIT_FAILED:
		cli_error("%s: %s", m->file ? m->file : "standard input", e.text);
		return CLI_UNREACHABLE;
	}
	m->is_read = true;
	m->rcpt = mem_array(m->submission.env.rcpt_count, sizeof(*m->rcpt));
	for (size_t i = 0; i < m->submission.env.rcpt_count; i++)
		m->rcpt[i] = i;
	return CLI_DONE;
}

void send_message_release(struct send_message *m)
{
	free(m->to);
	free(m->rcpt);
	if (m->is_read)
		submission_release(&m->submission);
}
