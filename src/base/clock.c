/* SPDX-License-Identifier: ISC */
/* See clock.h. */
#include "base/clock.h"

#include <time.h>

static bool frozen;
static int64_t frozen_wall_us, frozen_mono_ms;

int64_t clock_wall_us(void)
{
	struct timespec t;

	if (frozen)
		return frozen_wall_us;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
	struct timespec t;

	if (frozen)
		return frozen_mono_ms;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void clock_freeze(int64_t wall_us, int64_t mono_ms)
{
	frozen = true;
	frozen_wall_us = wall_us;
	frozen_mono_ms = mono_ms;
}

void clock_thaw(void)
{
	frozen = false;
}
