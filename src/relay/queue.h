/* SPDX-License-Identifier: ISC */
/*
 * The messages the relay knows, in memory: which there are, who may take each
 * and when it is due. Everything else stays on disk until an attempt, so a
 * million fit where a spool of a million fits. Pure.
 *
 * A message is
 *   WAITING  in a lane, by its due time. The relay has a lane for each upstream and one for messages
 *            whose way is not known yet.
 *   TAKEN    out of its lane: somebody works on it
 *   HELD, FAILED  known and kept, but nothing is to be done: an operator holds it, or nobody is pending
 *
 * A lane has two heaps: what is fresh (announced since the start, never tried) and the rest. Takers get
 * them by turns, so new mail does not wait behind a million that are due, and neither of them starves.
 *
 * Adding one that is known changes nothing, so notices, listings and leftovers of a crash may tell of a
 * message as often as they like.
 */
#ifndef RELAY_QUEUE_H
#define RELAY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spool/id.h"

#define QUEUE_LANES_MAX 250

/* What is remembered of a message, besides its due time. */
enum queue_flag {
	QUEUE_FRESH = 1, /* never tried since it was announced */
	QUEUE_PEEK = 2, /* its state was not looked at: the due time is a guess */
	QUEUE_SPLIT = 4, /* its pending recipients go to more than one upstream */
	QUEUE_WARNED = 8, /* its sender was told of the delay, or is not to be told */
	QUEUE_OPENED = 32, /* it is known whether it has a time to be delivered by (RFC 2852) */
	QUEUE_DEADLINE = 64, /* and that it has, and it stands among them, or did while it was held */
	QUEUE_UNDECIDED = 16 /* of a pending recipient it is not known which upstream it goes to */
};

enum queue_where { QUEUE_UNKNOWN, QUEUE_WAITING, QUEUE_TAKEN, QUEUE_HELD, QUEUE_FAILED };

struct queue_entry;

struct queue_heap {
	uint32_t *item; /* indices of entries, earliest due first; owned */
	uint32_t len, cap;
};

struct queue_lane {
	struct queue_heap fresh, rest;
	bool rest_is_next;
};

struct queue {
	struct queue_entry *entry; /* a pool; owned */
	uint32_t entry_cap;
	uint32_t free_head; /* list of unused entries */
	struct queue_lane *lane; /* owned */
	size_t lane_count;
	uint32_t *bucket; /* hash of the ids: index + 1, 0 empty; owned */
	uint32_t bucket_mask;
	uint32_t count; /* messages known */
	uint32_t taken, held, failed; /* of these; the others wait */
	uint32_t split, undecided; /* of these, flagged so */
};

void queue_init(struct queue *q, size_t lanes); /* 1 .. QUEUE_LANES_MAX */
void queue_release(struct queue *q);

/* Adds a waiting message with these flags; false when it was known. */
bool queue_add(struct queue *q, const char *id, size_t lane, int64_t due_wall_ms, unsigned flags);
enum queue_where queue_find(const struct queue *q, const char *id);
/* Takes the earliest one of a lane that is due at now. */
bool queue_take(struct queue *q, size_t lane, int64_t now_wall_ms, struct spool_id *id);
/* Takes this one out of wherever it waits or is kept; false when it is not known, or taken already. */
bool queue_take_id(struct queue *q, const char *id);
/* A taken one waits again, in the rest of that lane. */
void queue_give_back(struct queue *q, const char *id, size_t lane, int64_t due_wall_ms);
/* A taken one waits in that lane as it did before: it was not tried. */
void queue_put_back(struct queue *q, const char *id, size_t lane);
/* A taken one is kept: QUEUE_HELD or QUEUE_FAILED. */
void queue_park(struct queue *q, const char *id, enum queue_where why);
/* It is over; false when it was not known. */
bool queue_forget(struct queue *q, const char *id);

/* 0 for one that is not known */
unsigned queue_flags(const struct queue *q, const char *id);
void queue_set_flags(struct queue *q, const char *id, unsigned set, unsigned clear);

/* All that wait are due that much later (earlier: less than 0). */
void queue_shift(struct queue *q, int64_t by_ms);
/* What is fresh in the lane is no longer: after an outage it is a backlog like any other. */
void queue_age(struct queue *q, size_t lane);
/*
 * Of all other lanes, what is QUEUE_SPLIT, or QUEUE_UNDECIDED, waits in this one, due at now or before; how
 * many these are.
 */
size_t queue_gather(struct queue *q, enum queue_flag flag, size_t lane, int64_t now_wall_ms);

/* When the next one of the lane is due; CLOCK_NEVER when none waits. */
int64_t queue_next_due(const struct queue *q, size_t lane);
/* How many of the lane are due at now, counted no further than cap. */
size_t queue_count_due(const struct queue *q, size_t lane, int64_t now_wall_ms, size_t cap);
size_t queue_count_waiting(const struct queue *q, size_t lane);

struct queue_item {
	struct spool_id id;
	enum queue_where where;
	size_t lane; /* WAITING */
	int64_t due_wall_ms; /* WAITING */
	unsigned flags;
};
/*
 * All messages, in no order: *at is 0 to begin with. What is added or forgotten meanwhile may be met or not.
 */
bool queue_each(const struct queue *q, uint32_t *at, struct queue_item *item);
/* When the oldest of all arrived, by its id; CLOCK_NEVER when there is none. */
int64_t queue_oldest_wall_us(const struct queue *q);
/* The same of those that are neither held nor failed. */
int64_t queue_oldest_open_wall_us(const struct queue *q);
/* Bytes of memory it has now. */
size_t queue_memory(const struct queue *q);

#endif
