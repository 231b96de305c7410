/* SPDX-License-Identifier: ISC */
/* See submit.h: a person's name in a header. Pure. */
#include <string.h>

#include "base/utf8.h"
#include "submit/submit.h"

#define WORD_OCTETS 45 /* of an encoded word: 60 base64 characters, 72 with its frame; RFC 2047 2 allows 75 */

static bool is_atom_text(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-/=?^_`{|}~ ", c));
}

static bool base64(const char *text, size_t len, struct buf *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	bool ok = true;

	for (size_t i = 0; i < len; i += 3) {
		unsigned long bits = 0;

		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (i + k < len ? (unsigned char)text[i + k] : 0);
		ok = ok && buf_addc(out, digits[bits >> 18]) && buf_addc(out, digits[bits >> 12 & 63]) &&
		     buf_addc(out, i + 1 < len ? digits[bits >> 6 & 63] : '=') &&
		     buf_addc(out, i + 2 < len ? digits[bits & 63] : '=');
	}
	return ok;
}

/* Octets of whole characters, at most WORD_OCTETS. */
static size_t word_length(const char *text, size_t len)
{
	size_t n = 0, step;
	uint32_t code;

	while (n < len && (step = utf8_decode(text + n, len - n, &code)) > 0 && n + step <= WORD_OCTETS)
		n += step;
	return n;
}

/* RFC 2047 5 (3). The caller knows that it is UTF-8. */
static bool write_encoded(const char *name, struct buf *out)
{
	size_t len = strlen(name);
	bool ok = true, first = true;

	while (ok && len > 0) {
		size_t n = word_length(name, len);

		ok = (first || buf_adds(out, "\r\n ")) && buf_adds(out, "=?UTF-8?B?") && base64(name, n, out) &&
		     buf_adds(out, "?=");
		first = false;
		name += n;
		len -= n;
	}
	return ok;
}

static bool write_quoted(const char *name, struct buf *out)
{
	bool ok = buf_addc(out, '"');

	for (; ok && *name; name++) {
		if (*name == '"' || *name == '\\')
			ok = buf_addc(out, '\\');
		/* what cannot stand there: control characters, and octets of an unknown character set */
		ok = ok && buf_addc(out, *name >= ' ' && *name < 0x7f ? *name : '?');
	}
	return ok && buf_addc(out, '"');
}

bool phrase_write(const char *name, struct buf *out)
{
	bool ascii = true, atoms = true, utf8 = true;
	size_t len = strlen(name), step;
	uint32_t code;

	for (size_t i = 0; i < len; i += step ? step : 1) {
		step = utf8_decode(name + i, len - i, &code);
		utf8 = utf8 && step > 0 && code >= ' ' && code != 0x7f;
		ascii = ascii && step == 1;
		atoms = atoms && is_atom_text((unsigned char)name[i]);
	}
	if (atoms)
		return buf_adds(out, name);
	return utf8 && !ascii ? write_encoded(name, out) : write_quoted(name, out);
}
