/* SPDX-License-Identifier: ISC */
/* Line ends on their way to a program and back, however the text is cut. Pure. */
#ifndef PROGRAM_LINES_H
#define PROGRAM_LINES_H

#include <stdbool.h>
#include <stddef.h>

/* CRLF becomes LF; CR alone stays. */
struct lines_to_lf {
	bool cr; /* one was read and not written yet */
};
/* Returns the octets written; out has room for len + 1. */
size_t lines_to_lf(struct lines_to_lf *l, const char *data, size_t len, char *out);
size_t lines_to_lf_end(struct lines_to_lf *l, char *out); /* at most 1 */

/* LF and CRLF become CRLF; the last line gets one. */
struct lines_to_crlf {
	bool cr; /* the last octet was CR */
	bool open; /* the last line has not ended */
	bool bad; /* NUL, or CR without LF, was met: this is no text of a message */
};
/* out has room for 2 * len. */
size_t lines_to_crlf(struct lines_to_crlf *l, const char *data, size_t len, char *out);
size_t lines_to_crlf_end(struct lines_to_crlf *l, char *out); /* at most 2 */

#endif
