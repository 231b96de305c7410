/* SPDX-License-Identifier: ISC */
/*
 * See datastream.h. The long way through a block is scan(), which goes from
 * CR to CR with memchr; the few octets around a line end that the states are
 * about are taken one by one. tests/fuzz/fuzz_datastream.c compares this with
 * a reference that reads octet by octet.
 */
#include "session/datastream.h"

#include <string.h>

static const char crlf[] = "\r\n";

void datastream_init(struct datastream *ds, bool dots, enum bare_newline mode)
{
	ds->dots = dots;
	ds->bare_newline = mode;
	ds->state = DATASTREAM_LINE_START;
	ds->faults = 0;
}

/* The bare octet (in the input or constant) as the mode wants it; only a CRLF starts a line for the dots. */
static void put_bare(struct datastream *ds, enum datastream_fault fault, const char **out, size_t *out_len)
{
	ds->faults |= fault;
	ds->state = DATASTREAM_TEXT;
	if (ds->bare_newline == BARE_NEWLINE_NORMALIZE) {
		*out = crlf;
		*out_len = 2;
	} else {
		*out = fault == DATASTREAM_BARE_CR ? crlf : crlf + 1;
		*out_len = 1;
	}
}

/*
 * Goes over whole lines from p, which is inside a line, and returns where the
 * piece must end: at a bare LF or CR, at a CR that ends the input (its LF may
 * be in the next block), or behind a CRLF that is followed by a dot or by
 * nothing. The state is the one at that place.
 */
static const char *scan(struct datastream *ds, const char *p, const char *end)
{
	ds->state = DATASTREAM_TEXT;
	for (;;) {
		const char *cr = memchr(p, '\r', (size_t)(end - p));
		const char *lf = memchr(p, '\n', (size_t)((cr ? cr : end) - p));

		if (lf)
			return lf;
		if (!cr)
			return end;
		if (cr + 1 == end || cr[1] != '\n')
			return cr;
		p = cr + 2;
		if (p == end || (*p == '.' && ds->dots)) {
			ds->state = DATASTREAM_LINE_START;
			return p;
		}
	}
}

/* LINE_START or TEXT: a piece, or a step into one of the other states without one (false). */
static bool take_text(struct datastream *ds, const char **at, const char *end, const char **out,
		      size_t *out_len)
{
	const char *p = *at;

	if (ds->dots && ds->state == DATASTREAM_LINE_START && *p == '.') {
		ds->state = DATASTREAM_DOT;
		*at = p + 1;
		return false;
	}
	if (*p == '\n') {
		*at = p + 1;
		put_bare(ds, DATASTREAM_BARE_LF, out, out_len);
		return true;
	}
	if (*p == '\r' && (p + 1 == end || p[1] != '\n')) {
		ds->state = DATASTREAM_CR;
		*at = p + 1;
		return false;
	}
	*at = scan(ds, p, end);
	*out = p;
	*out_len = (size_t)(*at - p);
	if (!(ds->faults & DATASTREAM_NUL) && memchr(p, '\0', *out_len))
		ds->faults |= DATASTREAM_NUL;
	return true;
}

enum datastream_event datastream_next(struct datastream *ds, const char **at, const char *end,
				      const char **out, size_t *out_len)
{
	while (*at < end) {
		char o = **at;

		switch (ds->state) {
		case DATASTREAM_LINE_START:
		case DATASTREAM_TEXT:
			if (take_text(ds, at, end, out, out_len))
				return DATASTREAM_CHUNK;
			break;
		case DATASTREAM_CR:
			if (o == '\n') {
				++*at;
				ds->state = DATASTREAM_LINE_START;
				*out = crlf;
				*out_len = 2;
			} else {
				put_bare(ds, DATASTREAM_BARE_CR, out, out_len);
			}
			return DATASTREAM_CHUNK;
		case DATASTREAM_DOT:
			/* any other octet: a stuffed dot, or one to be dropped all the same (4.5.2) */
			if (o == '\r') {
				++*at;
				ds->state = DATASTREAM_DOT_CR;
			} else {
				ds->state = DATASTREAM_TEXT;
			}
			break;
		case DATASTREAM_DOT_CR:
			if (o == '\n') {
				++*at;
				return DATASTREAM_END;
			}
			ds->state = DATASTREAM_CR;
			break;
		}
	}
	return DATASTREAM_MORE;
}

bool datastream_finish(struct datastream *ds, const char **out, size_t *out_len)
{
	if (ds->state != DATASTREAM_CR)
		return false;
	put_bare(ds, DATASTREAM_BARE_CR, out, out_len);
	return true;
}
