/* SPDX-License-Identifier: ISC */
/*
 * A module's words as a reply, checked: nothing in them can end a line, begin another reply or wait for an
 * answer (3yz). Pure.
 */
#ifndef MODULE_REPLY_H
#define MODULE_REPLY_H

#include <stdbool.h>

#include "smtp/reply.h"

#define MODULE_REPLY_TEXT_MAX 1000
#define MODULE_REPLY_LINE_MAX 490 /* RFC 5321 4.5.3.1.5: 512 with code, enhanced code and CRLF */

/* False, and *out as it was: code, enhanced code or text cannot be used (posthouse_api.reply). */
bool module_reply_set(struct smtp_reply *out, int code, const char *enhanced, const char *text);
/* "550 5.7.1 Not here" (posthouse_api.push). */
bool module_reply_parse(struct smtp_reply *out, const char *line);

#endif
