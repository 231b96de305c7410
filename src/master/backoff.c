/* SPDX-License-Identifier: ISC */
/* See backoff.h. */
#include "master/backoff.h"

void backoff_note(struct backoff *b, bool failed, int64_t lived_ms, int64_t now_mono_ms)
{
	if (!failed || lived_ms >= BACKOFF_GOOD_LIFE_MS) {
		b->delay_ms = 0;
		b->not_before_mono_ms = now_mono_ms;
		return;
	}
	/* one crowd dying together is one failure, not many */
	if (b->delay_ms > 0 && now_mono_ms < b->not_before_mono_ms)
		return;
	b->delay_ms = b->delay_ms ? b->delay_ms * 2 : BACKOFF_MIN_MS;
	if (b->delay_ms > BACKOFF_MAX_MS)
		b->delay_ms = BACKOFF_MAX_MS;
	b->not_before_mono_ms = now_mono_ms + b->delay_ms;
}
