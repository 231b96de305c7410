/* SPDX-License-Identifier: ISC */
/* See retry.h. */
#include "upstream/retry.h"

int64_t retry_interval_ms(const struct retry_limits *limits, unsigned tries, double luck)
{
	double wait = (double)limits->min_ms;

	for (unsigned i = 1; i < tries && wait < (double)limits->max_ms; i++)
		wait *= limits->factor;
	if (wait > (double)limits->max_ms)
		wait = (double)limits->max_ms;
	return (int64_t)(wait * (0.9 + 0.2 * luck));
}

int64_t breaker_failed(struct breaker *b, const struct retry_limits *probe, double luck, int64_t now_mono_ms,
		       bool *news)
{
	int64_t pause;

	*news = b->state == BREAKER_UP;
	if (b->state == BREAKER_PAUSED && now_mono_ms < b->paused_until_mono_ms)
		return b->paused_until_mono_ms - now_mono_ms; /* others of the same crowd */
	b->state = BREAKER_PAUSED;
	if (b->failures < 1000)
		b->failures++;
	pause = retry_interval_ms(probe, b->failures, luck);
	b->paused_until_mono_ms = now_mono_ms + pause;
	return pause;
}

bool breaker_worked(struct breaker *b)
{
	bool news = b->state != BREAKER_UP;

	b->state = BREAKER_UP;
	b->failures = 0;
	return news;
}

void breaker_follow_clock(struct breaker *b, int64_t now_mono_ms)
{
	if (b->state == BREAKER_PAUSED && now_mono_ms >= b->paused_until_mono_ms)
		b->state = BREAKER_PROBING;
}
