/* SPDX-License-Identifier: ISC */
/*
 * Where a message waits next: in the lane of which upstream, or nowhere.
 * From its envelope, its state and the routes; pure. A lane is only a guess
 * made ahead: the attempt asks the routes again.
 */
#ifndef RELAY_PLACE_H
#define RELAY_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "manage/route.h"
#include "smtp/envelope.h"
#include "spool/state.h"

struct place {
	bool waits; /* false: held, or nobody is pending */
	bool is_split; /* its pending recipients go to more than one upstream */
	bool is_undecided; /* of somebody it is not known yet which upstream it is */
	size_t upstream; /* when it waits; upstream_count: it waits for that to be known */
	int64_t due_wall_us; /* for that upstream; 0: now */
};

/* What an upstream is to a message that looks for its way. */
struct place_upstream {
	bool available; /* up, and not suspended */
	bool passed_over; /* out: it was not available when a recipient was due for it */
};

/*
 * Chooses: a recipient that is due and whose upstream is available; else one whose upstream is available
 * and that is due later; else whichever is due first. upstream[] has routes->upstream_count members and one
 * more, which stands for those that are undecided (manage/route.h) and is never available.
 */
struct place place_find(const struct routes *routes, const struct envelope *env, const struct spool_state *st,
			struct place_upstream *upstream, int64_t now_wall_us);

#endif
