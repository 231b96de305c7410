/* SPDX-License-Identifier: ISC */
/*
 * Which of an upstream's addresses the next connection goes to: those that
 * stand first as long as they work, neighbours with a weight in proportion.
 * Each has its own circuit breaker. Policy, pure.
 */
#ifndef UPSTREAM_REMOTES_H
#define UPSTREAM_REMOTES_H

#include <stdbool.h>
#include <stddef.h>

#include "upstream/retry.h"

struct remote {
	unsigned weight; /* 0: none given */
	size_t group; /* groups are tried in order */
	int64_t credit; /* for its turn within the group */
	struct breaker breaker;
	bool is_asked; /* PROBING: a connection or message that is to find out is under way */
	bool is_full; /* it takes no more connections for the time being */
};

#define REMOTES_NONE SIZE_MAX

/* Works out the groups from the weights. */
void remotes_group(struct remote *r, size_t count);
/* The first group with an address that is up; REMOTES_NONE when there is none. */
size_t remotes_best_group(const struct remote *r, size_t count);
/* Where the next connection goes; REMOTES_NONE: nowhere now. Counts as taken its turn. */
size_t remotes_choose(struct remote *r, size_t count);
/*
 * An address whose pause is over, which nobody asks how it is, and which is worth asking: it stands no later
 * than what is up. REMOTES_NONE when there is none.
 */
size_t remotes_to_probe(const struct remote *r, size_t count);
/* The best that any of them is; with PAUSED, *until_mono_ms is when the first pause ends. */
enum breaker_state remotes_state(const struct remote *r, size_t count, int64_t *until_mono_ms);

#endif
