/* SPDX-License-Identifier: ISC */
/*
 * Writing strangers' words (addresses, replies, envelope ids) into a mail:
 * whatever they hold, they end no line, begin no field, make no line longer
 * than RFC 5322 2.1.1 allows and send nothing to a terminal but text. Between
 * report.c and its sink. Pure.
 */
#ifndef MANAGE_REPORT_TEXT_H
#define MANAGE_REPORT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "manage/report.h"

#define REPORT_WORDS_MAX 4000 /* octets of one reply or reason that are passed on; the rest is cut off */

struct report_out {
	report_sink *sink;
	void *ctx;
	bool utf8; /* well-formed UTF-8 may stay; else every octet that is not ASCII becomes '?' */
	bool failed; /* the sink refused: nothing more is written */
	struct err *e;
	struct buf pending;
	size_t column; /* octets of the unfinished line */
};

void report_out_init(struct report_out *o, bool utf8, report_sink *sink, void *ctx, struct err *e);
/* Hands the rest to the sink; 0, or -1 when the sink refused at any time. Releases. */
int report_out_finish(struct report_out *o);

/* Our own words, line ends included ("\r\n"), and the original's octets: as they are. */
void report_raw(struct report_out *o, const char *data, size_t len);
void report_puts(struct report_out *o, const char *text);
void report_printf(struct report_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Words of a stranger, folded: a new line begins with `indent` (white space, so it goes on a header field),
 * runs of white space become one space. At most REPORT_WORDS_MAX octets of it.
 */
void report_words(struct report_out *o, const char *text, const char *indent);
/* An address or another token, with its spaces, on one line; one of an absurd length is treated as words. */
void report_token(struct report_out *o, const char *text, size_t len);

#endif
