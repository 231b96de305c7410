/* SPDX-License-Identifier: ISC */
/*
 * The one notation for records that people and programs read: log lines, the
 * envelope of a queued message, its delivery state.
 *
 *   line  = pair *( SP pair )
 *   pair  = key "=" ( token / quoted )
 *   key   = 1*( a-z / 0-9 / "_" )
 *   token = *( %x21-7E except DQUOTE and "\" )       ; may be empty
 *   quoted = DQUOTE *( %x20-7E except DQUOTE and "\" / "\" ( DQUOTE / "\" / "x" 2HEXDIG ) ) DQUOTE
 *
 * Every byte a stranger sent that is not printable ASCII is written \xHH inside
 * quotes, so no value can forge a pair or a line. Pure: bytes in, bytes out.
 */
#ifndef BASE_KV_H
#define BASE_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Appends key=value to b, with a space before it unless b is empty or ends
 * with a newline. False (and nothing added) when b's ceiling would be passed.
 */
bool kv_put(struct buf *b, const char *key, const char *value, size_t len);
bool kv_puts(struct buf *b, const char *key, const char *value); /* NULL reads as "" */
bool kv_puti(struct buf *b, const char *key, int64_t value);

enum kv_result {
	KV_PAIR, /* one pair was read */
	KV_END, /* nothing is left */
	KV_BAD /* not this notation; *at stays where it went wrong */
};

struct kv_pair {
	const char *key; /* NUL terminated, inside the line */
	char *value; /* decoded, NUL terminated, inside the line; may hold NUL bytes */
	size_t len;
};

/*
 * Reads the next pair of the line [*at, end) and moves *at behind it. Decodes
 * in place: the line is overwritten, and end must be writable (it receives a
 * NUL). The pair is valid as long as the line is.
 */
enum kv_result kv_next(char **at, char *end, struct kv_pair *pair);

#endif
