/* SPDX-License-Identifier: ISC */
/* See pool.h. */
#include "master/pool.h"

unsigned pool_slots(const struct pool_limits *limits)
{
	return limits->max_workers + (limits->min_spare > 0 ? limits->min_spare : 1);
}

unsigned pool_to_start(const struct pool_limits *limits, const struct scoreboard_count *count)
{
	unsigned spare = count->idle + count->starting;
	unsigned room = count->total < limits->max_workers ? limits->max_workers - count->total : 0;
	unsigned want;

	if (spare >= limits->min_spare)
		return 0;
	want = limits->min_spare - spare;
	/* all busy: the load outgrows min_spare, so grow with the load itself */
	if (spare == 0 && count->busy / 4 > want)
		want = count->busy / 4;
	return want < room ? want : room;
}

unsigned pool_to_retire(const struct pool_limits *limits, const struct scoreboard_count *count)
{
	if (count->idle <= limits->max_spare)
		return 0;
	return (count->idle - limits->max_spare + 1) / 2;
}
