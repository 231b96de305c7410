/* SPDX-License-Identifier: ISC */
/*
 * Text and files as they stand in a message (MIME, RFC 2045 to 2047, 2231):
 * header fields, parameters, bodies. Pure; appends to buffers with ceilings,
 * and is false when one is passed.
 */
#ifndef SUBMIT_MIME_H
#define SUBMIT_MIME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* ---- the header ----------------------------------------------------------------- */

/* What may stand in a header field: UTF-8 without controls. */
bool mime_is_header_text(const char *text);
/*
 * "Name: value" of free text (RFC 5322 2.2.1), CRLF ended: folded at its blanks, or as encoded words (RFC
 * 2047) when it is not ASCII, looks like some, or cannot be folded. The caller knows that it is
 * mime_is_header_text.
 */
bool mime_field(const char *name, const char *value, struct buf *out);
/*
 * A field of addresses (RFC 5322 3.4) from lists as people write them: names that are not ASCII become
 * encoded words, and addresses that are not are left as they are, with *utf8 set (RFC 6532). No field without
 * an address: -1 and e says what is wrong with which list.
 */
int mime_field_addresses(const char *name, char *const *list, size_t count, bool *utf8, struct buf *out,
			 struct err *e);
/* Encoded words for UTF-8, a word a line; the first begins in that column of its line, or on the next one. */
bool mime_encoded_words(const char *text, size_t column, struct buf *out);
/* ";", and on a line of its own name="value", or as RFC 2231 has it when value is not ASCII, or long. */
bool mime_parameter(const char *name, const char *value, struct buf *out);

/* ---- bodies ----------------------------------------------------------------------- */

enum mime_encoding { MIME_AUTO, MIME_7BIT, MIME_8BIT, MIME_QUOTED_PRINTABLE, MIME_BASE64 };
#define MIME_ENCODING_COUNT (MIME_BASE64 + 1)
extern const char *const
	mime_encoding_names[MIME_ENCODING_COUNT]; /* "auto", and as Content-Transfer-Encoding says them */

/* What decides how octets may travel (RFC 2045 2.7 to 2.9); found piece by piece, {0} at first. */
struct mime_nature {
	bool eightbit, nul;
	bool bare_cr; /* a CR that no LF follows */
	size_t escapes; /* octets that quoted-printable cannot leave as they are */
	size_t octets, line, longest_line; /* without line ends */
	bool after_cr;
};
void mime_look(struct mime_nature *n, const char *data, size_t len);
/* The encoding that needs no 8BITMIME and, of two, is the shorter one. */
enum mime_encoding mime_choose(const struct mime_nature *n);
/*
 * Whether it can be sent without any: what an attached message must be (RFC 2046 5.2.1), lines up to 998
 * octets.
 */
bool mime_is_plain(const struct mime_nature *n);

/* Base64 in lines of 76; {0} at first, however the data is cut. */
struct mime_base64 {
	unsigned char held[3];
	size_t held_len, column;
};
bool mime_base64_write(struct mime_base64 *b, const char *data, size_t len, struct buf *out);
bool mime_base64_end(struct mime_base64 *b, struct buf *out);
/* A whole text, line ends of any kind; the last line gets one if it has none. */
bool mime_quoted_printable(const char *text, size_t len, struct buf *out);

/* "image/png", by the end of a file's name; application/octet-stream when it says nothing. */
const char *mime_type_of(const char *file_name);
/* "type/subtype", both tokens (RFC 2045 5.1), without parameters. */
bool mime_type_is_valid(const char *type);

#endif
