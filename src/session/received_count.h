/* SPDX-License-Identifier: ISC */
/*
 * Counts the Received: fields in the header section of a message that comes
 * in pieces, to recognise mail that goes round in circles (RFC 5321 6.3). Pure.
 */
#ifndef SESSION_RECEIVED_COUNT_H
#define SESSION_RECEIVED_COUNT_H

#include <stdbool.h>
#include <stddef.h>

struct received_count {
	unsigned fields; /* so far */
	unsigned matched; /* octets of "received" matched on this line, or one of the states in the .c file */
};

void received_count_init(struct received_count *rc);
/* Lines ended by CRLF. Cheap once the empty line behind the header section has passed. */
void received_count_add(struct received_count *rc, const char *data, size_t len);

#endif
