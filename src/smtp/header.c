/* SPDX-License-Identifier: ISC */
/* See header.h: the fields. The addresses are in address.c. */
#include "smtp/header.h"

#include <string.h>
#include <strings.h>

static size_t name_length(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && line[n] > ' ' && line[n] < 0x7f && line[n] != ':')
		n++;
	return n;
}

bool header_is_field_line(const char *line, size_t len)
{
	size_t n = name_length(line, len), colon = n;

	/* RFC 5322 4.5: obsolete syntax has space before the colon */
	while (colon < len && (line[colon] == ' ' || line[colon] == '\t'))
		colon++;
	return n > 0 && colon < len && line[colon] == ':';
}

/* The octets of the line at p with its end. */
static size_t line_length(const char *p, const char *end)
{
	const char *newline = memchr(p, '\n', (size_t)(end - p));

	return (size_t)((newline ? newline + 1 : end) - p);
}

bool header_next(const char **at, const char *end, struct header_field *f)
{
	const char *p = *at, *colon;
	size_t n;

	if (p >= end)
		return false;
	n = line_length(p, end);
	if (!header_is_field_line(p, n))
		return false;
	f->name = p;
	f->name_len = name_length(p, n);
	colon = memchr(p, ':', n);
	p += n;
	while (p < end && (*p == ' ' || *p == '\t'))
		p += line_length(p, end);
	f->value = colon + 1;
	f->value_len = (size_t)(p - f->value);
	f->raw_len = (size_t)(p - f->name);
	*at = p;
	return true;
}

bool header_is(const struct header_field *f, const char *name)
{
	return strlen(name) == f->name_len && strncasecmp(f->name, name, f->name_len) == 0;
}

void header_unfold(const struct header_field *f, struct buf *out)
{
	const char *p = f->value, *end = p + f->value_len;

	while (p < end && strchr(" \t\r\n", *p))
		p++;
	while (end > p && strchr(" \t\r\n", end[-1]))
		end--;
	/* RFC 5322 2.2.3: unfolding removes the CRLF before white space, and nothing else */
	for (; p < end; p++)
		if (*p != '\n' && !(*p == '\r' && p + 1 < end && p[1] == '\n'))
			buf_addc(out, *p);
}
