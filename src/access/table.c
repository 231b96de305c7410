/* SPDX-License-Identifier: ISC */
/* See table.h. Filled in the master, read in workers. */
#include "access/table.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/assert.h"

#define NO_VALUE SIZE_MAX

void table_init(struct table *t)
{
	memset(t, 0, sizeof(*t));
	t->last_value = NO_VALUE;
}

void table_release(struct table *t)
{
	free(t->text);
	free(t->entry);
	free(t->slot);
	table_init(t);
}

static size_t first_slot(const struct table *t, const char *key, size_t key_len)
{
	return XXH3_64bits(key, key_len) & (t->slots - 1);
}

/* The slot that holds the key, or the free one that it would get. There is always a free one. */
static size_t find_slot(const struct table *t, const char *key, size_t key_len)
{
	size_t i = first_slot(t, key, key_len);

	for (; t->slot[i]; i = (i + 1) & (t->slots - 1)) {
		const struct table_entry *e = &t->entry[t->slot[i] - 1];

		if (e->key_len == key_len && memcmp(t->text + e->key, key, key_len) == 0)
			break;
	}
	return i;
}

static void grow_slots(struct table *t)
{
	free(t->slot);
	t->slots = t->slots ? 2 * t->slots : 64;
	t->slot = mem_array(t->slots, sizeof(*t->slot));
	for (size_t n = 0; n < t->count; n++)
		t->slot[find_slot(t, t->text + t->entry[n].key, t->entry[n].key_len)] = (uint32_t)n + 1;
}

/* Where the octets are from now on; each text is followed by a NUL. */
static uint32_t put_text(struct table *t, const char *data, size_t len)
{
	size_t at = t->text_len;

	if (at + len + 1 > t->text_cap) {
		t->text_cap = 2 * (at + len + 1) + 4096;
		t->text = mem_resize(t->text, t->text_cap, 1);
	}
	memcpy(t->text + at, data, len);
	t->text[at + len] = '\0';
	t->text_len += len + 1;
	return (uint32_t)at;
}

static uint32_t put_value(struct table *t, const char *value, size_t len)
{
	bool same = t->last_value != NO_VALUE && t->text_len - t->last_value > len &&
		    memcmp(t->text + t->last_value, value, len) == 0 && t->text[t->last_value + len] == '\0';

	if (!same)
		t->last_value = put_text(t, value, len);
	return (uint32_t)t->last_value;
}

enum table_added table_add(struct table *t, const char *key, size_t key_len, uint16_t tag, uint32_t line,
			   const char *value, size_t value_len, const struct table_entry **other)
{
	struct table_entry *e;
	size_t slot;

	ASSERT(key_len <= UINT16_MAX);
	if (t->count == TABLE_ENTRIES_MAX || t->text_len + key_len + value_len + 2 > TABLE_BYTES_MAX)
		return TABLE_FULL;
	if (2 * t->count >= t->slots)
		grow_slots(t);
	slot = find_slot(t, key, key_len);
	if (t->slot[slot]) {
		*other = &t->entry[t->slot[slot] - 1];
		return TABLE_THERE;
	}
	if (t->count == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->entry = mem_resize(t->entry, t->cap, sizeof(*t->entry));
	}
	e = &t->entry[t->count++];
	*e = (struct table_entry){ .value = put_value(t, value, value_len),
				   .line = line,
				   .key_len = (uint16_t)key_len,
				   .tag = tag };
	e->key = put_text(t, key, key_len);
	t->slot[slot] = (uint32_t)t->count;
	return TABLE_ADDED;
}

void table_finish(struct table *t)
{
	if (t->count == 0)
		return;
	t->text = mem_resize(t->text, t->text_len, 1);
	t->text_cap = t->text_len;
	t->entry = mem_resize(t->entry, t->count, sizeof(*t->entry));
	t->cap = t->count;
}

const struct table_entry *table_find(const struct table *t, const char *key, size_t key_len)
{
	size_t slot;

	if (t->count == 0)
		return NULL;
	slot = find_slot(t, key, key_len);
	return t->slot[slot] ? &t->entry[t->slot[slot] - 1] : NULL;
}
