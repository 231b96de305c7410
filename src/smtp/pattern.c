/* SPDX-License-Identifier: ISC */
/* See pattern.h. */
#include "smtp/pattern.h"

#include <string.h>

#include "smtp/path.h"

static bool is_mailbox(const char *text)
{
	size_t len = strlen(text), used;
	struct smtp_path path;
	const char *why;

	return smtp_path_parse(text, len, SMTP_PATH_UTF8_OK, &path, &used, &why) == 0 && used == len;
}

bool pattern_is_domain(const char *text)
{
	char address[SMTP_PATH_MAX + 2] = "x@";

	text += text[0] == '.' && text[1] != '[';
	if (strlen(text) + 2 > SMTP_PATH_MAX)
		return false;
	strcpy(address + 2, text);
	return is_mailbox(address);
}

bool pattern_is_address(const char *text)
{
	return text[0] != '@' && !strpbrk(text, "*<> \t") && is_mailbox(text);
}
