/* SPDX-License-Identifier: ISC */
/* See alloc.h. Linked by every program; no state. */
#include "base/alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

static _Noreturn void out_of_memory(size_t size_bytes)
{
	fprintf(stderr, "posthouse[%ld]: out of memory (%zu bytes wanted); this process ends\n",
		(long)getpid(), size_bytes);
	_exit(71); /* EX_OSERR */
}

_Noreturn void assert_failed(const char *cond, const char *file, int line)
{
	fprintf(stderr, "posthouse[%ld]: %s:%d: internal error: %s does not hold; this process ends\n",
		(long)getpid(), file, line, cond);
	abort();
}

void *mem_alloc(size_t size_bytes)
{
	return mem_array(1, size_bytes);
}

void *mem_array(size_t count, size_t size_bytes)
{
	void *p = calloc(count ? count : 1, size_bytes ? size_bytes : 1);

	if (!p)
		out_of_memory(size_bytes);
	return p;
}

void *mem_resize(void *old, size_t count, size_t size_bytes)
{
	size_t total;
	void *p;

	if (__builtin_mul_overflow(count, size_bytes, &total))
		out_of_memory(SIZE_MAX);
	p = realloc(old, total ? total : 1);
	if (!p)
		out_of_memory(total);
	return p;
}

char *mem_strdup(const char *text)
{
	return mem_strndup(text, strlen(text));
}

char *mem_strdup_or_null(const char *text)
{
	return text ? mem_strdup(text) : NULL;
}

char *mem_strndup(const char *text, size_t len)
{
	char *p = mem_alloc(len + 1);

	memcpy(p, text, len);
	return p;
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory(0);
	return text;
}
