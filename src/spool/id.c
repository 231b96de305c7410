/* SPDX-License-Identifier: ISC */
/* See id.h. */
#include "spool/id.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/clock.h"

#define TIME_CHARS 11 /* 55 bits of microseconds: until the year 3111 */
#define RANDOM_CHARS 5

/* Crockford's: no i, l, o, u; in ASCII order, so that text sorts as the number does */
static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

_Static_assert(TIME_CHARS + RANDOM_CHARS == SPOOL_ID_LEN, "the parts make the whole");

void spool_id_new(struct spool_id *id)
{
	static int64_t last_us;
	int64_t now_us = clock_wall_us();
	uint32_t noise;
	uint64_t t;

	/* a clock that stands still or steps back does not take our order with it */
	if (now_us <= last_us)
		now_us = last_us + 1;
	last_us = now_us;
	ASSERT(getrandom(&noise, sizeof(noise), 0) == sizeof(noise));
	t = (uint64_t)now_us;
	for (int i = TIME_CHARS - 1; i >= 0; i--, t >>= 5)
		id->text[i] = digits[t & 31];
	for (int i = TIME_CHARS; i < SPOOL_ID_LEN; i++, noise >>= 5)
		id->text[i] = digits[noise & 31];
	id->text[SPOOL_ID_LEN] = '\0';
}

static int digit_value(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

bool spool_id_is_valid(const char *text)
{
	for (int i = 0; i < SPOOL_ID_LEN; i++)
		if (digit_value(text[i]) < 0)
			return false;
	return text[SPOOL_ID_LEN] == '\0';
}

int64_t spool_id_wall_us(const char *text)
{
	uint64_t t = 0;

	for (int i = 0; i < TIME_CHARS; i++)
		t = t << 5 | (uint64_t)digit_value(text[i]);
	return (int64_t)t;
}

void spool_id_pack(const char *text, unsigned char packed[10])
{
	memset(packed, 0, 10);
	for (unsigned i = 0; i < SPOOL_ID_LEN; i++) {
		unsigned value = (unsigned)digit_value(text[i]);

		for (unsigned b = 0; b < 5; b++) {
			unsigned bit = i * 5 + b;

			if (value >> (4 - b) & 1)
				packed[bit / 8] |= (unsigned char)(0x80u >> bit % 8);
		}
	}
}

void spool_id_unpack(const unsigned char packed[10], struct spool_id *id)
{
	for (unsigned i = 0; i < SPOOL_ID_LEN; i++) {
		unsigned value = 0;

		for (unsigned b = 0; b < 5; b++) {
			unsigned bit = i * 5 + b;

			value = value << 1 | ((unsigned)packed[bit / 8] >> (7 - bit % 8) & 1u);
		}
		id->text[i] = digits[value];
	}
	id->text[SPOOL_ID_LEN] = '\0';
}
