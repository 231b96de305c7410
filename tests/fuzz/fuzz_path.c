/* SPDX-License-Identifier: ISC */
/*
 * Paths and parameters of MAIL and RCPT. The first octet chooses the flags.
 * Promise: what is accepted holds no control character and is, written as
 * <address>, the same path again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "smtp/params.h"
#include "smtp/path.h"

static void check_address(const struct smtp_path *path)
{
	char text[SMTP_PATH_MAX + 3];
	struct smtp_path again;
	const char *why;
	size_t used;
	int len = snprintf(text, sizeof(text), "<%s>", path->address);

	ASSERT(len <= SMTP_PATH_MAX);
	for (const char *p = path->address; *p; p++)
		ASSERT((unsigned char)*p >= ' ' && *p != 0x7f &&
		       ((unsigned char)*p < 0x80 || path->needs_smtputf8));
	ASSERT(smtp_path_parse(text, (size_t)len,
			       SMTP_PATH_NULL_OK | SMTP_PATH_UNQUALIFIED_OK | SMTP_PATH_UTF8_OK, &again, &used,
			       &why) == 0);
	ASSERT(used == (size_t)len && strcmp(again.address, path->address) == 0);
	ASSERT(again.local_len == path->local_len && again.needs_smtputf8 == path->needs_smtputf8);
}

static void check_params(const struct smtp_params *params)
{
	char *text = smtp_params_text(params);

	ASSERT((text == NULL) == (params->count == 0));
	for (const char *p = text; p && *p; p++)
		ASSERT(*p >= ' ' && *p < 0x7f && !(*p >= 'a' && *p <= 'z'));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_params params;
	struct smtp_path path;
	const char *why = NULL, *text = (const char *)data + 1;
	size_t used = 0;

	if (size == 0)
		return 0;
	size--;
	if (smtp_path_parse(text, size, data[0] & 15, &path, &used, &why) != 0) {
		ASSERT(why && *why);
	} else {
		ASSERT(used <= size);
		check_address(&path);
		if (smtp_params_parse(text + used, size - used, &params, &why) == 0)
			check_params(&params);
	}
	smtp_is_domain(text, size);
	smtp_is_address_literal(text, size);
	return 0;
}
