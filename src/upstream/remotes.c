/* SPDX-License-Identifier: ISC */
/* See remotes.h. Runs in the relay. */
#include "upstream/remotes.h"

#include "base/clock.h"

void remotes_group(struct remote *r, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool together = i > 0 && r[i].weight > 0 && r[i - 1].weight > 0;

		r[i].group = i == 0 ? 0 : r[i - 1].group + !together;
	}
}

size_t remotes_best_group(const struct remote *r, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (r[i].breaker.state == BREAKER_UP)
			return r[i].group;
	return REMOTES_NONE;
}

/*
 * Smooth weighted turns: each gains its weight, the richest is chosen and pays for all. With weights
 * 2 and 1 that is a b a, a b a ...
 */
size_t remotes_choose(struct remote *r, size_t count)
{
	size_t group = remotes_best_group(r, count), best = REMOTES_NONE;
	int64_t total = 0;

	for (size_t i = 0; i < count; i++) {
		int64_t share = r[i].weight > 0 ? r[i].weight : 1;

		if (r[i].group != group || r[i].breaker.state != BREAKER_UP || r[i].is_full)
			continue;
		r[i].credit += share;
		total += share;
		if (best == REMOTES_NONE || r[i].credit > r[best].credit)
			best = i;
	}
	if (best != REMOTES_NONE)
		r[best].credit -= total;
	return best;
}

size_t remotes_to_probe(const struct remote *r, size_t count)
{
	size_t group = remotes_best_group(r, count); /* REMOTES_NONE is behind them all */

	for (size_t i = 0; i < count && r[i].group <= group; i++)
		if (r[i].breaker.state == BREAKER_PROBING && !r[i].is_asked)
			return i;
	return REMOTES_NONE;
}

enum breaker_state remotes_state(const struct remote *r, size_t count, int64_t *until_mono_ms)
{
	enum breaker_state state = BREAKER_PAUSED;

	*until_mono_ms = CLOCK_NEVER;
	for (size_t i = 0; i < count; i++) {
		if (r[i].breaker.state == BREAKER_UP)
			return BREAKER_UP;
		if (r[i].breaker.state == BREAKER_PROBING)
			state = BREAKER_PROBING;
		else if (r[i].breaker.paused_until_mono_ms < *until_mono_ms)
			*until_mono_ms = r[i].breaker.paused_until_mono_ms;
	}
	return state;
}
