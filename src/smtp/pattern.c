/* SPDX-License-Identifier: ISC */
/* See pattern.h. */
#include "smtp/pattern.h"

#include <string.h>

#include "smtp/path.h"

bool pattern_is_domain(const char *text)
{
	char address[SMTP_PATH_MAX + 2] = "x@";
	struct smtp_path path;
	const char *why;
	size_t len, used;

	text += text[0] == '.' && text[1] != '[';
	len = strlen(text) + 2;
	if (len > SMTP_PATH_MAX)
		return false;
	strcpy(address + 2, text);
	return smtp_path_parse(address, len, SMTP_PATH_UTF8_OK, &path, &used, &why) == 0 && used == len;
}

bool pattern_is_address(const char *text)
{
	const char *at = strrchr(text, '@');

	return at && at > text && at[1] != '.' && pattern_is_domain(at + 1) && !strpbrk(text, "*<> \t");
}
