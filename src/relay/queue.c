/* SPDX-License-Identifier: ISC */
/* See queue.h. Runs in the relay. */
#include "relay/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#define NONE UINT32_MAX

struct queue_entry {
	int64_t due_wall_ms;
	unsigned char id[10];
	uint32_t heap_index; /* NONE while taken; the next free entry while unused */
};

void queue_init(struct queue *q)
{
	memset(q, 0, sizeof(*q));
	q->free_head = NONE;
}

void queue_release(struct queue *q)
{
	free(q->entry);
	free(q->heap);
	free(q->bucket);
	queue_init(q);
}

/* ---- the hash: open addressing, linear probing, at most half full ------------- */

static uint32_t hash_of(const unsigned char id[10])
{
	uint64_t word;
	uint16_t rest;

	memcpy(&word, id, sizeof(word));
	memcpy(&rest, id + 8, sizeof(rest));
	word = (word ^ (uint64_t)rest << 48) * 0x9e3779b97f4a7c15u; /* the golden ratio spreads the low bits */
	return (uint32_t)(word >> 32);
}

/* The bucket that holds id, or the empty one where it would go. */
static uint32_t find_bucket(const struct queue *q, const unsigned char id[10])
{
	uint32_t b = hash_of(id) & q->bucket_mask;

	while (q->bucket[b] != 0 && memcmp(q->entry[q->bucket[b] - 1].id, id, 10) != 0)
		b = (b + 1) & q->bucket_mask;
	return b;
}

static void grow_buckets(struct queue *q)
{
	uint32_t old_size = q->bucket ? q->bucket_mask + 1 : 0;
	uint32_t size = old_size ? old_size * 2 : 64;
	uint32_t *old = q->bucket;

	q->bucket = mem_array(size, sizeof(*q->bucket));
	q->bucket_mask = size - 1;
	for (uint32_t i = 0; i < old_size; i++)
		if (old[i] != 0)
			q->bucket[find_bucket(q, q->entry[old[i] - 1].id)] = old[i];
	free(old);
}

/* Empties a bucket and moves up those behind it that probed past it. */
static void clear_bucket(struct queue *q, uint32_t hole)
{
	for (uint32_t b = (hole + 1) & q->bucket_mask; q->bucket[b] != 0; b = (b + 1) & q->bucket_mask) {
		uint32_t home = hash_of(q->entry[q->bucket[b] - 1].id) & q->bucket_mask;

		if (((b - home) & q->bucket_mask) >= ((b - hole) & q->bucket_mask)) {
			q->bucket[hole] = q->bucket[b];
			hole = b;
		}
	}
	q->bucket[hole] = 0;
}

/* ---- the heap ------------------------------------------------------------------ */

static bool is_earlier(const struct queue *q, uint32_t a, uint32_t b)
{
	return q->entry[a].due_wall_ms < q->entry[b].due_wall_ms;
}

static void heap_put(struct queue *q, uint32_t at, uint32_t index)
{
	q->heap[at] = index;
	q->entry[index].heap_index = at;
}

static void heap_up(struct queue *q, uint32_t at)
{
	uint32_t index = q->heap[at];

	while (at > 0 && is_earlier(q, index, q->heap[(at - 1) / 2])) {
		heap_put(q, at, q->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_put(q, at, index);
}

static void heap_down(struct queue *q, uint32_t at)
{
	uint32_t index = q->heap[at];

	for (;;) {
		uint32_t child = at * 2 + 1;

		if (child >= q->heap_len)
			break;
		if (child + 1 < q->heap_len && is_earlier(q, q->heap[child + 1], q->heap[child]))
			child++;
		if (!is_earlier(q, q->heap[child], index))
			break;
		heap_put(q, at, q->heap[child]);
		at = child;
	}
	heap_put(q, at, index);
}

static void heap_insert(struct queue *q, uint32_t index, int64_t due_wall_ms)
{
	q->entry[index].due_wall_ms = due_wall_ms;
	heap_put(q, q->heap_len++, index);
	heap_up(q, q->heap_len - 1);
}

static void heap_remove(struct queue *q, uint32_t at)
{
	uint32_t removed = q->heap[at];

	q->heap_len--;
	if (at < q->heap_len) {
		heap_put(q, at, q->heap[q->heap_len]);
		heap_down(q, at);
		heap_up(q, at);
	}
	q->entry[removed].heap_index = NONE;
}

/* ---- messages ------------------------------------------------------------------ */

static void grow_entries(struct queue *q)
{
	uint32_t cap = q->entry_cap ? q->entry_cap * 2 : 32;

	ASSERT(cap > q->entry_cap);
	q->entry = mem_resize(q->entry, cap, sizeof(*q->entry));
	q->heap = mem_resize(q->heap, cap, sizeof(*q->heap));
	for (uint32_t i = cap; i-- > q->entry_cap;) {
		q->entry[i].heap_index = q->free_head;
		q->free_head = i;
	}
	q->entry_cap = cap;
}

bool queue_add(struct queue *q, const char *id, int64_t due_wall_ms)
{
	unsigned char packed[10];
	uint32_t index, bucket;

	spool_id_pack(id, packed);
	if (!q->bucket || q->count >= (q->bucket_mask + 1) / 2)
		grow_buckets(q);
	bucket = find_bucket(q, packed);
	if (q->bucket[bucket] != 0)
		return false;
	if (q->free_head == NONE)
		grow_entries(q);
	index = q->free_head;
	q->free_head = q->entry[index].heap_index;
	memcpy(q->entry[index].id, packed, sizeof(packed));
	q->bucket[bucket] = index + 1;
	q->count++;
	heap_insert(q, index, due_wall_ms);
	return true;
}

bool queue_knows(const struct queue *q, const char *id)
{
	unsigned char packed[10];

	spool_id_pack(id, packed);
	return q->bucket && q->bucket[find_bucket(q, packed)] != 0;
}

bool queue_take(struct queue *q, int64_t now_wall_ms, struct spool_id *id)
{
	if (q->heap_len == 0 || q->entry[q->heap[0]].due_wall_ms > now_wall_ms)
		return false;
	spool_id_unpack(q->entry[q->heap[0]].id, id);
	heap_remove(q, 0);
	return true;
}

void queue_give_back(struct queue *q, const char *id, int64_t due_wall_ms)
{
	unsigned char packed[10];
	uint32_t index;

	spool_id_pack(id, packed);
	index = q->bucket[find_bucket(q, packed)];
	ASSERT(index != 0 && q->entry[index - 1].heap_index == NONE);
	heap_insert(q, index - 1, due_wall_ms);
}

bool queue_forget(struct queue *q, const char *id)
{
	unsigned char packed[10];
	uint32_t bucket, index;

	if (!q->bucket)
		return false;
	spool_id_pack(id, packed);
	bucket = find_bucket(q, packed);
	if (q->bucket[bucket] == 0)
		return false;
	index = q->bucket[bucket] - 1;
	if (q->entry[index].heap_index != NONE)
		heap_remove(q, q->entry[index].heap_index);
	clear_bucket(q, bucket);
	q->entry[index].heap_index = q->free_head;
	q->free_head = index;
	q->count--;
	return true;
}

void queue_shift(struct queue *q, int64_t by_ms)
{
	for (uint32_t i = 0; i < q->heap_len; i++) /* their order stays */
		q->entry[q->heap[i]].due_wall_ms += by_ms;
}

int64_t queue_next_due(const struct queue *q)
{
	return q->heap_len ? q->entry[q->heap[0]].due_wall_ms : CLOCK_NEVER;
}

/* A due entry's parent is due too, so only due parts of the heap are walked. */
static size_t count_due(const struct queue *q, uint32_t at, int64_t now, size_t cap)
{
	size_t n;

	if (cap == 0 || at >= q->heap_len || q->entry[q->heap[at]].due_wall_ms > now)
		return 0;
	n = 1;
	n += count_due(q, at * 2 + 1, now, cap - n);
	n += count_due(q, at * 2 + 2, now, cap - n);
	return n;
}

size_t queue_count_due(const struct queue *q, int64_t now_wall_ms, size_t cap)
{
	return count_due(q, 0, now_wall_ms, cap);
}
