/* SPDX-License-Identifier: ISC */
/* application/x-www-form-urlencoded, as the requests of OAuth 2 are written (RFC 6749 appendix B). Pure. */
#ifndef BASE_FORM_H
#define BASE_FORM_H

#include <stdbool.h>

#include "base/buf.h"

#define FORM_MAX (128 << 10) /* octets of a whole one */

/* Appends "&name=value", encoded; the "&" only behind another one. False, and nothing added: it does not fit. */
bool form_add(struct buf *out, const char *name, const char *value);

#endif
