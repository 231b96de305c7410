/* SPDX-License-Identifier: ISC */
/* See prep.h. */
#include "auth/prep.h"

#include <gsasl.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"

int prep_text(const char *text, enum prep_use use, char **out, struct err *e)
{
	int reason = 0;
	int r;

	/* printable ASCII is mapped to itself (RFC 4013 2) */
	if (text_is_printable_ascii(text)) {
		*out = mem_strdup(text);
		return 0;
	}
	r = gsasl_saslprep(text, use == PREP_QUERY ? GSASL_ALLOW_UNASSIGNED : 0, out, &reason);
	if (r == GSASL_OK)
		return 0;
	err_set(e, "it holds what RFC 4013 forbids, or is not UTF-8 (%s)", gsasl_strerror(r));
	return -1;
}

void prep_free(char *text)
{
	if (!text)
		return;
	explicit_bzero(text, strlen(text));
	free(text);
}

int prep_name(const char *name, enum prep_use use, char out[AUTH_USER_MAX], struct err *e)
{
	char *prepared;
	size_t len;
	int result = -1;

	if (prep_text(name, use, &prepared, e) < 0)
		return -1;
	len = strlen(prepared);
	if (len == 0 || len >= AUTH_USER_MAX)
		err_set(e, "it is empty, or longer than %d octets", AUTH_USER_MAX - 1);
	else if (prepared[0] == '#' || strpbrk(prepared, ": "))
		err_set(e, "it begins with '#', or holds a colon or a blank");
	else
		result = 0;
	if (result == 0)
		memcpy(out, prepared, len + 1);
	prep_free(prepared);
	return result;
}

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool prep_same_name(const char *a, const char *b)
{
	while (*a && fold(*a) == fold(*b))
		a++, b++;
	return *a == *b;
}
