/* SPDX-License-Identifier: ISC */
/*
 * The messages the relay knows, in memory: which there are and when each is
 * due. About fifty bytes a message, so a million fit where a spool of a
 * million fits; everything else stays on disk until an attempt. Pure.
 *
 * A message is WAITING (in the heap, by its due time) or TAKEN (an attempt is
 * under way). Adding one that is known changes nothing, so notices, scans and
 * leftovers of a crash may tell of a message as often as they like.
 */
#ifndef RELAY_QUEUE_H
#define RELAY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spool/id.h"

struct queue_entry;

struct queue {
	struct queue_entry *entry; /* a pool; owned */
	uint32_t entry_cap;
	uint32_t free_head; /* list of unused entries */
	uint32_t *heap; /* indices of entries, earliest due first; owned */
	uint32_t heap_len;
	uint32_t *bucket; /* hash of the ids: index + 1, 0 empty; owned */
	uint32_t bucket_mask;
	uint32_t count; /* messages known */
};

void queue_init(struct queue *q);
void queue_release(struct queue *q);

/* Adds a waiting message; false when it was known. */
bool queue_add(struct queue *q, const char *id, int64_t due_wall_ms);
/* Waiting or taken. */
bool queue_knows(const struct queue *q, const char *id);
/* Takes the earliest one that is due at now. */
bool queue_take(struct queue *q, int64_t now_wall_ms, struct spool_id *id);
/* A taken one waits again. */
void queue_give_back(struct queue *q, const char *id, int64_t due_wall_ms);
/* A taken one is over; false when it was not known. */
bool queue_forget(struct queue *q, const char *id);
/* All that wait are due that much later (earlier: less than 0). */
void queue_shift(struct queue *q, int64_t by_ms);

/* When the next one is due; CLOCK_NEVER when none waits. */
int64_t queue_next_due(const struct queue *q);
/* How many are due at now, counted no further than cap. */
size_t queue_count_due(const struct queue *q, int64_t now_wall_ms, size_t cap);

#endif
