/* SPDX-License-Identifier: ISC */
/*
 * The moments that senders named with BY= (RFC 2852) of messages that wait:
 * which one is next. Few messages have one, so the queue's entries stay
 * small, and these are kept beside it. Pure.
 */
#ifndef RELAY_DEADLINES_H
#define RELAY_DEADLINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spool/id.h"

struct deadline {
	int64_t wall_ms;
	struct spool_id id;
};

struct deadlines {
	struct deadline *item; /* a heap, the earliest first; owned */
	size_t count, cap;
};

void deadlines_init(struct deadlines *d);
void deadlines_release(struct deadlines *d);
/* The caller sees to it that no message has two. */
void deadlines_add(struct deadlines *d, const char *id, int64_t wall_ms);
/* CLOCK_NEVER: none */
int64_t deadlines_next_wall_ms(const struct deadlines *d);
/* Takes the earliest one, if its moment has come. */
bool deadlines_take(struct deadlines *d, int64_t now_wall_ms, struct spool_id *id);
/* Keeps those that are still wanted: of messages that left, nobody says so. */
void deadlines_sift(struct deadlines *d, bool (*is_wanted)(void *ctx, const char *id), void *ctx);

#endif
