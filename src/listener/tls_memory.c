/* SPDX-License-Identifier: ISC */
/* See tls_memory.h. */
#include "listener/tls_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static void *wiping_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(size);
}

static void wiping_free(void *memory, const char *file, int line)
{
	(void)file;
	(void)line;
	if (memory)
		explicit_bzero(memory, malloc_usable_size(memory));
	free(memory);
}

/* realloc() would leave a copy behind where it moves. */
static void *wiping_realloc(void *memory, size_t size, const char *file, int line)
{
	size_t old = memory ? malloc_usable_size(memory) : 0;
	void *grown;

	if (size > 0 && size <= old)
		return memory;
	grown = size > 0 ? malloc(size) : NULL;
	if (size > 0 && !grown)
		return NULL;
	if (grown && memory)
		memcpy(grown, memory, old);
	wiping_free(memory, file, line);
	return grown;
}

bool tls_memory_wipe_freed(void)
{
	return CRYPTO_set_mem_functions(wiping_malloc, wiping_realloc, wiping_free) == 1;
}
