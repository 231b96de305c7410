/* SPDX-License-Identifier: ISC */
/*
 * The end of a message's header in a stream, however it is cut: the first
 * empty line. Lines end with CRLF, so a CR at the start of one is it. Pure.
 */
#ifndef HANDLER_BLANK_LINE_H
#define HANDLER_BLANK_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct blank_line {
	bool inside; /* a line: the last octet did not end one; false at the start of the content */
};

/*
 * Looks through a piece: the offset of the empty line's CR, or len when it does not begin here. Not to be
 * asked again then.
 */
size_t blank_line_find(struct blank_line *b, const char *data, size_t len);

#endif
