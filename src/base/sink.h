/* SPDX-License-Identifier: ISC */
/*
 * Octets on their way into a file descriptor through a fixed buffer. The first
 * failure is remembered and everything after it dropped, so that only the end
 * needs a check.
 */
#ifndef BASE_SINK_H
#define BASE_SINK_H

#include <stddef.h>

struct sink {
	int fd; /* the owner's */
	int os_error; /* errno of the first failure, 0 while there was none */
	size_t len;
	char data[8192];
};

void sink_init(struct sink *s, int fd);
void sink_put(struct sink *s, const void *data, size_t len);
void sink_puts(struct sink *s, const char *text);
/* Writes what is buffered; blocks. 0, or -1 when anything since sink_init failed (see os_error). */
int sink_flush(struct sink *s);

#endif
