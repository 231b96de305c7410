/* SPDX-License-Identifier: ISC */
/*
 * The parameters behind the path of MAIL and RCPT (RFC 5321 4.1.2):
 *
 *   Mail-parameters = esmtp-param *(SP esmtp-param)
 *   esmtp-param     = esmtp-keyword ["=" esmtp-value]
 *   esmtp-keyword   = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
 *   esmtp-value     = 1*(%d33-60 / %d62-126 / UTF8-non-ascii)        ; RFC 6531 3.3
 *
 * Syntax only: which keywords there are and what they mean is the session's
 * business. Several spaces are taken for one. Pure.
 */
#ifndef SMTP_PARAMS_H
#define SMTP_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

#define SMTP_PARAMS_MAX 16 /* in one command; all registered ones together are fewer */

struct smtp_param {
	const char *keyword; /* inside the parsed text, as sent */
	size_t keyword_len;
	const char *value; /* NULL when there is no "=" */
	size_t value_len;
};

struct smtp_params {
	struct smtp_param item[SMTP_PARAMS_MAX];
	size_t count;
};

/*
 * Reads what stands behind a path: nothing, or a space and parameters. 0, or
 * -1 and *why, a constant phrase for the 501 reply; a keyword that comes
 * twice is an error. The text must outlive the result.
 */
int smtp_params_parse(const char *text, size_t len, struct smtp_params *out, const char **why);

/* Keywords are compared without regard to case. */
bool smtp_param_is(const struct smtp_param *p, const char *keyword);
bool smtp_param_value_is(const struct smtp_param *p, const char *value);

/* All of them in upper case, separated by one space; NULL when there is none; the caller frees it. */
char *smtp_params_text(const struct smtp_params *params);

#endif
