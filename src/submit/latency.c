/* SPDX-License-Identifier: ISC */
/* See latency.h: buckets as wide as their values are large. */
#include "submit/latency.h"

#include <stddef.h>

#define STEPS (1u << LATENCY_STEPS_BITS)

static size_t bucket_of(uint64_t us)
{
	unsigned power;

	if (us < STEPS)
		return us;
	if (us >> LATENCY_TOP_BITS)
		return LATENCY_BUCKETS - 1;
	power = 63 - (unsigned)__builtin_clzll(us); /* LATENCY_STEPS_BITS or more */
	return ((size_t)(power - LATENCY_STEPS_BITS + 1) << LATENCY_STEPS_BITS) +
	       ((us >> (power - LATENCY_STEPS_BITS)) & (STEPS - 1));
}

/* The largest value in it. */
static uint64_t bucket_end(size_t i)
{
	unsigned shift;

	if (i < 2 * STEPS)
		return i;
	shift = (unsigned)(i >> LATENCY_STEPS_BITS) - 1;
	return ((((uint64_t)i & (STEPS - 1)) + STEPS + 1) << shift) - 1;
}

void latency_add(struct latency *l, int64_t us)
{
	uint64_t value = us > 0 ? (uint64_t)us : 0;

	l->bucket[bucket_of(value)]++;
	l->count++;
	l->sum_us += value;
	if (value > l->max_us)
		l->max_us = value;
}

uint64_t latency_percentile_us(const struct latency *l, double percent)
{
	double wanted = (double)l->count * percent / 100;
	uint64_t seen = 0;

	for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
		seen += l->bucket[i];
		if (seen > 0 && (double)seen >= wanted)
			return i < LATENCY_BUCKETS - 1 && bucket_end(i) < l->max_us ? bucket_end(i)
										    : l->max_us;
	}
	return l->max_us;
}
