/* SPDX-License-Identifier: ISC */
/*
 * The extensions of SMTP that this program knows (RFC 5321 2.2), by the
 * keywords EHLO is answered with: one table for what a listener may offer,
 * what a handler takes, what a configuration may switch off. A set of them is
 * a number with a bit each. Pure.
 */
#ifndef SMTP_EXTENSION_H
#define SMTP_EXTENSION_H

#include <stddef.h>

/* In the order in which they are announced. */
enum smtp_extension {
	SMTP_PIPELINING, /* RFC 2920 */
	SMTP_SIZE, /* RFC 1870 */
	SMTP_STARTTLS, /* RFC 3207 */
	SMTP_AUTH, /* RFC 4954 */
	SMTP_XCLIENT, /* Postfix's */
	SMTP_ETRN, /* RFC 1985 */
	SMTP_8BITMIME, /* RFC 6152 */
	SMTP_ENHANCEDSTATUSCODES, /* RFC 2034 */
	SMTP_DSN, /* RFC 3461 */
	SMTP_SMTPUTF8, /* RFC 6531 */
	SMTP_REQUIRETLS, /* RFC 8689 */
	SMTP_CHUNKING, /* RFC 3030 */
	SMTP_BINARYMIME, /* RFC 3030 */
	SMTP_DELIVERBY, /* RFC 2852 */
	SMTP_LIMITS, /* RFC 9422 */
	SMTP_VRFY, /* a command of RFC 5321 4.1.1.6 */
	SMTP_EXPN, /* a command of RFC 5321 4.1.1.7 */
	SMTP_HELP /* a command of RFC 5321 4.1.1.8 */
};
#define SMTP_EXTENSION_COUNT (SMTP_HELP + 1)
/* In that order */
#define SMTP_EXTENSION_NAMES                                                                                 \
	"PIPELINING", "SIZE", "STARTTLS", "AUTH", "XCLIENT", "ETRN", "8BITMIME", "ENHANCEDSTATUSCODES",      \
		"DSN", "SMTPUTF8", "REQUIRETLS", "CHUNKING", "BINARYMIME", "DELIVERBY", "LIMITS", "VRFY",    \
		"EXPN", "HELP"

#define SMTP_EXTENSION_BIT(x) (1u << (x))

extern const char *const smtp_extension_names[SMTP_EXTENSION_COUNT];

#endif
