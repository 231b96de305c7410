/* SPDX-License-Identifier: ISC */
/*
 * Reads a server's replies from a byte stream, however it is cut (RFC 5321
 * 4.2, RFC 2034 for the enhanced codes). Used by the SMTP client, in the
 * relay and in `posthouse send`. Pure, and bounded: the peer is one we chose,
 * but it may be broken or not an SMTP server at all.
 *
 *   Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
 *
 * All lines of a reply must carry the same code. Taking the last line's word
 * for it would glue two replies together when a final line got lost, and
 * then every later reply would be matched with the wrong command.
 */
#include "smtp/reply.h"

#include <stdio.h>
#include <string.h>

void smtp_reply_parser_init(struct smtp_reply_parser *p)
{
	memset(p, 0, sizeof(*p));
	p->complete = true;
}

/* why = what, and the start of the offending line, escaped */
static enum smtp_reply_event refuse(struct smtp_reply_parser *p, const char *what)
{
	size_t n = (size_t)snprintf(p->why, sizeof(p->why), "%s: \"", what);

	for (size_t i = 0; i < p->line_len && n + 8 < sizeof(p->why); i++) {
		unsigned char c = (unsigned char)p->line[i];
		bool plain = c >= ' ' && c < 0x7f && c != '"' && c != '\\';

		n += (size_t)snprintf(p->why + n, sizeof(p->why) - n, plain ? "%c" : "\\x%02x", c);
	}
	snprintf(p->why + n, sizeof(p->why) - n, "\"");
	return SMTP_REPLY_BAD;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * RFC 3463 2: class "." subject "." detail, and RFC 2034 4: its class is the
 * reply code's first digit. Returns its length, 0 when the text has none.
 */
static size_t enhanced_length(const char *text, size_t len, int code)
{
	size_t i = 1;

	if (len < 5 || text[0] != '0' + code / 100 || text[0] == '3')
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t start = i + 1;

		if (i >= len || text[i] != '.')
			return 0;
		for (i = start; i < len && i < start + 3 && is_digit(text[i]); i++)
			;
		if (i == start)
			return 0;
	}
	return i == len || text[i] == ' ' ? i : 0;
}

static void append_text(struct smtp_reply *r, const char *text, size_t len, bool first)
{
	size_t n = strlen(r->text);

	if (!first && n + 1 < sizeof(r->text))
		r->text[n++] = '\n';
	for (size_t i = 0; i < len && n + 1 < sizeof(r->text); i++)
		r->text[n++] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
	r->text[n] = '\0';
}

/* The line's text behind the code; the enhanced code is taken off every line that repeats it. */
static void take_text(struct smtp_reply *r, const char *text, size_t len, bool first)
{
	size_t n = enhanced_length(text, len, r->code);

	if (first && n > 0) {
		memcpy(r->enhanced, text, n);
		r->enhanced[n] = '\0';
	}
	if (n > 0 && strlen(r->enhanced) == n && memcmp(r->enhanced, text, n) == 0) {
		n += n < len; /* and the space */
		text += n;
		len -= n;
	}
	append_text(r, text, len, first);
}

static enum smtp_reply_event take_line(struct smtp_reply_parser *p)
{
	const char *line = p->line;
	size_t len = p->line_len;
	bool first = p->lines == 0;
	int code;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	p->taken_len = len;
	if (len < 3 || line[0] < '2' || line[0] > '5' || !is_digit(line[1]) || !is_digit(line[2]) ||
	    (len > 3 && line[3] != ' ' && line[3] != '-'))
		return refuse(p, "not an SMTP reply");
	code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
	if (first)
		p->reply.code = code;
	else if (p->reply.code != code)
		return refuse(p, "a line with another code inside a reply");
	if (++p->lines > SMTP_REPLY_LINES_MAX)
		return refuse(p, "a reply of too many lines");
	take_text(&p->reply, line + (len > 3 ? 4 : 3), len > 3 ? len - 4 : 0, first);
	p->complete = len == 3 || line[3] == ' ';
	return p->complete ? SMTP_REPLY_DONE : SMTP_REPLY_MORE;
}

enum smtp_reply_event smtp_reply_parse(struct smtp_reply_parser *p, const char *data, size_t len,
				       size_t *used)
{
	*used = 0;
	if (p->why[0])
		return SMTP_REPLY_BAD;
	if (p->complete && len > 0) {
		memset(&p->reply, 0, sizeof(p->reply));
		p->lines = 0;
		p->complete = false;
	}
	while (*used < len) {
		const char *from = data + *used;
		const char *lf = memchr(from, '\n', len - *used);
		size_t n = lf ? (size_t)(lf - from) : len - *used;
		enum smtp_reply_event event;

		if (n > sizeof(p->line) - p->line_len)
			return refuse(p, "a reply line that does not end");
		memcpy(p->line + p->line_len, from, n);
		p->line_len += n;
		*used += n;
		if (!lf)
			return SMTP_REPLY_MORE;
		*used += 1;
		event = take_line(p);
		p->line_len = 0;
		if (event != SMTP_REPLY_MORE)
			return event;
	}
	return SMTP_REPLY_MORE;
}
