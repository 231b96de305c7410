/* SPDX-License-Identifier: ISC */
/* See send_compose.h. */
#include "cli/send_compose.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum {
	OPT_SUBJECT = ARGS_LONG_ONLY + 120, /* this segment has the keys up to ARGS_LONG_ONLY + 149 */
	OPT_TEXT,
	OPT_TEXT_FILE,
	OPT_HTML,
	OPT_HTML_FILE,
	OPT_ATTACH,
	OPT_CC,
	OPT_BCC,
	OPT_REPLY_TO,
	OPT_HEADER,
	OPT_CHARSET,
	OPT_ENCODING
};

const struct args_option send_compose_options[] = {
	{ "subject", OPT_SUBJECT, "TEXT", "the message's subject" },
	{ "text", OPT_TEXT, "TEXT", "its text; without any, standard input" },
	{ "text-file", OPT_TEXT_FILE, "FILE", "its text, from a file" },
	{ "html", OPT_HTML, "HTML", "the text as HTML, or beside it" },
	{ "html-file", OPT_HTML_FILE, "FILE", "the same, from a file" },
	{ "attach", OPT_ATTACH, "FILE", "a file, and ;type=TYPE, ;filename=NAME behind it" },
	{ "cc", OPT_CC, "ADDRESS", "copy to; as --to" },
	{ "bcc", OPT_BCC, "ADDRESS", "copy to, not shown in the header; as --to" },
	{ "reply-to", OPT_REPLY_TO, "ADDRESS", "where answers go; as --to" },
	{ "header", OPT_HEADER, "FIELD", "\"NAME: VALUE\", one more field; may be repeated" },
	{ "charset", OPT_CHARSET, "NAME", "character set of text and HTML, if not UTF-8" },
	{ "encoding", OPT_ENCODING, "ENCODING", "of both, instead of what fits" },
	ARGS_OPTIONS_END,
};

#define ATTACHMENTS_MAX 1000

/* "FILE;type=T;filename=N", as curl -F has it; cut in place, as the command line is ours. */
static bool add_attachment(struct send_message *m, const char *value, const struct cli *cli,
			   enum cli_status *status)
{
	struct compose_attachment *a;
	char *path = (char *)(uintptr_t)value, *at;

	if (m->compose.attachment_count == ATTACHMENTS_MAX) {
		*status = cli_usage_error(cli, "more than %d --attach", ATTACHMENTS_MAX);
		return false;
	}
	m->attachment = mem_resize(m->attachment, m->compose.attachment_count + 1, sizeof(*m->attachment));
	a = &m->attachment[m->compose.attachment_count++];
	*a = (struct compose_attachment){ .path = path };
	while ((at = strrchr(path, ';'))) {
		if (strncmp(at, ";type=", 6) == 0)
			a->type = at + 6;
		else if (strncmp(at, ";filename=", 10) == 0)
			a->name = at + 10;
		else
			break; /* of the file's own name */
		*at = '\0';
	}
	if (a->type && !mime_type_is_valid(a->type))
		*status = cli_usage_error(cli, "--attach %s: type %s: expected TYPE/SUBTYPE", path, a->type);
	else if (path[0] == '\0' || (a->name && a->name[0] == '\0'))
		*status = cli_usage_error(cli, "--attach: an empty name");
	return *status == CLI_DONE;
}

static bool set_encoding(struct compose *c, const char *name)
{
	for (size_t i = 0; i < MIME_ENCODING_COUNT; i++) {
		if (strcmp(name, mime_encoding_names[i]) == 0) {
			c->encoding = (enum mime_encoding)i;
			return true;
		}
	}
	return false;
}

/* RFC 2978 2.3: the name stands in a header as it is */
static bool is_charset(const char *name)
{
	size_t len =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'+-^_`{}~.");

	return len > 0 && len <= 40 && name[len] == '\0';
}

/* The option's name, when it is one of them. */
static const char *name_of(int key)
{
	for (const struct args_option *o = send_compose_options; o->name; o++)
		if (o->key == key)
			return o->name;
	return NULL;
}

bool send_compose_take(struct send_message *m, struct cli *cli, int key, const char *value,
		       enum cli_status *status)
{
	static const struct {
		int key;
		size_t offset;
	} lists[] = {
		{ OPT_CC, offsetof(struct send_message, cc) },
		{ OPT_BCC, offsetof(struct send_message, bcc) },
		{ OPT_REPLY_TO, offsetof(struct send_message, reply_to) },
		{ OPT_HEADER, offsetof(struct send_message, fields) },
	};
	struct compose *c = &m->compose;
	const char *name = name_of(key);

	if (!name)
		return false;
	m->compose_option = m->compose_option ? m->compose_option : name;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (lists[i].key == key)
			send_values_add((struct send_values *)(void *)((char *)m + lists[i].offset), value,
					name, cli, status);
	switch (key) {
	case OPT_SUBJECT:
		c->subject = value;
		break;
	case OPT_TEXT:
		c->text = (struct compose_text){ value, strlen(value) };
		break;
	case OPT_TEXT_FILE:
		m->text_file = value;
		break;
	case OPT_HTML:
		c->html = (struct compose_text){ value, strlen(value) };
		break;
	case OPT_HTML_FILE:
		m->html_file = value;
		break;
	case OPT_ATTACH:
		add_attachment(m, value, cli, status);
		break;
	case OPT_CHARSET:
		c->charset = value;
		if (!is_charset(value))
			*status =
				cli_usage_error(cli, "--charset %s: not the name of a character set", value);
		break;
	case OPT_ENCODING:
		if (!set_encoding(c, value))
			*status = cli_usage_error(
				cli, "--encoding %s: expected auto, 7bit, 8bit, quoted-printable or base64",
				value);
		break;
	}
	return true;
}

static enum cli_status read_text(const char *path, struct buf *into, struct compose_text *text)
{
	enum cli_status status;

	if (!path)
		return CLI_DONE;
	status = send_read_whole(path, COMPOSE_TEXT_MAX, into);
	*text = (struct compose_text){ into->data, into->len };
	return status;
}

/* RFC 5322 3.6.2 wants an author of what nobody is to answer, too. */
static const char *author(struct send_message *m)
{
	if (!m->from || (m->from[0] != '\0' && strcmp(m->from, "<>") != 0))
		return m->from;
	m->null_author = mem_printf("MAILER-DAEMON@%s", m->options.hostname);
	return m->null_author;
}

enum cli_status send_compose_settle(struct send_message *m)
{
	struct compose *c = &m->compose;
	enum cli_status status;

	/* `echo text | posthouse send --subject ...`; what has another body needs none */
	if (!m->text_file && !c->text.data && !c->html.data && !m->html_file && c->attachment_count == 0)
		m->text_file = "-";
	status = read_text(m->text_file, &m->text, &c->text);
	if (status == CLI_DONE)
		status = read_text(m->html_file, &m->html, &c->html);
	c->from = author(m);
	c->to = (struct compose_list){ m->to.item, m->to.count };
	c->cc = (struct compose_list){ m->cc.item, m->cc.count };
	c->reply_to = (struct compose_list){ m->reply_to.item, m->reply_to.count };
	c->fields = (struct compose_list){ m->fields.item, m->fields.count };
	c->attachment = m->attachment;
	return status;
}
