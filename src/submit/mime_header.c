/* SPDX-License-Identifier: ISC */
/* See mime.h: what stands in a header. Pure. */
#include <stdint.h>
#include <string.h>

#include "base/text.h"
#include "base/utf8.h"
#include "smtp/header.h"
#include "submit/mime.h"
#include "submit/submit.h"

#define LINE_BEST 76 /* RFC 2047 2: lines with encoded words; RFC 5322 2.1.1 would like 78 */
#define WORD_FRAME 12 /* "=?UTF-8?B?" and "?=" */
#define WORD_OCTETS 45 /* 60 characters of base64, 72 with the frame; RFC 2047 2 allows 75 */
#define UNBROKEN_MAX 900 /* octets without a blank; RFC 5322 2.1.1: no line is longer than 998 */
#define PARAMETER_BEST 60 /* octets of a parameter's value on one line */

bool mime_is_header_text(const char *text)
{
	size_t len = strlen(text), step;
	uint32_t code;

	for (; len > 0; text += step, len -= step) {
		step = utf8_decode(text, len, &code);
		if (step == 0 || code < ' ' || (code >= 0x7f && code < 0xa0))
			return false;
	}
	return true;
}

/* ---- encoded words --------------------------------------------------------------- */

/* Octets of whole characters, at most so many. Of what is no UTF-8: one, or the text would never end. */
static size_t word_length(const char *text, size_t len, size_t most)
{
	size_t n = 0, step;
	uint32_t code;

	while (n < len && (step = utf8_decode(text + n, len - n, &code)) > 0 && n + step <= most)
		n += step;
	return n > 0 ? n : 1;
}

static bool encoded_word(const char *text, size_t len, struct buf *out)
{
	struct mime_base64 b = { 0 };
	struct buf digits;
	bool ok;

	buf_init(&digits, 128);
	mime_base64_write(&b, text, len, &digits);
	mime_base64_end(&b, &digits); /* one line, and its CRLF */
	ok = buf_adds(out, "=?UTF-8?B?") && buf_add(out, digits.data, digits.len - 2) && buf_adds(out, "?=");
	buf_release(&digits);
	return ok;
}

bool mime_encoded_words(const char *text, size_t column, struct buf *out)
{
	size_t len = strlen(text);
	bool ok = true, fold = false;

	while (ok && len > 0) {
		size_t room = column + WORD_FRAME < LINE_BEST ? (LINE_BEST - column - WORD_FRAME) / 4 * 3 : 0;
		size_t n;

		if (fold || room < 4) { /* a character may be four octets */
			ok = buf_adds(out, "\r\n ");
			room = WORD_OCTETS;
		}
		n = word_length(text, len, room < WORD_OCTETS ? room : WORD_OCTETS);
		ok = ok && encoded_word(text, n, out);
		text += n;
		len -= n;
		fold = true;
	}
	return ok;
}

/* ---- folding ----------------------------------------------------------------------- */

/* Octets up to the end of the next word, the blanks before it included. */
static size_t piece_length(const char *text)
{
	size_t blanks = strspn(text, " ");

	return blanks + strcspn(text + blanks, " ");
}

static bool can_be_folded(const char *text)
{
	size_t len = strlen(text);

	if (len > 0 && (text[0] == ' ' || text[len - 1] == ' '))
		return false;
	for (size_t n; *text; text += n) {
		n = piece_length(text);
		if (n > UNBROKEN_MAX)
			return false;
	}
	return true;
}

/* RFC 5322 2.2.3: line ends are put before blanks. Returns the column behind it in *column. */
static bool add_folded(const char *text, size_t *column, struct buf *out)
{
	bool ok = true, first = true;

	while (ok && *text) {
		size_t n = piece_length(text);

		if (!first && *column + n > LINE_BEST) {
			ok = buf_adds(out, "\r\n");
			*column = 0;
		}
		ok = ok && buf_add(out, text, n);
		*column += n;
		text += n;
		first = false;
	}
	return ok;
}

bool mime_field(const char *name, const char *value, struct buf *out)
{
	size_t column = strlen(name) + 2;
	bool plain = text_is_ascii(value) && !strstr(value, "=?") && can_be_folded(value);

	return buf_adds(out, name) && buf_adds(out, value[0] ? ": " : ":") &&
	       (plain ? add_folded(value, &column, out) : mime_encoded_words(value, column, out)) &&
	       buf_adds(out, "\r\n");
}

/* ---- addresses ------------------------------------------------------------------------ */

/* A field being written, an address after the other. */
struct address_field {
	const char *list; /* being read */
	size_t behind; /* where the address before ended in it */
	bool *utf8;
	struct buf *out;
	size_t column;
	bool any;
	struct buf mailbox; /* one, without folding of its own */
};

/* The name in front of "<": what stands between the addresses, without the comma, a group's name, quotes. */
static void display_name(const char *from, size_t len, struct buf *name)
{
	bool quoted = false;

	buf_clear(name);
	for (size_t i = 0; i < len; i++) {
		char c = from[i];

		if (c == '"') {
			quoted = !quoted;
		} else if (quoted && c == '\\' && i + 1 < len) {
			buf_addc(name, from[++i]);
		} else if (!quoted && strchr(">,;:", c)) {
			buf_clear(name);
		} else if (c != ' ' || name->len > 0) {
			buf_addc(name, c);
		}
	}
	while (name->len > 0 && name->data[name->len - 1] == ' ')
		name->data[--name->len] = '\0';
}

static bool put_mailbox(struct address_field *f, const char *name, const char *address)
{
	bool ok = !f->any || buf_addc(f->out, ',');
	size_t n;

	buf_clear(&f->mailbox);
	if (name[0] && text_is_ascii(name) && can_be_folded(name)) {
		ok = ok && phrase_write(name, &f->mailbox) && buf_addf(&f->mailbox, " <%s>", address);
	} else if (name[0]) {
		/* on lines of its own: where an encoded word ends depends on where it begins */
		ok = ok && (!f->any || buf_adds(f->out, "\r\n")) && buf_addc(f->out, ' ') &&
		     mime_encoded_words(name, f->any ? 1 : f->column + 1, f->out);
		f->column = LINE_BEST;
		ok = ok && buf_addf(&f->mailbox, "<%s>", address);
	} else {
		ok = ok && buf_adds(&f->mailbox, address);
	}
	n = f->mailbox.len + 2;
	if (f->column + n > LINE_BEST && (f->any || name[0])) {
		ok = ok && buf_adds(f->out, "\r\n");
		f->column = 0;
	}
	f->column += n;
	f->any = true;
	return ok && buf_addc(f->out, ' ') && buf_add(f->out, f->mailbox.data, f->mailbox.len);
}

static bool take_address(void *ctx, const struct listed_address *listed, struct err *e)
{
	struct address_field *f = ctx;
	const char *from = f->list + f->behind;
	size_t len = listed->at - f->behind;
	struct buf name;
	bool ok;

	buf_init(&name, SUBMIT_HEADER_MAX);
	if (len > 0 && from[len - 1] == '<')
		display_name(from, len - 1, &name);
	f->behind = listed->at + listed->len;
	*f->utf8 |= !text_is_ascii(listed->address);
	ok = put_mailbox(f, name.data, listed->address);
	buf_release(&name);
	if (!ok)
		err_set(e, "too many addresses: a header is %u octets at most", SUBMIT_HEADER_MAX);
	return ok;
}

int mime_field_addresses(const char *name, char *const *list, size_t count, bool *utf8, struct buf *out,
			 struct err *e)
{
	struct address_field f = { .utf8 = utf8, .out = out, .column = strlen(name) + 1 };
	size_t before = out->len;
	int r = 0;

	buf_init(&f.mailbox, 4 * ADDRESS_MAX + UNBROKEN_MAX * 8);
	if (!buf_addf(out, "%s:", name))
		err_set(e, "the header is longer than %u octets", SUBMIT_HEADER_MAX), r = -1;
	for (size_t i = 0; r == 0 && i < count; i++) {
		f.list = list[i];
		f.behind = 0;
		if (!mime_is_header_text(list[i])) {
			err_set(e, "\"%.60s\" is not UTF-8, or has control characters", list[i]);
			r = -1;
		} else {
			r = header_address_list(list[i], strlen(list[i]), take_address, &f, e);
		}
	}
	if (r == 0 && !f.any)
		out->data[out->len = before] = '\0';
	else if (r == 0)
		buf_adds(out, "\r\n");
	buf_release(&f.mailbox);
	return r;
}

/* ---- parameters -------------------------------------------------------------------------- */

static bool put_quoted(const char *name, const char *value, struct buf *out)
{
	bool ok = buf_addf(out, ";\r\n %s=\"", name);

	for (; ok && *value; value++)
		ok = (!strchr("\"\\", *value) || buf_addc(out, '\\')) && buf_addc(out, *value);
	return ok && buf_addc(out, '"');
}

/* RFC 2231 7: attribute-char */
static bool is_attribute_char(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$&+-.^_`{|}~", c));
}

/* RFC 2231 3 and 4: octets as %XX, in numbered pieces when there are many. */
static bool put_extended(const char *name, const char *value, struct buf *out)
{
	/* 2231 4.1: the character set may be left out; of a file name that is not UTF-8 nobody knows it */
	const char *charset = mime_is_header_text(value) || text_is_ascii(value) ? "UTF-8" : "";
	size_t length = strlen(charset) + 2, column = length;
	unsigned piece = 0;
	bool ok = true;

	for (const char *p = value; *p; p++)
		length += is_attribute_char((unsigned char)*p) ? 1 : 3;
	ok = length <= PARAMETER_BEST ? buf_addf(out, ";\r\n %s*=%s''", name, charset)
				      : buf_addf(out, ";\r\n %s*0*=%s''", name, charset);
	for (; ok && *value; value++) {
		unsigned char c = (unsigned char)*value;
		size_t n = is_attribute_char(c) ? 1 : 3;

		if (column + n > PARAMETER_BEST) {
			ok = buf_addf(out, ";\r\n %s*%u*=", name, ++piece);
			column = 0;
		}
		column += n;
		ok = ok && (n == 1 ? buf_addc(out, (char)c) : buf_addf(out, "%%%02X", c));
	}
	return ok;
}

bool mime_parameter(const char *name, const char *value, struct buf *out)
{
	/* strings with "%" or "'" are quoted, too: only what ends in "*" is extended */
	bool plain = text_is_printable_ascii(value) && strlen(value) <= PARAMETER_BEST;

	return plain ? put_quoted(name, value, out) : put_extended(name, value, out);
}
