/* SPDX-License-Identifier: ISC */
/* See form.h. */
#include "base/form.h"

#include <string.h>

static bool is_plain(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       strchr("-._*", c);
}

static bool add_encoded(struct buf *out, const char *text)
{
	bool ok = true;

	for (; *text && ok; text++) {
		if (is_plain(*text))
			ok = buf_addc(out, *text);
		else if (*text == ' ')
			ok = buf_addc(out, '+');
		else
			ok = buf_addf(out, "%%%02X", (unsigned char)*text);
	}
	return ok;
}

bool form_add(struct buf *out, const char *name, const char *value)
{
	size_t len = out->len;

	if ((len == 0 || buf_addc(out, '&')) && add_encoded(out, name) && buf_addc(out, '=') &&
	    add_encoded(out, value))
		return true;
	out->len = len;
	if (out->cap > 0)
		out->data[len] = '\0';
	return false;
}
