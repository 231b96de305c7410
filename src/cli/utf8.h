/* SPDX-License-Identifier: ISC */
/* UTF-8 (RFC 3629) as far as showing strangers' text needs it. Pure. */
#ifndef CLI_UTF8_H
#define CLI_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Octets of the well-formed character at the start of text, and its code
 * point; 0 when there is none (overlong, surrogate, cut off, beyond U+10FFFF,
 * or len is 0).
 */
size_t utf8_decode(const char *text, size_t len, uint32_t *code_point);

#endif
