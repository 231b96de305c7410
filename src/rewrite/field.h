/* SPDX-License-Identifier: ISC */
/*
 * One field of a message's header: its addresses rewritten where they stand (RFC 5322 3.4), everything else
 * (names, comments, groups, folding, encoded words) as it was. Only a comment in the middle of an address
 * goes with it. Pure.
 */
#ifndef REWRITE_FIELD_H
#define REWRITE_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "rewrite/rules.h"

/* From, Sender, Reply-To and their Resent- forms (RFC 5322 3.6.2, 3.6.6): who it is from. Any case. */
bool field_names_sender(const char *name, size_t len);
/* Whether the name is one of remove_headers. */
bool field_is_removed(const struct rewrite_rules *r, const char *name, size_t len);

enum field_outcome {
	FIELD_SAME, /* nothing was added to out */
	FIELD_CHANGED, /* out got the field, and the original behind it if the rules keep it */
	FIELD_UNREADABLE, /* no list of addresses: e says why; nothing was added */
	FIELD_INVALID /* a new address cannot be one, or out is too small: e says it; out is of no use */
};

/* The whole field with its line end, folded or not. utf8: SMTPUTF8 is in effect. */
enum field_outcome field_rewrite(const struct rewrite_rules *r, const char *field, size_t len, bool utf8,
				 struct buf *out, struct err *e);

#endif
