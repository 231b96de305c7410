/* SPDX-License-Identifier: ISC */
/*
 * The content of one message on its way into the output buffer: read from
 * the transaction's source piece by piece; for DATA dot-stuffed where it must
 * be (RFC 5321 4.5.2), and ended with CRLF "." CRLF. Memory does not grow with
 * the message. No socket; the source may read a disk.
 */
#ifndef UPSTREAM_CONTENT_H
#define UPSTREAM_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "upstream/upstream.h"

#define CONTENT_ROOM_MIN 64 /* content_write needs this much to make progress */

struct content {
	uint64_t offset; /* of the next byte to read */
	char last[2]; /* the last two bytes read: whether the content ends with CRLF */
	bool chunk; /* as it is: its length was said before (BDAT), so nothing is stuffed and no dot ends it */
};

enum content_result {
	CONTENT_MORE, /* the room is used, there is more to write */
	CONTENT_END, /* all of it was written, and the final dot where there is one */
	CONTENT_FAILED /* the source failed, e says how; what was written must never get its final dot */
};

void content_init(struct content *c, bool chunk);
/* Writes at most room bytes (>= CONTENT_ROOM_MIN) to out; *written says how many. */
enum content_result content_write(struct content *c, struct upstream_txn *t, char *out, size_t room,
				  size_t *written, struct err *e);

/* What it is made of, for who has the content by the piece (talk.c). */

#define CONTENT_BEGIN "\r\n" /* `last` before the first piece: an empty message is at the start of a line */

/* Keeps the last two octets of all pieces so far in last; len > 0. */
void content_remember_last(char last[2], const char *data, size_t len);
/*
 * Doubles the dot at each line start. A bare LF counts as a line start too:
 * there is none in what we accept, and if there were, a server that takes it
 * for a line end must not find an end of data behind it.
 * out has room for twice len; returns the octets written.
 */
size_t content_stuff(const char *data, size_t len, bool at_line_start, char *out);
#define CONTENT_FINISH_MAX 5
/* The end of data behind content that ends with last; returns its length. */
size_t content_finish(const char last[2], char out[CONTENT_FINISH_MAX]);

#endif
