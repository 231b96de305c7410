/* SPDX-License-Identifier: ISC */
/* UTF-8 (RFC 3629), read strictly: no overlong form, no surrogate, nothing above U+10FFFF. Pure. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The character at the start of text: its octets (1..4) and *code; 0 when it is malformed, cut short or len is 0. */
size_t utf8_decode(const char *text, size_t len, uint32_t *code);

#endif
