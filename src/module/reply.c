/* SPDX-License-Identifier: ISC */
/* See reply.h. */
#include "module/reply.h"

#include <stdlib.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 3463 2: class "." subject "." detail, each of the last two at most three digits. Returns its length, 0:
 * none. */
static size_t enhanced_len(const char *text)
{
	const char *at = text + 1;

	if (text[0] != '2' && text[0] != '4' && text[0] != '5')
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;

		if (*at++ != '.')
			return 0;
		while (is_digit(*at)) {
			at++;
			digits++;
		}
		if (digits == 0 || digits > 3)
			return 0;
	}
	return (size_t)(at - text);
}

static bool text_is_good(const char *text)
{
	size_t line = 0, all = 0;

	for (; *text; text++) {
		if (*text != '\n' && (*text < ' ' || *text > '~'))
			return false;
		line = *text == '\n' ? 0 : line + 1;
		if (line > MODULE_REPLY_LINE_MAX || ++all > MODULE_REPLY_TEXT_MAX)
			return false;
	}
	return true;
}

bool module_reply_set(struct smtp_reply *out, int code, const char *enhanced, const char *text)
{
	size_t len = enhanced ? strnlen(enhanced, sizeof(out->enhanced)) : 0;

	if (code < 200 || code > 599 || code / 100 == 3 || !text)
		return false;
	/* a class of its own would say something else than the code (RFC 2034 4) */
	if (len > 0 && (len == sizeof(out->enhanced) || enhanced_len(enhanced) != len ||
			enhanced[0] - '0' != code / 100))
		return false;
	if (!text_is_good(text))
		return false;
	smtp_reply_set(out, code, len > 0 ? enhanced : NULL, "%s", text);
	return true;
}

bool module_reply_parse(struct smtp_reply *out, const char *line)
{
	char enhanced[sizeof(out->enhanced)] = "";
	size_t len;
	int code;

	if (!line || !is_digit(line[0]) || !is_digit(line[1]) || !is_digit(line[2]) ||
	    (line[3] != ' ' && line[3] != '\0') || strchr(line, '\n'))
		return false;
	code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
	line += line[3] ? 4 : 3;
	len = enhanced_len(line);
	if (len > 0 && len < sizeof(enhanced) && line[0] - '0' == code / 100 &&
	    (line[len] == ' ' || line[len] == '\0')) {
		memcpy(enhanced, line, len);
		line += len + (line[len] == ' ');
	}
	return module_reply_set(out, code, enhanced, line);
}
