/* SPDX-License-Identifier: ISC */
/* See lines.h. */
#include "program/lines.h"

size_t lines_to_lf(struct lines_to_lf *l, const char *data, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (l->cr && data[i] != '\n')
			out[n++] = '\r';
		l->cr = data[i] == '\r';
		if (!l->cr)
			out[n++] = data[i];
	}
	return n;
}

size_t lines_to_lf_end(struct lines_to_lf *l, char *out)
{
	size_t n = l->cr;

	if (n)
		out[0] = '\r';
	l->cr = false;
	return n;
}

size_t lines_to_crlf(struct lines_to_crlf *l, const char *data, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = data[i];

		l->bad = l->bad || c == '\0' || (l->cr && c != '\n');
		if (c == '\n' && !l->cr)
			out[n++] = '\r';
		out[n++] = c;
		l->cr = c == '\r';
		l->open = c != '\n';
	}
	return n;
}

size_t lines_to_crlf_end(struct lines_to_crlf *l, char *out)
{
	size_t n = 0;

	l->bad = l->bad || l->cr;
	if (l->open) {
		out[n++] = '\r';
		out[n++] = '\n';
	}
	l->open = false;
	return n;
}
