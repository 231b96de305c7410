/* SPDX-License-Identifier: ISC */
/* See send_message.h: options in, messages out. */
#include "cli/send_message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cli/input.h"
#include "cli/send_compose.h"

enum {
	OPT_FROM = ARGS_LONG_ONLY + 100, /* this segment has the keys up to ARGS_LONG_ONLY + 119 */
	OPT_TO,
	OPT_TO_FILE,
	OPT_FORMAT,
	OPT_NO_ADD_HEADERS
};

const struct args_option send_message_options[] = {
	{ "from", OPT_FROM, "ADDRESS", "sender, instead of the header's" },
	{ "to", OPT_TO, "ADDRESS", "recipient, or a list of them; may be repeated" },
	{ "to-file", OPT_TO_FILE, "FILE", "recipients, lists, a line each; never in the header" },
	{ "read-recipients", 't', NULL, "to the header's To, Cc, Bcc; Bcc is taken out" },
	{ "no-add-headers", OPT_NO_ADD_HEADERS, NULL, "leave missing Date, Message-ID and From missing" },
	{ "format", OPT_FORMAT, "KIND", "what FILE is: eml, mbox or maildir" },
	ARGS_OPTIONS_END,
};

#define VALUES_MAX 1000 /* of an option; addresses may be lists */
#define TO_FILE_MAX (64u << 20) /* octets of all --to-file together */

/* ---- options -------------------------------------------------------------------- */

bool send_values_add(struct send_values *v, const char *value, const char *name, const struct cli *cli,
		     enum cli_status *status)
{
	if (v->count == VALUES_MAX) {
		*status = cli_usage_error(cli, "more than %d --%s%s", VALUES_MAX, name,
					  strcmp(name, "to") == 0 ? ": give lists, A,B,C" : "");
		return false;
	}
	v->item = mem_resize(v->item, v->count + 1, sizeof(*v->item));
	v->item[v->count++] = (char *)(uintptr_t)value;
	return true;
}

static bool find_format(const char *name, enum source_format *format)
{
	for (size_t i = 0; i < SOURCE_FORMAT_COUNT; i++) {
		if (strcmp(name, source_format_names[i]) == 0) {
			*format = (enum source_format)i;
			return true;
		}
	}
	return false;
}

bool send_message_take(struct send_message *m, struct cli *cli, int key, const char *value,
		       enum cli_status *status)
{
	switch (key) {
	case OPT_FROM:
		m->from = value;
		return true;
	case OPT_TO:
		send_values_add(&m->to, value, "to", cli, status);
		return true;
	case OPT_TO_FILE:
		send_values_add(&m->to_files, value, "to-file", cli, status);
		return true;
	case 't':
		m->read_recipients = true;
		return true;
	case OPT_NO_ADD_HEADERS:
		m->no_add_headers = true;
		return true;
	case OPT_FORMAT:
		m->has_format = true;
		if (!find_format(value, &m->format))
			*status = cli_usage_error(cli, "--format %s: expected eml, mbox or maildir", value);
		return true;
	}
	return send_compose_take(m, cli, key, value, status);
}

enum cli_status send_message_operands(struct send_message *m, struct cli *cli, char **operand, int count)
{
	m->path = operand;
	m->path_count = (size_t)count;
	if (m->compose_option && count > 0)
		return cli_usage_error(cli, "%s: with --%s a message is built, and none is read from a file",
				       operand[0], m->compose_option);
	if (m->compose_option && m->has_format)
		return cli_usage_error(cli, "--format: with --%s a message is built, and none is read",
				       m->compose_option);
	return CLI_DONE;
}

/* ---- recipients ------------------------------------------------------------------- */

enum cli_status send_read_whole(const char *path, size_t most, struct buf *out)
{
	bool is_stdin = strcmp(path, "-") == 0;
	char *block = mem_alloc(64u << 10);
	size_t len = 0;
	struct err e = { 0 };
	int fd = is_stdin ? STDIN_FILENO : input_open(path, false, &e);
	bool ok = fd >= 0;

	do {
		if (ok && file_read_all(fd, block, 64u << 10, &len) < 0) {
			err_set_os(&e, errno, "cannot read it");
			ok = false;
		} else if (ok && (out->len + len > most || !buf_add(out, block, len))) {
			err_set(&e, "larger than %zu octets", most);
			ok = false;
		}
	} while (ok && len > 0);
	if (fd >= 0 && !is_stdin)
		close(fd);
	free(block);
	if (!ok)
		cli_error("%s: %s", is_stdin ? "standard input" : path, e.text);
	return ok ? CLI_DONE : CLI_UNREACHABLE;
}

/* Lines, each a list, become items; "#" begins a comment. In place. */
static void split_lines(struct send_values *v, char *text)
{
	char *line, *rest = text;

	while ((line = strsep(&rest, "\r\n"))) {
		line += strspn(line, " \t");
		if (line[0] == '\0' || line[0] == '#')
			continue;
		if ((v->count & (v->count - 1)) == 0)
			v->item = mem_resize(v->item, v->count ? 2 * v->count : 1, sizeof(*v->item));
		v->item[v->count++] = line;
	}
}

static enum cli_status read_to_files(struct send_message *m, const struct cli *cli, struct send_values *lines)
{
	for (size_t i = 0; i < m->to_files.count; i++) {
		enum cli_status status = send_read_whole(m->to_files.item[i], TO_FILE_MAX, &m->files);

		if (status != CLI_DONE)
			return status;
		buf_addc(&m->files, '\n');
	}
	if (memchr(m->files.data, '\0', m->files.len))
		return cli_usage_error(cli, "--to-file: a NUL octet, so it is no list of addresses");
	if (m->files.len > 0)
		split_lines(lines, m->files.data);
	return CLI_DONE;
}

static enum cli_status gather_recipients(struct send_message *m, const struct cli *cli)
{
	struct send_values lines = { 0 };
	const struct send_values *const all[] = { &m->to, &m->cc, &m->bcc, &lines };
	enum cli_status status = read_to_files(m, cli, &lines);
	struct send_values *v = &m->recipients;

	for (size_t i = 0; status == CLI_DONE && i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i]->count == 0)
			continue;
		v->item = mem_resize(v->item, v->count + all[i]->count, sizeof(*v->item));
		memcpy(v->item + v->count, all[i]->item, all[i]->count * sizeof(*v->item));
		v->count += all[i]->count;
	}
	free(lines.item);
	return status;
}

/* ---- messages ------------------------------------------------------------------------ */

enum cli_status send_message_open(struct send_message *m, struct cli *cli, const char *hostname)
{
	enum cli_status status;

	buf_init(&m->files, TO_FILE_MAX + VALUES_MAX);
	buf_init(&m->text, COMPOSE_TEXT_MAX);
	buf_init(&m->html, COMPOSE_TEXT_MAX);
	status = gather_recipients(m, cli);
	if (status != CLI_DONE)
		return status;
	m->options = (struct submit_options){
		.from = m->from,
		.to = m->recipients.item,
		.to_count = m->recipients.count,
		.read_recipients = m->read_recipients,
		.add_headers = !m->no_add_headers,
		.hostname = hostname,
	};
	if (m->compose_option)
		return send_compose_settle(m);
	m->source = send_source_new(m->path, m->path_count, m->has_format ? &m->format : NULL);
	return CLI_DONE;
}

static void forget(struct send_message *m)
{
	if (m->is_read)
		submission_release(&m->submission);
	m->is_read = false;
}

static void take(struct send_message *m)
{
	size_t count = m->submission.env.rcpt_count;

	m->is_read = true;
	m->rcpt = mem_resize(m->rcpt, count + 1, sizeof(*m->rcpt));
	for (size_t i = 0; i < count; i++)
		m->rcpt[i] = i;
}

static enum source_next build(struct send_message *m, enum submit_result *why, struct err *e)
{
	if (m->built)
		return SOURCE_END;
	m->built = true;
	*why = compose_submission(&m->compose, &m->submission, &m->options, e);
	return *why == SUBMIT_OK ? SOURCE_MESSAGE : *why == SUBMIT_FAILED ? SOURCE_FAILED : SOURCE_REFUSED;
}

/* What one of several lacks does not make the command line wrong. */
static enum cli_status say_refused(const struct send_message *m, const struct cli *cli, const struct err *e)
{
	if (!send_message_name(m))
		return cli_usage_error(cli, "%s", e->text);
	cli_error("%s: %s", send_message_name(m), e->text);
	return CLI_NOTHING;
}

enum send_next send_message_next(struct send_message *m, const struct cli *cli, enum cli_status *status)
{
	enum source_next found;
	enum submit_result why;
	struct err e;

	forget(m);
	found = m->source ? send_source_next(m->source, &m->options, &m->submission, &why, &e)
			  : build(m, &why, &e);
	switch (found) {
	case SOURCE_MESSAGE:
		take(m);
		return SEND_NEXT_MESSAGE;
	case SOURCE_REFUSED:
		*status = say_refused(m, cli, &e);
		return SEND_NEXT_BAD;
	case SOURCE_FAILED:
		if (m->source)
			cli_error("%s: %s", send_source_name(m->source), e.text);
		else
			cli_error("%s", e.text);
		*status = CLI_UNREACHABLE;
		return SEND_NEXT_BAD;
	case SOURCE_END:
		break;
	}
	return SEND_NEXT_END;
}

const char *send_message_name(const struct send_message *m)
{
	return m->source && send_source_is_many(m->source) ? send_source_name(m->source) : NULL;
}

void send_message_release(struct send_message *m)
{
	struct send_values *const all[] = { &m->to,       &m->cc,     &m->bcc,       &m->to_files,
					    &m->reply_to, &m->fields, &m->recipients };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		free(all[i]->item);
	forget(m);
	free(m->attachment);
	free(m->date_field);
	free(m->null_author);
	free(m->rcpt);
	send_source_free(m->source);
	if (m->options.hostname) {
		buf_release(&m->files);
		buf_release(&m->text);
		buf_release(&m->html);
	}
}
