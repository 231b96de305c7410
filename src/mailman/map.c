/* SPDX-License-Identifier: ISC */
/* See map.h. */
#include "mailman/map.h"

#include <string.h>

#include "base/text.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static size_t skip_blanks(const char *line, size_t len, size_t at)
{
	while (at < len && is_blank(line[at]))
		at++;
	return at;
}

/*
 * What Mailman makes of an address for a regular expression, undone:
 * /^a\.b-confirm(\+.*)?@lists\.example\.org$/ is a.b-confirm@lists.example.org. False: it is another
 * expression.
 */
static bool unpick_regex(const char *text, size_t len, char *out, size_t cap)
{
	static const char tail[] = "(\\+.*)?";
	size_t n = 0, i = 2;

	if (len < 5 || memcmp(text, "/^", 2) != 0 || memcmp(text + len - 2, "$/", 2) != 0)
		return false;
	for (len -= 2; i < len && n + 1 < cap; i++) {
		if (len - i >= sizeof(tail) - 1 && memcmp(text + i, tail, sizeof(tail) - 1) == 0) {
			i += sizeof(tail) - 2;
			continue;
		}
		if (text[i] == '\\' && i + 1 < len)
			i++;
		else if (strchr("()[]{}*?|^$+", text[i]))
			return false;
		out[n++] = text[i];
	}
	out[n] = '\0';
	return i == len;
}

/* address BLANKS lmtp:... */
static bool read_transport(struct lists *into, const char *line, size_t len)
{
	size_t end = 0, value;
	char address[LISTS_NAME_MAX];

	while (end < len && !is_blank(line[end]))
		end++;
	value = skip_blanks(line, len, end);
	if (len - value < 5 || memcmp(line + value, "lmtp:", 5) != 0)
		return false;
	if (line[0] != '/')
		return memchr(line, '@', end) && lists_add(into, line, end, NULL);
	return unpick_regex(line, end, address, sizeof(address)) && strchr(address, '@') &&
	       lists_add(into, address, strlen(address), NULL);
}

/* The last two words of a command are verb and list: "|/usr/lib/mailman/mail/mailman owner list" */
static bool take_words(const char *command, size_t len, char *out, size_t cap)
{
	size_t words = 0, at = len;

	if (len > 0 && command[len - 1] == '"')
		at = --len;
	while (at > 0 && words < 2) {
		at--;
		if (is_blank(command[at]) && at + 1 < len && !is_blank(command[at + 1]))
			words++;
	}
	if (words < 2 || len - at - 1 >= cap || memchr(command + at + 1, '"', len - at - 1))
		return false;
	memcpy(out, command + at + 1, len - at - 1);
	out[len - at - 1] = '\0';
	return text_is_printable_ascii(out);
}

static bool has_blanks(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (is_blank(text[i]))
			return true;
	return false;
}

/* name: "|command verb list" */
static bool read_alias(struct lists *into, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	size_t end = colon ? (size_t)(colon - line) : 0, value, name;
	char words[LISTS_NAME_MAX];

	value = skip_blanks(line, len, end + 1);
	for (name = end; name > 0 && is_blank(line[name - 1]);)
		name--;
	if (name == 0 || has_blanks(line, name) || value >= len)
		return false;
	/* mailman-loop leads to a file; what is no list is none of our business */
	if (value + 1 >= len || memcmp(line + value, "\"|", 2) != 0)
		return true;
	return take_words(line + value, len - value, words, sizeof(words)) &&
	       lists_add(into, line, name, words);
}

int map_read(struct lists *into, const char *text, size_t len, struct err *e)
{
	const char *end = text + len;
	unsigned number = 0;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n = newline ? (size_t)(newline - text) : (size_t)(end - text),
		       at = skip_blanks(text, n, 0);

		number++;
		while (n > at && is_blank(text[n - 1]))
			n--;
		if (n > at && text[at] != '#' && !read_transport(into, text + at, n - at) &&
		    !read_alias(into, text + at, n - at)) {
			err_set(e, "line %u is neither of Mailman's postfix_lmtp nor of its aliases", number);
			return -1;
		}
		text = newline ? newline + 1 : end;
	}
	return 0;
}
