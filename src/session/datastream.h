/* SPDX-License-Identifier: ISC */
/*
 * The content of DATA (RFC 5321 4.5.2): takes the dots out that the client
 * stuffed and finds the end, however the stream is cut into pieces. Also the
 * lines of BDAT, which has neither. Pure.
 *
 * Only CRLF ends a line and only CRLF "." CRLF ends the data (2.3.8, 4.1.1.4).
 * A CR or LF that stands alone never does, in either mode, and no dot behind
 * one counts: this is what keeps two messages from being smuggled in one.
 */
#ifndef SESSION_DATASTREAM_H
#define SESSION_DATASTREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "session/session.h" /* enum bare_newline */

/* What was met that does not belong into a message; stays set until the next init. */
enum datastream_fault { DATASTREAM_BARE_CR = 1, DATASTREAM_BARE_LF = 2, DATASTREAM_NUL = 4 };

enum datastream_state {
	DATASTREAM_LINE_START, /* behind CRLF, or nothing came yet */
	DATASTREAM_TEXT, /* inside a line */
	DATASTREAM_CR, /* a CR was held back: CRLF or a bare CR */
	DATASTREAM_DOT, /* "." at the start of a line was held back */
	DATASTREAM_DOT_CR /* "." CR at the start of a line were held back */
};

struct datastream {
	enum bare_newline bare_newline;
	bool dots; /* stuffed ones, and one at the end; else a dot is a dot, and the end is told in another way */
	enum datastream_state state;
	unsigned faults; /* enum datastream_fault */
};

enum datastream_event {
	DATASTREAM_CHUNK, /* *out is the next piece of the content, in the input or constant */
	DATASTREAM_MORE, /* all input was used */
	DATASTREAM_END /* the end of data was found; *at stands behind it */
};

void datastream_init(struct datastream *ds, bool dots, enum bare_newline mode);

/*
 * Takes the next piece out of [*at, end) and moves *at. Pieces are as large as
 * the input allows: one whole block when no line in it begins with a dot. With
 * BARE_NEWLINE_NORMALIZE a bare CR or LF comes out as CRLF; with _REJECT it
 * comes out as it is, and the caller looks at faults.
 */
enum datastream_event datastream_next(struct datastream *ds, const char **at, const char *end,
				      const char **out, size_t *out_len);

/* Without dots, when the last octet was taken: a CR that was held back, as a piece. False: there is none. */
bool datastream_finish(struct datastream *ds, const char **out, size_t *out_len);

#endif
