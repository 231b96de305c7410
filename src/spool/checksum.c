/* SPDX-License-Identifier: ISC */
/* See checksum.h. */
#include "spool/checksum.h"

#include <xxhash.h>

#include "base/assert.h"

struct checksum; /* is an XXH3_state_t: the library wants its own alignment */

static XXH3_state_t *state_of(const struct checksum *c)
{
	return (XXH3_state_t *)(uintptr_t)c;
}

struct checksum *checksum_new(void)
{
	XXH3_state_t *state = XXH3_createState();

	ASSERT(state && XXH3_64bits_reset(state) == XXH_OK);
	return (struct checksum *)(void *)state;
}

void checksum_free(struct checksum *c)
{
	if (c)
		XXH3_freeState(state_of(c));
}

void checksum_add(struct checksum *c, const void *data, size_t len)
{
	ASSERT(XXH3_64bits_update(state_of(c), data, len) == XXH_OK);
}

uint64_t checksum_value(const struct checksum *c)
{
	return XXH3_64bits_digest(state_of(c));
}

uint64_t checksum_of(const void *data, size_t len)
{
	return XXH3_64bits(data, len);
}
