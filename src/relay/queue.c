/* SPDX-License-Identifier: ISC */
/* See queue.h. Runs in the relay. */
#include "relay/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#define NONE UINT32_MAX
#define SHRINK_FROM 1024 /* heaps smaller than this keep their memory */

/* Where an entry is when it is in no lane. */
enum { PLACE_HELD = QUEUE_LANES_MAX, PLACE_FAILED, PLACE_UNUSED };
_Static_assert(PLACE_UNUSED <= UINT8_MAX, "places must fit into an entry");

struct queue_entry {
	int64_t due_wall_ms;
	unsigned char id[SPOOL_ID_PACKED];
	uint8_t place; /* a lane, or one of the above */
	uint8_t flags;
	uint32_t heap_index; /* in its lane's heap; NONE while taken or kept; the next free entry while unused */
};
_Static_assert(sizeof(struct queue_entry) == 24, "a million entries are to be small");

void queue_init(struct queue *q, size_t lanes)
{
	ASSERT(lanes >= 1 && lanes <= QUEUE_LANES_MAX);
	memset(q, 0, sizeof(*q));
	q->free_head = NONE;
	q->lane = mem_array(lanes, sizeof(*q->lane));
	q->lane_count = lanes;
}

void queue_release(struct queue *q)
{
	for (size_t i = 0; i < q->lane_count; i++) {
		free(q->lane[i].fresh.item);
		free(q->lane[i].rest.item);
	}
	free(q->lane);
	free(q->entry);
	free(q->bucket);
	memset(q, 0, sizeof(*q));
}

/* ---- the hash: open addressing, linear probing, at most half full ------------- */

static uint32_t hash_of(const unsigned char id[SPOOL_ID_PACKED])
{
	uint64_t word;
	uint16_t rest;

	memcpy(&word, id, sizeof(word));
	memcpy(&rest, id + 8, sizeof(rest));
	word = (word ^ (uint64_t)rest << 48) * 0x9e3779b97f4a7c15u; /* the golden ratio spreads the low bits */
	return (uint32_t)(word >> 32);
}

/* The bucket that holds id, or the empty one where it would go. */
static uint32_t find_bucket(const struct queue *q, const unsigned char id[SPOOL_ID_PACKED])
{
	uint32_t b = hash_of(id) & q->bucket_mask;

	while (q->bucket[b] != 0 && memcmp(q->entry[q->bucket[b] - 1].id, id, SPOOL_ID_PACKED) != 0)
		b = (b + 1) & q->bucket_mask;
	return b;
}

static void grow_buckets(struct queue *q)
{
	uint32_t size = q->bucket ? (q->bucket_mask + 1) * 2 : 64;

	free(q->bucket);
	q->bucket = mem_array(size, sizeof(*q->bucket));
	q->bucket_mask = size - 1;
	/*
	 * in the order of the memory, and as all differ without comparing: mail waits until a million are
	 * through
	 */
	for (uint32_t i = 0; i < q->entry_cap; i++) {
		uint32_t b = hash_of(q->entry[i].id) & q->bucket_mask;

		if (q->entry[i].place == PLACE_UNUSED)
			continue;
		while (q->bucket[b] != 0)
			b = (b + 1) & q->bucket_mask;
		q->bucket[b] = i + 1;
	}
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

/* The entry's index, or NONE. */
static uint32_t find_entry(const struct queue *q, const char *id)
{
	unsigned char packed[SPOOL_ID_PACKED];

	if (!q->bucket)
		return NONE;
	spool_id_pack(id, packed);
	return q->bucket[find_bucket(q, packed)] - 1; /* an empty bucket holds 0: NONE */
}

static struct queue_entry *taken_entry(struct queue *q, const char *id)
{
	uint32_t index = find_entry(q, id);

	ASSERT(index != NONE && q->entry[index].place < QUEUE_LANES_MAX && q->entry[index].heap_index == NONE);
	return &q->entry[index];
}

static void set_flags(struct queue *q, struct queue_entry *en, unsigned flags)
{
	q->split += (flags & QUEUE_SPLIT) != 0;
	q->split -= (en->flags & QUEUE_SPLIT) != 0;
	q->undecided += (flags & QUEUE_UNDECIDED) != 0;
	q->undecided -= (en->flags & QUEUE_UNDECIDED) != 0;
	en->flags = (uint8_t)flags;
}

/* ---- the heaps ------------------------------------------------------------------ */

static bool is_earlier(const struct queue *q, uint32_t a, uint32_t b)
{
	return q->entry[a].due_wall_ms < q->entry[b].due_wall_ms;
}

static void heap_put(struct queue *q, struct queue_heap *h, uint32_t at, uint32_t index)
{
	h->item[at] = index;
	q->entry[index].heap_index = at;
}

static void heap_up(struct queue *q, struct queue_heap *h, uint32_t at)
{
	uint32_t index = h->item[at];

	while (at > 0 && is_earlier(q, index, h->item[(at - 1) / 2])) {
		heap_put(q, h, at, h->item[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_put(q, h, at, index);
}

static void heap_down(struct queue *q, struct queue_heap *h, uint32_t at)
{
	uint32_t index = h->item[at];

	for (;;) {
		uint32_t child = at * 2 + 1;

		if (child >= h->len)
			break;
		if (child + 1 < h->len && is_earlier(q, h->item[child + 1], h->item[child]))
			child++;
		if (!is_earlier(q, h->item[child], index))
			break;
		heap_put(q, h, at, h->item[child]);
		at = child;
	}
	heap_put(q, h, at, index);
}

static void heap_build(struct queue *q, struct queue_heap *h)
{
	for (uint32_t at = 0; at < h->len; at++)
		q->entry[h->item[at]].heap_index = at;
	for (uint32_t at = h->len / 2; at-- > 0;)
		heap_down(q, h, at);
}

static void heap_append(struct queue_heap *h, uint32_t index)
{
	if (h->len == h->cap) {
		h->cap = h->cap ? h->cap * 2 : 64;
		h->item = mem_resize(h->item, h->cap, sizeof(*h->item));
	}
	h->item[h->len++] = index;
}

/* Entries move between lanes: each may have had a million, so none keeps the memory of its worst day. */
static void heap_shrink(struct queue_heap *h)
{
	if (h->cap <= SHRINK_FROM || h->len >= h->cap / 4)
		return;
	h->cap /= 2;
	h->item = mem_resize(h->item, h->cap, sizeof(*h->item));
}

static struct queue_heap *heap_of(const struct queue *q, const struct queue_entry *en)
{
	struct queue_lane *lane = &q->lane[en->place];

	return en->flags & QUEUE_FRESH ? &lane->fresh : &lane->rest;
}

static void heap_insert(struct queue *q, uint32_t index)
{
	struct queue_heap *h = heap_of(q, &q->entry[index]);

	heap_append(h, index);
	heap_up(q, h, h->len - 1);
}

static void heap_remove(struct queue *q, uint32_t index)
{
	struct queue_heap *h = heap_of(q, &q->entry[index]);
	uint32_t at = q->entry[index].heap_index;

	h->len--;
	if (at < h->len) {
		heap_put(q, h, at, h->item[h->len]);
		heap_down(q, h, at);
		heap_up(q, h, at);
	}
	q->entry[index].heap_index = NONE;
	heap_shrink(h);
}

/* ---- messages ------------------------------------------------------------------ */

static void grow_entries(struct queue *q)
{
	uint32_t old = q->entry_cap;

	q->entry_cap = old ? old * 2 : 64;
	q->entry = mem_resize(q->entry, q->entry_cap, sizeof(*q->entry));
	for (uint32_t i = q->entry_cap; i-- > old;) {
		q->entry[i].place = PLACE_UNUSED;
		q->entry[i].heap_index = q->free_head;
		q->free_head = i;
	}
}

bool queue_add(struct queue *q, const char *id, size_t lane, int64_t due_wall_ms, unsigned flags)
{
	unsigned char packed[SPOOL_ID_PACKED];
	uint32_t bucket, index;

	ASSERT(lane < q->lane_count);
	if (!q->bucket || q->count >= (q->bucket_mask + 1) / 2)
		grow_buckets(q);
	spool_id_pack(id, packed);
	bucket = find_bucket(q, packed);
	if (q->bucket[bucket] != 0)
		return false;
	if (q->free_head == NONE)
		grow_entries(q);
	index = q->free_head;
	q->free_head = q->entry[index].heap_index;
	q->entry[index] = (struct queue_entry){ .due_wall_ms = due_wall_ms, .place = (uint8_t)lane };
	set_flags(q, &q->entry[index], flags);
	memcpy(q->entry[index].id, packed, sizeof(packed));
	q->bucket[bucket] = index + 1;
	q->count++;
	heap_insert(q, index);
	return true;
}

static enum queue_where where_is(const struct queue_entry *en)
{
	if (en->place == PLACE_HELD)
		return QUEUE_HELD;
	if (en->place == PLACE_FAILED)
		return QUEUE_FAILED;
	return en->heap_index == NONE ? QUEUE_TAKEN : QUEUE_WAITING;
}

enum queue_where queue_find(const struct queue *q, const char *id)
{
	uint32_t index = find_entry(q, id);

	return index == NONE ? QUEUE_UNKNOWN : where_is(&q->entry[index]);
}

/* Out of the count of what it is. */
static void leave(struct queue *q, uint32_t index)
{
	switch (where_is(&q->entry[index])) {
	case QUEUE_WAITING:
		heap_remove(q, index);
		break;
	case QUEUE_TAKEN:
		q->taken--;
		break;
	case QUEUE_HELD:
		q->held--;
		break;
	case QUEUE_FAILED:
		q->failed--;
		break;
	case QUEUE_UNKNOWN:
		break;
	}
}

static void take(struct queue *q, uint32_t index)
{
	leave(q, index);
	if (q->entry[index].place >= QUEUE_LANES_MAX)
		q->entry[index].place = 0;
	q->entry[index].heap_index = NONE;
	q->taken++;
}

static bool is_due(const struct queue *q, const struct queue_heap *h, int64_t now_wall_ms)
{
	return h->len > 0 && q->entry[h->item[0]].due_wall_ms <= now_wall_ms;
}

bool queue_take(struct queue *q, size_t lane, int64_t now_wall_ms, struct spool_id *id)
{
	struct queue_lane *l = &q->lane[lane];
	bool fresh = is_due(q, &l->fresh, now_wall_ms), rest = is_due(q, &l->rest, now_wall_ms);
	uint32_t index;

	if (!fresh && !rest)
		return false;
	rest = rest && (!fresh || l->rest_is_next);
	l->rest_is_next = !rest;
	index = rest ? l->rest.item[0] : l->fresh.item[0];
	spool_id_unpack(q->entry[index].id, id);
	take(q, index);
	return true;
}

bool queue_take_id(struct queue *q, const char *id)
{
	uint32_t index = find_entry(q, id);

	if (index == NONE || where_is(&q->entry[index]) == QUEUE_TAKEN)
		return false;
	take(q, index);
	return true;
}

static void wait_in(struct queue *q, struct queue_entry *en, size_t lane)
{
	ASSERT(lane < q->lane_count);
	q->taken--;
	en->place = (uint8_t)lane;
	heap_insert(q, (uint32_t)(en - q->entry));
}

void queue_give_back(struct queue *q, const char *id, size_t lane, int64_t due_wall_ms)
{
	struct queue_entry *en = taken_entry(q, id);

	set_flags(q, en, en->flags & ~(unsigned)QUEUE_FRESH);
	en->due_wall_ms = due_wall_ms;
	wait_in(q, en, lane);
}

void queue_put_back(struct queue *q, const char *id, size_t lane)
{
	wait_in(q, taken_entry(q, id), lane);
}

void queue_park(struct queue *q, const char *id, enum queue_where why)
{
	struct queue_entry *en = taken_entry(q, id);

	ASSERT(why == QUEUE_HELD || why == QUEUE_FAILED);
	q->taken--;
	set_flags(q, en, en->flags & ~(unsigned)(QUEUE_FRESH | QUEUE_PEEK | QUEUE_SPLIT | QUEUE_UNDECIDED));
	en->place = why == QUEUE_HELD ? PLACE_HELD : PLACE_FAILED;
	*(why == QUEUE_HELD ? &q->held : &q->failed) += 1;
}

bool queue_forget(struct queue *q, const char *id)
{
	uint32_t index = find_entry(q, id);

	if (index == NONE)
		return false;
	leave(q, index);
	set_flags(q, &q->entry[index], 0);
	clear_bucket(q, find_bucket(q, q->entry[index].id));
	q->entry[index].place = PLACE_UNUSED;
	q->entry[index].heap_index = q->free_head;
	q->free_head = index;
	q->count--;
	return true;
}

unsigned queue_flags(const struct queue *q, const char *id)
{
	uint32_t index = find_entry(q, id);

	return index == NONE ? 0 : q->entry[index].flags;
}

void queue_set_flags(struct queue *q, const char *id, unsigned set, unsigned clear)
{
	uint32_t index = find_entry(q, id);

	ASSERT(!((set | clear) & QUEUE_FRESH)); /* it says in which heap the entry is */
	if (index != NONE)
		set_flags(q, &q->entry[index], (q->entry[index].flags & ~clear) | set);
}

/* ---- all of them ------------------------------------------------------------------ */

static void shift_heap(struct queue *q, const struct queue_heap *h, int64_t by_ms)
{
	for (uint32_t i = 0; i < h->len; i++) /* their order stays */
		q->entry[h->item[i]].due_wall_ms += by_ms;
}

void queue_shift(struct queue *q, int64_t by_ms)
{
	for (size_t i = 0; i < q->lane_count; i++) {
		shift_heap(q, &q->lane[i].fresh, by_ms);
		shift_heap(q, &q->lane[i].rest, by_ms);
	}
}

void queue_age(struct queue *q, size_t lane)
{
	struct queue_heap *fresh = &q->lane[lane].fresh, *rest = &q->lane[lane].rest;
	/*
	 * an upstream may come and go all the time: a few are put where they belong, without touching a
	 * million
	 */
	bool few = fresh->len < rest->len / 16;

	if (fresh->len == 0)
		return;
	for (uint32_t i = 0; i < fresh->len; i++) {
		struct queue_entry *en = &q->entry[fresh->item[i]];

		set_flags(q, en, en->flags & ~(unsigned)QUEUE_FRESH);
		heap_append(rest, fresh->item[i]);
		if (few)
			heap_up(q, rest, rest->len - 1);
	}
	fresh->len = 0;
	heap_shrink(fresh);
	if (!few)
		heap_build(q, rest);
}

/* Takes what has the flag out of a heap and lists it in out. */
static void cut_flagged(struct queue *q, struct queue_heap *h, enum queue_flag flag, struct queue_heap *out)
{
	uint32_t kept = 0, before = out->len;

	for (uint32_t i = 0; i < h->len; i++) {
		uint32_t index = h->item[i];

		if (q->entry[index].flags & flag)
			heap_append(out, index);
		else
			h->item[kept++] = index;
	}
	if (out->len == before)
		return;
	h->len = kept;
	heap_build(q, h);
}

size_t queue_gather(struct queue *q, enum queue_flag flag, size_t lane, int64_t now_wall_ms)
{
	uint32_t flagged = flag == QUEUE_SPLIT ? q->split : q->undecided;
	struct queue_heap found = { 0 };
	size_t count;

	for (size_t i = 0; i < q->lane_count && flagged > 0; i++) {
		if (i == lane)
			continue;
		cut_flagged(q, &q->lane[i].fresh, flag, &found);
		cut_flagged(q, &q->lane[i].rest, flag, &found);
	}
	for (uint32_t i = 0; i < found.len; i++) {
		struct queue_entry *en = &q->entry[found.item[i]];

		en->place = (uint8_t)lane;
		if (en->due_wall_ms > now_wall_ms)
			en->due_wall_ms = now_wall_ms;
		heap_insert(q, found.item[i]);
	}
	count = found.len;
	free(found.item);
	return count;
}

int64_t queue_next_due(const struct queue *q, size_t lane)
{
	const struct queue_lane *l = &q->lane[lane];
	int64_t due = CLOCK_NEVER;

	if (l->fresh.len > 0)
		due = q->entry[l->fresh.item[0]].due_wall_ms;
	if (l->rest.len > 0 && q->entry[l->rest.item[0]].due_wall_ms < due)
		due = q->entry[l->rest.item[0]].due_wall_ms;
	return due;
}

/* A due entry's parent is due too, so only due parts of the heap are walked. */
static size_t count_due(const struct queue *q, const struct queue_heap *h, uint32_t at, int64_t now, size_t cap)
{
	size_t n;

	if (cap == 0 || at >= h->len || q->entry[h->item[at]].due_wall_ms > now)
		return 0;
	n = 1;
	n += count_due(q, h, at * 2 + 1, now, cap - n);
	n += count_due(q, h, at * 2 + 2, now, cap - n);
	return n;
}

size_t queue_count_due(const struct queue *q, size_t lane, int64_t now_wall_ms, size_t cap)
{
	const struct queue_lane *l = &q->lane[lane];
	size_t n = count_due(q, &l->fresh, 0, now_wall_ms, cap);

	return n + count_due(q, &l->rest, 0, now_wall_ms, cap - n);
}

size_t queue_count_waiting(const struct queue *q, size_t lane)
{
	return (size_t)q->lane[lane].fresh.len + q->lane[lane].rest.len;
}

bool queue_each(const struct queue *q, uint32_t *at, struct queue_item *item)
{
	while (*at < q->entry_cap && q->entry[*at].place == PLACE_UNUSED)
		++*at;
	if (*at >= q->entry_cap)
		return false;
	spool_id_unpack(q->entry[*at].id, &item->id);
	item->where = where_is(&q->entry[*at]);
	item->lane = q->entry[*at].place;
	item->due_wall_ms = q->entry[*at].due_wall_ms;
	item->flags = q->entry[*at].flags;
	++*at;
	return true;
}

/* Of those whose place is before this one. */
static int64_t oldest_before(const struct queue *q, int place)
{
	const unsigned char *least = NULL;
	struct spool_id id;

	for (uint32_t i = 0; i < q->entry_cap; i++) /* packed ids sort as ids do */
		if (q->entry[i].place < place &&
		    (!least || memcmp(q->entry[i].id, least, SPOOL_ID_PACKED) < 0))
			least = q->entry[i].id;
	if (!least)
		return CLOCK_NEVER;
	spool_id_unpack(least, &id);
	return spool_id_wall_us(id.text);
}

int64_t queue_oldest_wall_us(const struct queue *q)
{
	return oldest_before(q, PLACE_UNUSED);
}

int64_t queue_oldest_open_wall_us(const struct queue *q)
{
	return oldest_before(q, PLACE_HELD);
}

size_t queue_memory(const struct queue *q)
{
	size_t bytes = (size_t)q->entry_cap * sizeof(*q->entry);

	if (q->bucket)
		bytes += ((size_t)q->bucket_mask + 1) * sizeof(*q->bucket);
	for (size_t i = 0; i < q->lane_count; i++)
		bytes += ((size_t)q->lane[i].fresh.cap + q->lane[i].rest.cap) * sizeof(uint32_t);
	return bytes;
}
