/* SPDX-License-Identifier: ISC */
/*
 * How many workers there should be: policy without processes. Keeps between
 * min_spare and max_spare workers idle, never more than max_workers in all.
 */
#ifndef MASTER_POOL_H
#define MASTER_POOL_H

#include "master/scoreboard.h"

struct pool_limits {
	unsigned min_spare, max_spare, max_workers;
};

/* Places for them: while others take their place, as many more as wait for clients. */
unsigned pool_slots(const struct pool_limits *limits);
/* How many to start now, 0 or more. In bursts that double with the load, so that 200 clients at once wait for a few forks and not for 200 turns. */
unsigned pool_to_start(const struct pool_limits *limits, const struct scoreboard_count *count);
/* How many idle ones to retire now, 0 or more. Gently: the half of what is too many. Call about once a second. */
unsigned pool_to_retire(const struct pool_limits *limits, const struct scoreboard_count *count);

#endif
