/* SPDX-License-Identifier: ISC */
/* Python's repr() of bytes and of ASCII strings, octet by octet. */
#ifndef BASE_PYREPR_H
#define BASE_PYREPR_H

#include <stddef.h>

#include "base/sink.h"

/* Quotes met so far in what is going to be written: it decides which quote stands around it. */
struct pyrepr_quotes {
	unsigned single, twofold;
};

void pyrepr_look(struct pyrepr_quotes *q, char octet);
/* The quote to put at both ends. */
char pyrepr_quote(const struct pyrepr_quotes *q);
/* One octet between them. */
void pyrepr_put(struct sink *out, char octet, char quote);

/* repr(text) whole */
void pyrepr_put_text(struct sink *out, const char *text, size_t len);

#endif
