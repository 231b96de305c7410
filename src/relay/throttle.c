/* SPDX-License-Identifier: ISC */
/* See throttle.h. Runs in the relay. */
#include "relay/throttle.h"

#include <limits.h>

/* ---- the rate ------------------------------------------------------------------- */

static double bucket_size(const struct bucket *b)
{
	return b->per_minute >= 10 ? b->per_minute / 10.0 : 1.0;
}

void bucket_init(struct bucket *b, unsigned per_minute, int64_t now_mono_ms)
{
	b->per_minute = per_minute;
	b->tokens = bucket_size(b);
	b->filled_mono_ms = now_mono_ms;
}

static void fill(struct bucket *b, int64_t now_mono_ms)
{
	b->tokens += (double)(now_mono_ms - b->filled_mono_ms) * b->per_minute / 60000.0;
	if (b->tokens > bucket_size(b))
		b->tokens = bucket_size(b);
	b->filled_mono_ms = now_mono_ms;
}

unsigned bucket_has(struct bucket *b, int64_t now_mono_ms)
{
	if (b->per_minute == 0)
		return UINT_MAX;
	fill(b, now_mono_ms);
	/* what a wait of whole milliseconds leaves open in the last digit must not cost another one */
	return (unsigned)(b->tokens + 1e-6);
}

bool bucket_take(struct bucket *b, int64_t now_mono_ms)
{
	if (bucket_has(b, now_mono_ms) == 0)
		return false;
	b->tokens -= b->per_minute > 0;
	return true;
}

void bucket_return(struct bucket *b)
{
	b->tokens += b->per_minute > 0;
}

int64_t bucket_next_mono_ms(const struct bucket *b)
{
	if (b->per_minute == 0 || b->tokens >= 1)
		return b->filled_mono_ms;
	return b->filled_mono_ms + (int64_t)((1 - b->tokens) * 60000.0 / b->per_minute) + 1;
}

/* ---- the connections -------------------------------------------------------------- */

bool throttle_is_slow_down(const struct smtp_reply *reply)
{
	/* 432: Microsoft 365, "concurrent connections limit exceeded" */
	return reply->code == 421 || reply->code == 432 || (reply->code >= 450 && reply->code <= 452);
}

bool throttle_slow(struct throttle *t, unsigned open, int64_t now_mono_ms)
{
	bool news = t->window == 0;
	unsigned now = news || open < t->window ? open : t->window;

	t->worked = 0;
	if (!news && now_mono_ms - t->slowed_mono_ms < THROTTLE_PAUSE_MS)
		return false; /* the answers to what was under way already */
	t->window = now > 1 ? now / 2 : 1;
	t->slowed_mono_ms = now_mono_ms;
	return news;
}

bool throttle_worked(struct throttle *t, unsigned most)
{
	if (t->window == 0 || ++t->worked < t->window)
		return false;
	t->worked = 0;
	t->window++;
	if (t->window < most)
		return false;
	t->window = 0;
	return true;
}

unsigned throttle_allows(const struct throttle *t, unsigned most)
{
	return t->window > 0 && t->window < most ? t->window : most;
}
