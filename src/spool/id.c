/* SPDX-License-Identifier: ISC */
/* See id.h. */
#include "spool/id.h"

#include <stdlib.h>
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

/* Plus 1, 0: none. A million ids are looked at when the relay starts, most of them several times. */
static const unsigned char value_plus_1[256] = {
	['0'] = 1,  ['1'] = 2,	['2'] = 3,  ['3'] = 4,	['4'] = 5,  ['5'] = 6,	['6'] = 7,  ['7'] = 8,
	['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	['g'] = 17, ['h'] = 18, ['j'] = 19, ['k'] = 20, ['m'] = 21, ['n'] = 22, ['p'] = 23, ['q'] = 24,
	['r'] = 25, ['s'] = 26, ['t'] = 27, ['v'] = 28, ['w'] = 29, ['x'] = 30, ['y'] = 31, ['z'] = 32,
};

static int digit_value(char c)
{
	return value_plus_1[(unsigned char)c] - 1;
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

/* 16 characters of 5 bits are two halves of 40, 5 octets each. */
void spool_id_pack(const char *text, unsigned char packed[SPOOL_ID_PACKED])
{
	for (unsigned half = 0; half < 2; half++) {
		uint64_t bits = 0;

		for (unsigned i = 0; i < 8; i++)
			bits = bits << 5 | ((unsigned)digit_value(text[half * 8 + i]) & 31);
		for (unsigned i = 0; i < 5; i++)
			packed[half * 5 + i] = (unsigned char)(bits >> (32 - 8 * i));
	}
}

void spool_id_unpack(const unsigned char packed[SPOOL_ID_PACKED], struct spool_id *id)
{
	for (unsigned half = 0; half < 2; half++) {
		uint64_t bits = 0;

		for (unsigned i = 0; i < 5; i++)
			bits = bits << 8 | packed[half * 5 + i];
		for (unsigned i = 0; i < 8; i++)
			id->text[half * 8 + i] = digits[bits >> (35 - 5 * i) & 31];
	}
	id->text[SPOOL_ID_LEN] = '\0';
}
