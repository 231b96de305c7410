/* SPDX-License-Identifier: ISC */
/* How often things happen: in all, and in the last minute. Pure. */
#ifndef RELAY_RATES_H
#define RELAY_RATES_H

#include <stdint.h>

enum rate { RATE_QUEUED, RATE_DELIVERED, RATE_DEFERRED, RATE_FAILED, RATE_EXPIRED, RATE_UNCERTAIN };
#define RATE_COUNT (RATE_UNCERTAIN + 1)
const char *rate_name(enum rate r);

#define RATE_SECONDS 60

struct rates {
	uint64_t total[RATE_COUNT];
	uint32_t second[RATE_SECONDS][RATE_COUNT]; /* by second modulo 60 */
	int64_t at_s; /* the latest second there is something about */
};

void rates_count(struct rates *r, enum rate what, int64_t now_mono_ms);
/* In the last sixty seconds, the present one included. */
uint64_t rates_minute(struct rates *r, enum rate what, int64_t now_mono_ms);

#endif
