/* SPDX-License-Identifier: ISC */
/*
 * Memory that is there or the process is not: running out of memory ends the
 * process with a message (nothing acknowledged is lost, the master restarts
 * it). Every size that a stranger controls has a ceiling before it gets here.
 * None of these returns NULL; what they return is released with free().
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>

void *mem_alloc(size_t size_bytes); /* zeroed */
void *mem_array(size_t count, size_t size_bytes); /* zeroed, checked for overflow */
void *mem_resize(void *old, size_t count, size_t size_bytes);
char *mem_strdup(const char *text);
char *mem_strdup_or_null(const char *text); /* of NULL: NULL, and then alone */
char *mem_strndup(const char *text, size_t len);
/* printf into a fresh string */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
