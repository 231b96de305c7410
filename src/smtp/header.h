/* SPDX-License-Identifier: ISC */
/*
 * The header section of a message (RFC 5322 2.2) as a list of fields, and
 * the addresses in a field (3.4). Pure; lenient where RFC 5322 4 (obsolete
 * syntax) is, because what people feed to a mail command is.
 */
#ifndef SMTP_HEADER_H
#define SMTP_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct header_field {
	const char *name; /* not NUL terminated */
	size_t name_len;
	const char *value; /* behind the colon, folding and line end still in it */
	size_t value_len;
	size_t raw_len; /* of the whole field, from name, line end included */
};

/*
 * The next field at *at, which moves behind it. False at the end: the empty
 * line, the end of the text, or a line that is no field.
 */
bool header_next(const char **at, const char *end, struct header_field *f);
bool header_is(const struct header_field *f, const char *name); /* any case */
/* A line (without its end) that begins a field: a name and a colon. */
bool header_is_field_line(const char *line, size_t len);
/* The value without folding, and without space around it, appended. */
void header_unfold(const struct header_field *f, struct buf *out);

/*
 * Calls each(ctx, address) for every mailbox of an address list: display
 * names, comments, routes and group names are left out. "<>" arrives as "".
 * -1 and e when it is no address list, or each() returned false (e is then
 * each's).
 */
int header_addresses(const char *value, size_t len,
		     bool (*each)(void *ctx, const char *address, struct err *e), void *ctx, struct err *e);
/* An address of a list, and where it stands in it. */
struct listed_address {
	const char *address; /* comments, white space and route left out; "" for <> */
	size_t at, len; /* octets of the value from its first to its last one: what to replace by another address */
};
/* The same, with the places. */
int header_address_list(const char *value, size_t len,
			bool (*each)(void *ctx, const struct listed_address *listed, struct err *e), void *ctx,
			struct err *e);
/* Nothing in it that could break out of MAIL FROM:<...>: no control, no bracket or space outside quotes. */
bool address_is_safe(const char *address);

#define ADDRESS_MAX 254 /* RFC 5321 4.5.3.1.3: a path of 256 with its brackets */

#endif
