/* SPDX-License-Identifier: ISC */
/*
 * Making and writing replies (see reply.h); reading them is reply_parser.c.
 * Whatever a text holds, what is written is one reply: strangers' octets
 * cannot end a line.
 */
#include "smtp/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char printable(char c)
{
	return c >= 0x20 && c < 0x7f ? c : '?';
}

void smtp_reply_set(struct smtp_reply *r, int code, const char *enhanced, const char *fmt, ...)
{
	va_list ap;

	r->code = code;
	snprintf(r->enhanced, sizeof(r->enhanced), "%s", enhanced ? enhanced : "");
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	for (char *c = r->text; *c; c++)
		if (*c != '\n')
			*c = printable(*c);
}

static bool write_line(const struct smtp_reply *r, struct buf *out, const char *line, size_t len, bool last)
{
	const char *space = r->enhanced[0] && len > 0 ? " " : "";
	bool ok = buf_addf(out, "%03d%c%s%s", r->code, last ? ' ' : '-', r->enhanced, space);

	for (size_t i = 0; i < len && ok; i++)
		ok = buf_addc(out, printable(line[i]));
	return ok && buf_adds(out, "\r\n");
}

bool smtp_reply_write(const struct smtp_reply *r, struct buf *out)
{
	const char *line = r->text;
	size_t before = out->len;
	bool ok = true, last;

	do {
		const char *end = strchrnul(line, '\n');

		last = *end == '\0';
		ok = write_line(r, out, line, (size_t)(end - line), last);
		line = end + 1;
	} while (ok && !last);
	if (!ok && out->len > before) {
		out->len = before;
		out->data[before] = '\0';
	}
	return ok;
}

void smtp_reply_oneline(const struct smtp_reply *r, struct buf *out)
{
	if (r->code)
		buf_addf(out, "%03d ", r->code);
	if (r->enhanced[0])
		buf_addf(out, "%s ", r->enhanced);
	for (const char *c = r->text; *c; c++) {
		if (*c == '\n')
			buf_adds(out, " / ");
		else
			buf_addc(out, *c);
	}
}
