/* SPDX-License-Identifier: ISC */
/* See utf8.h. */
#include "base/utf8.h"

size_t utf8_decode(const char *text, size_t len, uint32_t *code)
{
	/* the smallest character that needs this many octets: less is an overlong form */
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)text;
	size_t need;
	uint32_t c;

	if (len == 0)
		return 0;
	if (p[0] < 0x80) {
		*code = p[0];
		return 1;
	}
	if ((p[0] & 0xe0) == 0xc0)
		need = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		need = 3;
	else if ((p[0] & 0xf8) == 0xf0)
		need = 4;
	else
		return 0;
	if (len < need)
		return 0;
	c = p[0] & (0x7fU >> need);
	for (size_t i = 1; i < need; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[need] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 0;
	*code = c;
	return need;
}
