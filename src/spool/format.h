/* SPDX-License-Identifier: ISC */
/*
 * The text of a message file: first line and envelope, written by txn.c and
 * read by message.c. Pure: bytes in, bytes out. message.h shows the format.
 */
#ifndef SPOOL_FORMAT_H
#define SPOOL_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "smtp/envelope.h"

/* A reader takes no larger envelope: 50,000 recipients of the longest kind fit. */
#define FORMAT_ENVELOPE_MAX (24u << 20)

struct format_head {
	uint64_t envelope_bytes, content_bytes;
	bool has_dot_lines, has_eightbit;
	uint64_t checksum;
};

#define FORMAT_HEAD_LEN 101 /* octets of the first line, always, LF included */
#define FORMAT_HEAD_HASHED 84 /* of these, how many the checksum covers: up to and with "xxh3=" */

/* Exactly FORMAT_HEAD_LEN octets and a NUL. */
void format_head(const struct format_head *head, char out[FORMAT_HEAD_LEN + 1]);
/* A first line for a file that is still growing: same length, never valid. */
void format_head_unfinished(char out[FORMAT_HEAD_LEN + 1]);
int format_parse_head(const char *line, size_t len, struct format_head *head, struct err *e);

/*
 * Appends the envelope with its closing empty line; false when out's ceiling is passed or an address
 * is one that format_parse_envelope refuses (empty, or with a line end; a space in orcpt). id, arrival,
 * sender and a recipient must be there.
 */
bool format_envelope(const struct envelope *env, struct buf *out);
/* Reads it into an initialised envelope; text is overwritten (kv_next). */
int format_parse_envelope(char *text, size_t len, struct envelope *env, struct err *e);

#endif
