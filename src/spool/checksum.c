/* SPDX-License-Identifier: ISC */
/* See checksum.h. */
#include "spool/checksum.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
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

static void format_seal(const char *text, size_t len, char seal[CHECKSUM_SEAL_LEN + 1])
{
	snprintf(seal, CHECKSUM_SEAL_LEN + 1, "xxh3=%016" PRIx64 "\n", checksum_of(text, len));
}

bool checksum_seal(struct buf *text)
{
	char seal[CHECKSUM_SEAL_LEN + 1];

	format_seal(text->data, text->len, seal);
	return buf_adds(text, seal);
}

bool checksum_is_sealed(const char *text, size_t len)
{
	char seal[CHECKSUM_SEAL_LEN + 1];

	if (len < CHECKSUM_SEAL_LEN)
		return false;
	format_seal(text, len - CHECKSUM_SEAL_LEN, seal);
	return memcmp(text + len - CHECKSUM_SEAL_LEN, seal, CHECKSUM_SEAL_LEN) == 0;
}
