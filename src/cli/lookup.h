/* SPDX-License-Identifier: ISC */
/* Finding messages by what the operator types: whole ids or unique beginnings of them. */
#ifndef CLI_LOOKUP_H
#define CLI_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "spool/id.h"
#include "spool/spool.h"

/* Ids in the order of arrival, 16 octets each. */
struct id_list {
	char (*id)[SPOOL_ID_LEN]; /* without NUL; owned */
	size_t count, cap;
};

void id_list_init(struct id_list *list);
void id_list_release(struct id_list *list);
/* The i-th as a string. */
void id_list_get(const struct id_list *list, size_t i, struct spool_id *out);
void id_list_add(struct id_list *list, const char *id); /* at the end */
void id_list_sort(struct id_list *list); /* and leaves out what is there twice */
bool id_list_has(const struct id_list *list, const char *id); /* of a sorted list */

/* The beginning of an id, as the spool writes them. */
struct id_prefix {
	char text[SPOOL_ID_LEN + 1];
	size_t len;
	size_t matches; /* how many ids began with it (id_list_scan) */
};

/*
 * Reads what was typed: 1 to 16 characters of an id, capitals and the look-alikes
 * that Crockford's alphabet leaves out (O for 0, I and L for 1) understood.
 */
bool id_prefix_parse(const char *typed, struct id_prefix *out);
bool id_prefix_is_whole(const struct id_prefix *p);
bool id_prefix_matches(const struct id_prefix *p, const char *id);
/* Is one of them the beginning of it (or is there none)? Counts it in each that is. */
bool id_prefixes_match(struct id_prefix *prefix, size_t count, const char *id);

/* The queue's messages that match any of the prefixes (all of them when count is 0), sorted. */
int id_list_scan(struct id_list *list, const struct spool *s, struct id_prefix *prefix, size_t count,
		 struct err *e);
/* The messages that have a state, sorted. */
int id_list_scan_states(struct id_list *list, const struct spool *s, struct err *e);

#endif
