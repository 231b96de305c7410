/* SPDX-License-Identifier: ISC */
/*
 * Messages in one text file, in the variant mboxrd: a line "From sender date"
 * before each message, an empty line behind it, LF line ends, and one '>' more
 * in front of every line of the message that is some '>'s and "From ". Pure, and
 * streams: however the text is cut, and no line is too long.
 */
#ifndef CLI_MBOX_H
#define CLI_MBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * "From sender Sun Nov 22 20:10:21 2026" (UTC) and LF; the sender without what could end or split the line.
 */
bool mbox_put_separator(const char *sender, int64_t wall_us, struct buf *out);

struct mbox_writer {
	bool after_cr; /* a CR was held back */
	bool line_start; /* nothing but '>'s since the line began */
	size_t matched; /* octets of "From " held back */
	bool line_ended; /* the last octet was a line's end, or there was none */
};
void mbox_writer_init(struct mbox_writer *w);
/* Canonical content (CRLF) as it stands in an mbox; false when out's ceiling is passed. */
bool mbox_write(struct mbox_writer *w, const char *data, size_t len, struct buf *out);
/* What was held back, the last line's end if it has none, and the empty line. */
bool mbox_write_end(struct mbox_writer *w, struct buf *out);

struct mbox_reader {
	/*
	 * begin: a message begins; text: more of the current one, unquoted, line ends as they are. False ends
	 * it (after begin's it may go on: rest).
	 */
	bool (*begin)(void *ctx);
	bool (*text)(void *ctx, const char *data, size_t len);
	void *ctx;
	enum { MBOX_LINE_START, MBOX_QUOTES, MBOX_FROM, MBOX_LINE, MBOX_SEPARATOR } state;
	size_t quotes, matched;
	bool any; /* a message has begun */
	bool after_blank; /* the last line was empty, or there is none yet */
	char blank[3]; /* that empty line, held back: it may belong to the separator behind it */
	bool stray; /* there was text before the first separator: not an mbox */
	const char *rest; /* after a false that begin caused: where the data goes on with that message */
};
void mbox_reader_init(struct mbox_reader *r, bool (*begin)(void *ctx),
		      bool (*text)(void *ctx, const char *data, size_t len), void *ctx);
bool mbox_read(struct mbox_reader *r, const char *data, size_t len);
bool mbox_read_end(struct mbox_reader *r);

#endif
