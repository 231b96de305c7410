/* SPDX-License-Identifier: ISC */
/* Small questions about text that several layers ask. Pure, and the same in every locale. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>

/* No octet above 127. */
bool text_is_ascii(const char *text);
/* Blanks and what can be seen, no controls. */
bool text_is_printable_ascii(const char *text);
/* Both NULL, or the same text. Not for secrets: the time it takes tells where they differ. */
bool text_same(const char *a, const char *b);
/* 0 to 15; -1: no hexadecimal digit */
int text_hex_value(char c);

#endif
