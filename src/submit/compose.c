/* SPDX-License-Identifier: ISC */
/*
 * See compose.h. The structure is the usual one: multipart/mixed around what
 * is read and what is attached, multipart/alternative around text and HTML,
 * and neither where there is nothing to hold together.
 */
#include "submit/compose.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "smtp/header.h"
#include "submit/compose_impl.h"

#define BOUNDARY_MAX 40

/* ---- going out ------------------------------------------------------------------ */

bool compose_put(struct composing *m, const char *data, size_t len)
{
	if (!m->result->stopped && len > 0)
		m->result->stopped = !m->sink->write(m->sink->ctx, data, len);
	return !m->result->stopped;
}

static bool put_text(struct composing *m, const char *text)
{
	return compose_put(m, text, strlen(text));
}

bool compose_put_buf(struct composing *m, struct buf *b)
{
	bool ok = compose_put(m, b->data, b->len);

	buf_clear(b);
	return ok;
}

static enum submit_result invalid(struct err *e, const char *what)
{
	err_set(e, "%s", what);
	return SUBMIT_INVALID;
}

/*
 * "=_" stands in no quoted-printable text and in no base64; that it stands in another one is not to be
 * expected.
 */
static int make_boundary(char boundary[BOUNDARY_MAX], struct err *e)
{
	unsigned char bits[16];
	char *p = boundary;

	if (getrandom(bits, sizeof(bits), 0) != sizeof(bits)) {
		err_set_os(e, errno, "getrandom");
		return -1;
	}
	*p++ = '=';
	*p++ = '_';
	for (size_t i = 0; i < sizeof(bits); i++) {
		*p++ = "0123456789abcdef"[bits[i] >> 4];
		*p++ = "0123456789abcdef"[bits[i] & 15];
	}
	*p = '\0';
	return 0;
}

/* ---- the header -------------------------------------------------------------------- */

enum submit_result compose_too_long(struct err *e)
{
	err_set(e, "the header would be longer than %u octets", SUBMIT_HEADER_MAX);
	return SUBMIT_INVALID;
}

/* What is made here, or has an option of its own; there can be only one of it (RFC 5322 3.6). */
static const char *made_by(const struct compose *c, const char *name)
{
	const struct {
		const char *name, *instead;
		bool taken;
	} made[] = {
		{ "From", "--from", true },
		{ "To", "--to", true },
		{ "Cc", "--cc", true },
		{ "Bcc", "--bcc", true },
		{ "Subject", "--subject", c->subject != NULL },
		{ "Reply-To", "--reply-to", c->reply_to.count > 0 },
		{ "MIME-Version", "the message's parts", true },
		{ "Content-Type", "the message's parts", true },
		{ "Content-Transfer-Encoding", "the message's parts", true },
		{ "Content-Disposition", "the message's parts", true },
	};

	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
		if (made[i].taken && strcasecmp(made[i].name, name) == 0)
			return made[i].instead;
	return NULL;
}

/* "Name: value" as somebody typed it */
static enum submit_result add_field(struct composing *m, const char *line, struct err *e)
{
	size_t name_len = strcspn(line, ":");
	const char *value = line + name_len, *instead;
	enum submit_result r = SUBMIT_INVALID;
	char *name;

	if (!mime_is_header_text(line)) {
		err_set(e, "--header \"%.60s\": not UTF-8, or it has control characters", line);
		return SUBMIT_INVALID;
	}
	if (!header_is_field_line(line, strlen(line)) || strcspn(line, " \t") < name_len) {
		err_set(e, "--header \"%.60s\": expected \"NAME: VALUE\"", line);
		return SUBMIT_INVALID;
	}
	name = mem_strndup(line, name_len);
	value += 1 + strspn(value + 1, " ");
	instead = made_by(m->c, name);
	if (instead)
		err_set(e, "--header %s: it comes from %s", name, instead);
	else if (!mime_field(name, value, &m->head))
		compose_too_long(e);
	else
		r = SUBMIT_OK;
	free(name);
	return r;
}

static enum submit_result add_list(struct composing *m, const char *name, const char *option,
				   const struct compose_list *list, struct err *e)
{
	if (mime_field_addresses(name, list->item, list->count, &m->result->utf8, &m->head, e) == 0)
		return SUBMIT_OK;
	err_prefix(e, "%s", option);
	return SUBMIT_INVALID;
}

static enum submit_result add_addresses(struct composing *m, struct err *e)
{
	char *from = (char *)(uintptr_t)m->c->from;
	struct compose_list author = { &from, from ? 1 : 0 };
	const struct {
		const char *name, *option;
		const struct compose_list *list;
	} fields[] = {
		{ "From", "--from", &author },
		{ "To", "--to", &m->c->to },
		{ "Cc", "--cc", &m->c->cc },
		{ "Reply-To", "--reply-to", &m->c->reply_to },
	};
	enum submit_result r = SUBMIT_OK;

	for (size_t i = 0; r == SUBMIT_OK && i < sizeof(fields) / sizeof(fields[0]); i++)
		r = add_list(m, fields[i].name, fields[i].option, fields[i].list, e);
	return r;
}

static enum submit_result add_header(struct composing *m, struct err *e)
{
	const struct compose *c = m->c;
	enum submit_result r = add_addresses(m, e);

	if (r == SUBMIT_OK && c->subject) {
		if (!mime_is_header_text(c->subject))
			return invalid(e, "--subject: not UTF-8, or it has control characters");
		if (!mime_field("Subject", c->subject, &m->head))
			return compose_too_long(e);
	}
	for (size_t i = 0; r == SUBMIT_OK && i < c->fields.count; i++)
		r = add_field(m, c->fields.item[i], e);
	if (r == SUBMIT_OK && !buf_adds(&m->head, "MIME-Version: 1.0\r\n"))
		return compose_too_long(e);
	return r;
}

/* ---- texts ----------------------------------------------------------------------------- */

bool compose_is_utf8(const struct compose_text *text)
{
	const char *at = text->data, *end = at + text->len;
	uint32_t code;

	while (at < end) {
		size_t step = utf8_decode(at, (size_t)(end - at), &code);

		if (step == 0)
			return false;
		at += step;
	}
	return true;
}

static enum submit_result choose_encoding(const struct compose *c, const struct compose_text *text,
					  const char *what, enum mime_encoding *encoding,
					  const char **charset, struct err *e)
{
	struct mime_nature nature = { 0 };
	enum mime_encoding fits;

	mime_look(&nature, text->data, text->len);
	fits = mime_choose(&nature);
	*charset = c->charset ? c->charset : nature.eightbit ? "utf-8" : "us-ascii";
	*encoding = c->encoding == MIME_AUTO ? fits : c->encoding;
	if (!c->charset && nature.eightbit && !compose_is_utf8(text)) {
		err_set(e, "%s is not UTF-8: name its character set with --charset", what);
		return SUBMIT_INVALID;
	}
	if ((*encoding == MIME_7BIT && fits != MIME_7BIT) ||
	    (*encoding == MIME_8BIT && (nature.nul || nature.longest_line > 998))) {
		err_set(e, "%s cannot be sent as %s: leave --encoding away", what,
			mime_encoding_names[*encoding]);
		return SUBMIT_INVALID;
	}
	return SUBMIT_OK;
}

static void put_base64_text(struct composing *m, const struct compose_text *text)
{
	struct mime_base64 b = { 0 };
	bool after_cr = false;
	struct buf canonical, out;

	buf_init(&canonical, 2 * COMPOSE_BLOCK);
	buf_init(&out, 4 * COMPOSE_BLOCK);
	/* RFC 2045 6.8: line ends of a text are CRLF before it is encoded */
	for (size_t at = 0; at < text->len; at += COMPOSE_BLOCK) {
		size_t n = text->len - at < COMPOSE_BLOCK ? text->len - at : COMPOSE_BLOCK;

		crlf_convert(&after_cr, text->data + at, n, &canonical);
		mime_base64_write(&b, canonical.data, canonical.len, &out);
		buf_clear(&canonical);
		compose_put_buf(m, &out);
	}
	if (text->len > 0 && !strchr("\r\n", text->data[text->len - 1]))
		mime_base64_write(&b, "\r\n", 2, &out);
	mime_base64_end(&b, &out);
	compose_put_buf(m, &out);
	buf_release(&canonical);
	buf_release(&out);
}

static void put_quoted_printable(struct composing *m, const struct compose_text *text)
{
	struct buf out;

	buf_init(&out, 4 * (size_t)COMPOSE_TEXT_MAX);
	mime_quoted_printable(text->data, text->len, &out);
	compose_put_buf(m, &out);
	buf_release(&out);
}

/* The fields of a text, the empty line, and the text, which ends with a line's end. */
static enum submit_result put_part(struct composing *m, const struct compose_text *text, const char *subtype,
				   struct err *e)
{
	const char *what = strcmp(subtype, "html") == 0 ? "the HTML" : "the text";
	enum mime_encoding encoding;
	enum submit_result r;
	const char *charset;

	r = choose_encoding(m->c, text, what, &encoding, &charset, e);
	if (r != SUBMIT_OK)
		return r;
	if (!buf_addf(&m->head, "Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n",
		      subtype, charset, mime_encoding_names[encoding]))
		return compose_too_long(e);
	compose_put_buf(m, &m->head);
	m->owes_line_end = encoding != MIME_BASE64;
	switch (encoding) {
	case MIME_AUTO:
	case MIME_7BIT:
	case MIME_8BIT:
		compose_put(m, text->data, text->len);
		if (text->len > 0 && !strchr("\r\n", text->data[text->len - 1]))
			put_text(m, "\n");
		break;
	case MIME_QUOTED_PRINTABLE:
		put_quoted_printable(m, text);
		break;
	case MIME_BASE64:
		put_base64_text(m, text);
		break;
	}
	return SUBMIT_OK;
}

static enum submit_result begin_multipart(struct composing *m, const char *subtype,
					  char boundary[BOUNDARY_MAX], struct err *e)
{
	if (make_boundary(boundary, e) < 0)
		return SUBMIT_FAILED;
	if (!buf_addf(&m->head, "Content-Type: multipart/%s;\r\n boundary=\"%s\"\r\n\r\n", subtype, boundary))
		return compose_too_long(e);
	compose_put_buf(m, &m->head);
	return SUBMIT_OK;
}

/* The line end before a boundary is not part of what stands before it (RFC 2046 5.1.1). */
static void put_boundary(struct composing *m, const char *boundary, bool last)
{
	put_text(m, m->owes_line_end ? "\r\n--" : "--");
	put_text(m, boundary);
	put_text(m, last ? "--\r\n" : "\r\n");
	m->owes_line_end = false;
}

/* What is read: text, HTML, or both. */
static enum submit_result put_body(struct composing *m, struct err *e)
{
	const struct compose *c = m->c;
	char boundary[BOUNDARY_MAX];
	enum submit_result r;

	if (!c->html.data)
		return put_part(m, &c->text, "plain", e);
	if (!c->text.data)
		return put_part(m, &c->html, "html", e);
	r = begin_multipart(m, "alternative", boundary, e);
	if (r != SUBMIT_OK)
		return r;
	put_boundary(m, boundary, false);
	r = put_part(m, &c->text, "plain", e); /* the best one last (RFC 2046 5.1.4) */
	if (r != SUBMIT_OK)
		return r;
	put_boundary(m, boundary, false);
	r = put_part(m, &c->html, "html", e);
	put_boundary(m, boundary, true);
	return r;
}

/* ---- all of it -------------------------------------------------------------------------------- */

static enum submit_result put_mixed(struct composing *m, struct err *e)
{
	char boundary[BOUNDARY_MAX];
	enum submit_result r = begin_multipart(m, "mixed", boundary, e);

	if (r == SUBMIT_OK && (m->c->text.data || m->c->html.data)) {
		put_boundary(m, boundary, false);
		r = put_body(m, e);
	}
	for (size_t i = 0; r == SUBMIT_OK && i < m->c->attachment_count && !m->result->stopped; i++) {
		put_boundary(m, boundary, false);
		r = compose_put_attachment(m, &m->c->attachment[i], e);
	}
	put_boundary(m, boundary, true);
	return r;
}

enum submit_result compose_write(const struct compose *c, const struct compose_sink *sink,
				 struct compose_result *result, struct err *e)
{
	static const struct compose_text empty = { "", 0 };
	struct composing m = { .c = c, .sink = sink, .result = result };
	enum submit_result r;

	*result = (struct compose_result){ 0 };
	m.block = mem_alloc(COMPOSE_BLOCK);
	buf_init(&m.head, SUBMIT_HEADER_MAX);
	r = add_header(&m, e);
	if (r == SUBMIT_OK) {
		if (c->attachment_count > 0)
			r = put_mixed(&m, e);
		else if (c->text.data || c->html.data)
			r = put_body(&m, e);
		else
			r = put_part(&m, &empty, "plain", e);
	}
	buf_release(&m.head);
	free(m.block);
	return r;
}

static bool submit(void *ctx, const char *data, size_t len)
{
	return submission_write(ctx, data, len);
}

enum submit_result compose_submission(const struct compose *c, struct submission *s,
				      const struct submit_options *options, struct err *e)
{
	struct submission_txn *t = submission_begin(s, options);
	struct compose_sink sink = { submit, t };
	struct compose_result result;
	enum submit_result r = compose_write(c, &sink, &result, e);

	if (r != SUBMIT_OK) {
		submission_abort(t);
		return r;
	}
	r = submission_commit(t, e);
	s->env.smtputf8 |= r == SUBMIT_OK && result.utf8;
	return r;
}
