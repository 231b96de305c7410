/* SPDX-License-Identifier: ISC */
/*
 * The content of a message on its way: fields of its header rewritten or taken out, everything else passed as
 * it came, in the pieces it came in. Ends with the header: the empty line, or a line that is no field. Not
 * more than one field is kept in memory, up to FILTER_FIELD_MAX octets; a longer one passes unchanged and is
 * counted. Pure.
 */
#ifndef REWRITE_HEADER_FILTER_H
#define REWRITE_HEADER_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "rewrite/rules.h"

#define FILTER_FIELD_MAX (64u << 10)
#define FILTER_OUT_MAX (4 * FILTER_FIELD_MAX) /* of a field that was rewritten, with its original */

enum filter_result {
	FILTER_OK,
	FILTER_STOPPED, /* put() said no */
	FILTER_INVALID /* a rewritten address cannot be one: why says it */
};

struct header_filter {
	const struct rewrite_rules *rules;
	bool utf8; /* SMTPUTF8 is in effect */
	/* takes what leaves, never empty; false to stop */
	bool (*put)(void *ctx, const char *data, size_t len);
	void *ctx;

	int state; /* enum place in header_filter.c */
	int action; /* enum action */
	bool in_field; /* a line that begins with white space goes on with it */
	struct buf held; /* a field, or the beginning of one */
	/* what came of it */
	unsigned rewritten, removed, skipped; /* fields */
	struct err why; /* of FILTER_INVALID, else of the first field that was skipped */
};

void header_filter_init(struct header_filter *f, const struct rewrite_rules *rules, bool utf8,
			bool (*put)(void *ctx, const char *data, size_t len), void *ctx);
void header_filter_release(struct header_filter *f);

/* After anything but FILTER_OK the filter is only to be released. */
enum filter_result header_filter_feed(struct header_filter *f, const char *data, size_t len);
/* There is no more. */
enum filter_result header_filter_finish(struct header_filter *f);

#endif
