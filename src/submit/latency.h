/* SPDX-License-Identifier: ISC */
/*
 * How long things took, as a histogram: any number of values in some
 * kilobytes, percentiles to 1 % of their value. Pure.
 */
#ifndef SUBMIT_LATENCY_H
#define SUBMIT_LATENCY_H

#include <stdint.h>

#define LATENCY_STEPS_BITS 7 /* 128 steps in each power of two */
#define LATENCY_TOP_BITS 40 /* 12 days in microseconds; what is longer counts as that */
#define LATENCY_BUCKETS ((LATENCY_TOP_BITS - LATENCY_STEPS_BITS + 1) << LATENCY_STEPS_BITS)

/* {0} at first */
struct latency {
	uint64_t count, max_us, sum_us;
	uint32_t bucket[LATENCY_BUCKETS];
};

/* Less than 0 is 0: a clock that was read too early. */
void latency_add(struct latency *l, int64_t us);
/* So many per cent of the values, 0 < percent <= 100, are not above it; 0 without a value. */
uint64_t latency_percentile_us(const struct latency *l, double percent);

#endif
