/* SPDX-License-Identifier: ISC */
/*
 * When a child that died may be started again: at once after a good life,
 * later and later after short ones. Policy without processes.
 */
#ifndef MASTER_BACKOFF_H
#define MASTER_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define BACKOFF_GOOD_LIFE_MS 5000 /* who lived this long did not die of its start */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 30000

struct backoff {
	int64_t delay_ms; /* 0: none */
	int64_t not_before_mono_ms;
};

/* A child ended; failed means not by its own orderly exit. */
void backoff_note(struct backoff *b, bool failed, int64_t lived_ms, int64_t now_mono_ms);

#endif
