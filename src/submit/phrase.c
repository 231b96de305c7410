/* SPDX-License-Identifier: ISC */
/* See submit.h: a person's name in a header. Pure. */
#include <string.h>

#include "base/utf8.h"
#include "submit/mime.h"
#include "submit/submit.h"

static bool is_atom_text(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-/=?^_`{|}~ ", c));
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
	bool looks_encoded = strstr(name, "=?") != NULL; /* and would be decoded */
	bool ascii = true, atoms = !looks_encoded, utf8 = true;
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
	return utf8 && (!ascii || looks_encoded) ? mime_encoded_words(name, 0, out) : write_quoted(name, out);
}
