/* SPDX-License-Identifier: ISC */
/*
 * Messages counted by a key and by age, as `posthouse summary` shows them.
 * Memory is bounded: beyond TALLY_KEYS_MAX different keys what is new is
 * counted under "others". Pure.
 */
#ifndef CLI_TALLY_H
#define CLI_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TALLY_KEYS_MAX 50000
#define TALLY_BUCKETS_MAX 16 /* with the last one, which has no upper limit */

struct tally_row {
	char *key; /* owned; NULL: not of a key (total, others) */
	uint64_t messages, rcpts, bytes;
	int64_t oldest_wall_us;
	uint64_t age[TALLY_BUCKETS_MAX]; /* messages */
	uint64_t last_message; /* so that a message counts once for a key */
};

struct tally {
	int64_t limit_ms[TALLY_BUCKETS_MAX]; /* ages below this; the last one is CLOCK_NEVER */
	size_t buckets;
	size_t keys_max;
	int64_t now_wall_us;
	uint64_t message; /* the number of the one being counted */
	struct tally_row total, others;
	void *tree; /* of rows, search.h */
	size_t keys;
};

/* Ages as qshape has them: 5, 10, 20 ... 1280 minutes and more. */
void tally_init(struct tally *t, int64_t now_wall_us);
/* Other limits, "1h,1d,1w": growing, at most TALLY_BUCKETS_MAX - 1. False: not such a list. */
bool tally_limits(struct tally *t, const char *text);
void tally_release(struct tally *t);
size_t tally_bucket(const struct tally *t, int64_t age_ms);

struct tally_message {
	int64_t arrived_wall_us;
	uint64_t bytes;
};
void tally_begin(struct tally *t, const struct tally_message *m); /* counts it in the total */
/* A recipient of it (or, with rcpts 0, none) belongs to key. */
void tally_add(struct tally *t, const struct tally_message *m, const char *key, uint64_t rcpts);

/* The rows, most messages first, then by key; as many as t->keys. The array is the caller's, the rows are not. */
struct tally_row **tally_sorted(const struct tally *t);

#endif
