/* SPDX-License-Identifier: ISC */
/* Parts of a queued message's content, onto standard output or into memory. */
#ifndef CLI_CONTENT_H
#define CLI_CONTENT_H

#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/term.h"
#include "spool/message.h"

#define CONTENT_HEADER_MAX (4u << 20) /* a larger header is shown up to here, and counts as body from here */

enum content_part {
	CONTENT_ALL,
	CONTENT_HEADER, /* up to the empty line, without it */
	CONTENT_BODY /* behind the empty line; nothing when there is none */
};

/*
 * Appends the header to out; *body_offset, if not NULL, is where the body
 * begins in the content.
 */
int content_header(const struct spool_message *m, struct buf *out, uint64_t *body_offset, struct err *e);

/*
 * Writes a part: octet for octet when term is NULL, else escaped for that
 * terminal, CRLF as a line end. Write errors stay in out (ferror).
 */
int content_put(const struct spool_message *m, enum content_part part, const struct term *term, FILE *out,
		struct err *e);

#endif
