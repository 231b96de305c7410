/* SPDX-License-Identifier: ISC */
/*
 * xtext, the notation of ENVID= and ORCPT= (RFC 3461 4), and what these two
 * parameters may hold. Pure.
 *
 *   xtext   = *( xchar / hexchar )
 *   xchar   = any ASCII CHAR between "!" and "~" except "+" and "="
 *   hexchar = "+" followed by two upper-case hexadecimal digits
 */
#ifndef SMTP_XTEXT_H
#define SMTP_XTEXT_H

#include <stdbool.h>
#include <stddef.h>

#define XTEXT_ENVID_MAX 100 /* octets of the decoded ENVID, RFC 3461 4.4 */
#define XTEXT_ORCPT_MAX 500 /* octets of ORCPT= with its keyword: RFC 3461 5.4 */

/*
 * Decodes into out (cap octets with the NUL); the length, or -1: not xtext, or longer. Lower-case digits
 * are taken too.
 */
int xtext_decode(const char *text, size_t len, char *out, size_t cap);

/* text in that notation; the caller frees it. */
char *xtext_encode(const char *text);

/* ENVID's value: xtext that decodes to 1..XTEXT_ENVID_MAX printable ASCII octets. */
bool xtext_is_envid(const char *value, size_t len);
/*
 * ORCPT's value: addr-type ";" address. The address is xtext, or for "utf-8" (RFC 6533 3) utf-8-addr-xtext, with
 * utf8 also utf-8-addr-unitext.
 */
bool xtext_is_orcpt(const char *value, size_t len, bool utf8);

#endif
