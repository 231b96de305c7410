/* SPDX-License-Identifier: ISC */
/*
 * A growing byte buffer with a ceiling: what a stranger feeds can never grow
 * it past the size its owner chose. The bytes are always followed by a NUL
 * that does not count, so text in it can be read as a string.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data; /* owned; never NULL after buf_init */
	size_t len;
	size_t cap; /* bytes allocated, 0 while data is the shared empty string */
	size_t ceiling; /* len never passes this */
};

/* Storage is the caller's; nothing is allocated before the first byte. */
void buf_init(struct buf *b, size_t ceiling_bytes);
void buf_release(struct buf *b); /* frees; the buffer is as after buf_init */
void buf_clear(struct buf *b); /* empties, keeps the memory */
void buf_wipe(struct buf *b); /* overwrites, then releases: for what held a secret */

/* Each adds all of it, or nothing and returns false when the ceiling would be passed. */
bool buf_add(struct buf *b, const void *data, size_t len);
bool buf_addc(struct buf *b, char c);
bool buf_adds(struct buf *b, const char *text);
bool buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool buf_vaddf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* Drops the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);

#endif
