/* SPDX-License-Identifier: ISC */
/* See buf.h. */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

static char empty[1];

void buf_init(struct buf *b, size_t ceiling_bytes)
{
	b->data = empty;
	b->len = 0;
	b->cap = 0;
	b->ceiling = ceiling_bytes;
}

void buf_release(struct buf *b)
{
	if (b->cap)
		free(b->data);
	buf_init(b, b->ceiling);
}

void buf_wipe(struct buf *b)
{
	if (b->cap)
		explicit_bzero(b->data, b->cap);
	buf_release(b);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->cap)
		b->data[0] = '\0';
}

/* Makes room for `more` bytes and the NUL; false when the ceiling forbids it. */
static bool reserve(struct buf *b, size_t more)
{
	size_t cap;

	if (more > b->ceiling || b->len > b->ceiling - more)
		return false;
	if (b->len + more < b->cap)
		return true;
	cap = b->cap ? b->cap : 64;
	while (cap <= b->len + more)
		cap *= 2;
	b->data = mem_resize(b->cap ? b->data : NULL, cap, 1);
	b->cap = cap;
	return true;
}

bool buf_add(struct buf *b, const void *data, size_t len)
{
	if (!reserve(b, len))
		return false;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return true;
}

bool buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

bool buf_adds(struct buf *b, const char *text)
{
	return buf_add(b, text, strlen(text));
}

bool buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
	char small[256]; /* most is formatted once then */
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, again);
	va_end(again);
	ASSERT(n >= 0);
	if ((size_t)n < sizeof(small))
		return buf_add(b, small, (size_t)n);
	if (!reserve(b, (size_t)n))
		return false;
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return true;
}

bool buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	ok = buf_vaddf(b, fmt, ap);
	va_end(ap);
	return ok;
}

void buf_consume(struct buf *b, size_t n)
{
	ASSERT(n <= b->len);
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len + 1);
}
