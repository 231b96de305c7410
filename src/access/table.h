/* SPDX-License-Identifier: ISC */
/*
 * A table of what an operator wrote, by key: filled once, then only read.
 * Keys and values lie in one block, entries in another, and a lookup touches
 * two or three places of memory, so that a million entries are loaded by the
 * master in a second, are shared by all workers as they were before the
 * fork, and cost a worker nothing of its own.
 */
#ifndef ACCESS_TABLE_H
#define ACCESS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_BYTES_MAX (1u << 30) /* of keys and values */
#define TABLE_ENTRIES_MAX (32u << 20)

struct table_entry {
	uint32_t key, value; /* where they begin in the text */
	uint32_t line; /* of the file, from 1 */
	uint16_t key_len;
	uint16_t tag; /* the user's */
};

struct table {
	char *text; /* owned */
	size_t text_len, text_cap;
	struct table_entry *entry; /* owned */
	size_t count, cap;
	uint32_t *slot; /* index of an entry and 1, 0: free; a power of two of them; owned */
	size_t slots;
	size_t last_value; /* the value that was added last: the same again is kept once */
};

void table_init(struct table *t);
void table_release(struct table *t);

enum table_added {
	TABLE_ADDED,
	TABLE_THERE, /* *other has the key already; nothing was added */
	TABLE_FULL
};
/* value: octets, of which NULs may be part; found again by table_value. */
enum table_added table_add(struct table *t, const char *key, size_t key_len, uint16_t tag, uint32_t line,
			   const char *value, size_t value_len, const struct table_entry **other);
/* Gives back what was allocated for growing. */
void table_finish(struct table *t);

/* NULL: there is none. */
const struct table_entry *table_find(const struct table *t, const char *key, size_t key_len);
static inline const char *table_value(const struct table *t, const struct table_entry *e)
{
	return t->text + e->value;
}

#endif
