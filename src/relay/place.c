/* SPDX-License-Identifier: ISC */
/* See place.h. Runs in the relay. */
#include "relay/place.h"

/* Is it better to wait for this upstream until this moment than for what was chosen so far? */
static bool is_better(const struct place *best, const struct place_upstream *upstream, size_t index, int64_t due_us,
		      int64_t now_us)
{
	bool was_available = upstream[best->upstream].available;
	int64_t best_due = best->due_wall_us > now_us ? best->due_wall_us : now_us;

	if (!best->waits)
		return true;
	if (upstream[index].available != was_available)
		return !was_available;
	return (due_us > now_us ? due_us : now_us) < best_due;
}

struct place place_find(const struct routes *routes, const struct envelope *env, const struct spool_state *st,
			struct place_upstream *upstream, int64_t now_wall_us)
{
	struct place best = { 0 };
	size_t first = 0;

	for (size_t i = 0; i < st->rcpt_count && !st->held; i++) {
		size_t u;

		if (st->rcpt[i].status != RCPT_PENDING)
			continue;
		u = routes->upstream_count > 1 ? route_find(routes, env, i, st->route) : 0;
		if (!best.waits)
			first = u;
		best.is_split = best.is_split || u != first;
		best.is_undecided = best.is_undecided || u == routes->upstream_count;
		if (!upstream[u].available && st->rcpt[i].next_wall_us <= now_wall_us)
			upstream[u].passed_over = true;
		if (is_better(&best, upstream, u, st->rcpt[i].next_wall_us, now_wall_us)) {
			best.waits = true;
			best.upstream = u;
			best.due_wall_us = st->rcpt[i].next_wall_us;
		}
	}
	return best;
}
