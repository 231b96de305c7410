/* SPDX-License-Identifier: ISC */
/* See blank_line.h. */
#include "handler/blank_line.h"

#include <string.h>

size_t blank_line_find(struct blank_line *b, const char *data, size_t len)
{
	const char *at = data, *end = data + len;

	while (at < end) {
		const char *lf;

		if (!b->inside && *at == '\r')
			return (size_t)(at - data);
		lf = memchr(at, '\n', (size_t)(end - at));
		b->inside = !lf;
		at = lf ? lf + 1 : end;
	}
	return len;
}
