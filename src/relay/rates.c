/* SPDX-License-Identifier: ISC */
/* See rates.h. Runs in the relay. */
#include "relay/rates.h"

#include <string.h>

const char *rate_name(enum rate r)
{
	static const char *const names[] = { "queued", "delivered", "deferred", "failed", "expired", "uncertain" };

	return names[r];
}

/* Empties the seconds that have passed since the last look. */
static void follow(struct rates *r, int64_t now_mono_ms)
{
	int64_t now_s = now_mono_ms / 1000;

	if (now_s - r->at_s >= RATE_SECONDS)
		memset(r->second, 0, sizeof(r->second));
	else
		for (int64_t s = r->at_s + 1; s <= now_s; s++)
			memset(r->second[s % RATE_SECONDS], 0, sizeof(r->second[0]));
	r->at_s = now_s;
}

void rates_count(struct rates *r, enum rate what, int64_t now_mono_ms)
{
	follow(r, now_mono_ms);
	r->total[what]++;
	r->second[r->at_s % RATE_SECONDS][what]++;
}

uint64_t rates_minute(struct rates *r, enum rate what, int64_t now_mono_ms)
{
	uint64_t n = 0;

	follow(r, now_mono_ms);
	for (int s = 0; s < RATE_SECONDS; s++)
		n += r->second[s][what];
	return n;
}
