/* SPDX-License-Identifier: ISC */
/* See proctitle.h. Linux shows the memory argv came in; we write there. */
#include "base/proctitle.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

static char *area; /* where the kernel put argv and, right behind it, environ */
static size_t area_len;

void proctitle_init(int argc, char **argv)
{
	char *end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;
	size_t n = 0;
	char **moved;

	for (char **p = environ; p && *p; p++, n++)
		if (*p == end)
			end += strlen(*p) + 1;
	/* the environment gives its room; what still uses it reads the copy */
	moved = mem_array(n + 1, sizeof(*moved));
	for (size_t i = 0; i < n; i++)
		moved[i] = mem_strdup(environ[i]);
	environ = moved;
	area = argv[0];
	area_len = (size_t)(end - area);
}

void proctitle_set(const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int n;

	if (!area)
		return;
	n = snprintf(text, sizeof(text), "posthoused: ");
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	memset(area, 0, area_len);
	memcpy(area, text, strlen(text) < area_len ? strlen(text) : area_len - 1);
}
