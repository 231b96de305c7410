/* SPDX-License-Identifier: ISC */
/* See xtext.h. */
#include "smtp/xtext.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/utf8.h"

int xtext_decode(const char *text, size_t len, char *out, size_t cap)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		int octet = (unsigned char)text[i];

		if (octet <= ' ' || octet >= 0x7f || octet == '=')
			return -1;
		if (octet == '+') {
			int high = i + 2 < len ? text_hex_value(text[i + 1]) : -1,
			    low = high < 0 ? -1 : text_hex_value(text[i + 2]);

			if (low < 0)
				return -1;
			octet = high << 4 | low;
			i += 2;
		}
		if (used + 1 >= cap)
			return -1;
		out[used++] = (char)octet;
	}
	out[used] = '\0';
	return (int)used;
}

char *xtext_encode(const char *text)
{
	char *out = mem_alloc(3 * strlen(text) + 1), *to = out;

	for (; *text; text++) {
		if (*text > ' ' && *text < 0x7f && *text != '+' && *text != '=')
			*to++ = *text;
		else
			to += sprintf(to, "+%02X", (unsigned)(unsigned char)*text);
	}
	return out;
}

static bool is_printable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] == 0x7f)
			return false;
	return true;
}

bool xtext_is_envid(const char *value, size_t len)
{
	char decoded[XTEXT_ENVID_MAX + 1];
	int n = xtext_decode(value, len, decoded, sizeof(decoded));

	/* RFC 3461 4.4: it must consist entirely of printable characters */
	return n > 0 && is_printable(decoded, (size_t)n);
}

/* addr-type = atom (RFC 3464 2.1.2) */
static size_t addr_type_len(const char *value, size_t len)
{
	size_t n = 0;

	while (n < len && value[n] > ' ' && value[n] < 0x7f && !strchr("()<>@,;:\\\".[]", value[n]))
		n++;
	return n;
}

/* "\x{" HEXPOINT "}" at p: its octets, 0 when it is none. */
static size_t embedded_length(const char *p, size_t left)
{
	size_t n = 3;

	if (left < 6 || memcmp(p, "\\x{", 3) != 0)
		return 0;
	while (n < left && n < 9 && text_hex_value(p[n]) >= 0)
		n++;
	return n >= 5 && n < left && p[n] == '}' ? n + 1 : 0;
}

static bool is_utf8_address(const char *text, size_t len, bool utf8)
{
	while (len > 0) {
		uint32_t code = 0;
		size_t n = *text == '\\' ? embedded_length(text, len) : utf8_decode(text, len, &code);

		if (n == 0 || (n == 1 && (code <= ' ' || code == '+' || code == '=' || code >= 0x7f)) ||
		    (n > 1 && *text != '\\' && (!utf8 || code < 0xa0)))
			return false;
		text += n;
		len -= n;
	}
	return true;
}

bool xtext_is_orcpt(const char *value, size_t len, bool utf8)
{
	size_t type = addr_type_len(value, len);
	char decoded[XTEXT_ORCPT_MAX + 1];
	int n;

	if (len > XTEXT_ORCPT_MAX || type == 0 || type + 1 >= len || value[type] != ';')
		return false;
	if (type == 5 && strncasecmp(value, "utf-8", 5) == 0)
		return is_utf8_address(value + 6, len - 6, utf8);
	n = xtext_decode(value + type + 1, len - type - 1, decoded, sizeof(decoded));
	return n > 0 && is_printable(decoded, (size_t)n);
}
