/* SPDX-License-Identifier: ISC */
/*
 * What clients and users did lately, counted over all workers, in shared
 * memory of a fixed size.
 *
 * Connections at once: each worker's slot says whose connection it has, and
 * the number of a client is the number of slots that say so: there is no count
 * that a killed worker could leave wrong. The master clears a slot when its
 * worker has ended, and a new worker does so when it starts.
 *
 * Messages and recipients a minute: a token bucket for each client and user that holds one
 * minute's worth, as a single moment: the one at which it will be full again (GCRA). So a
 * client that was silent may send its minute's share at once, and after that it gets it
 * evenly. A bucket that is full needs no memory; when the table is full the one that is
 * nearest to it goes, and nobody is refused for want of room.
 *
 * No locks: whoever is killed anywhere leaves nothing held. Whoever can write to this memory (a
 * worker that was taken over) can let clients pass their limits or be refused; numbers that cannot
 * be true are cut to what can, so a bucket is full after a minute at the latest, and nothing
 * read here is an index or a length.
 */
#ifndef ACCESS_LIMITS_H
#define ACCESS_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define LIMITS_BUCKETS 16384 /* clients and users that are kept in mind, 24 octets each */

struct limits_shared;

/* Each process has its own of this; the sizes are not shared. A copy may count fewer slots than there is room for. */
struct limits {
	struct limits_shared *shared;
	size_t slots, bytes;
	uint64_t seed; /* strangers cannot choose what collides */
};

/* Who is counted: an address (of IPv6 its /64) or a user. Never 0. */
typedef uint64_t limits_key;

int limits_create(struct limits *l, size_t slots, struct err *e);
void limits_destroy(struct limits *l);

/* 4 or 16 octets in network order; none: of all whose address is not known */
limits_key limits_key_of_address(const struct limits *l, const unsigned char *address, size_t len);
limits_key limits_key_of_user(const struct limits *l, const char *user);

enum limits_who { LIMITS_CLIENT, LIMITS_USER };

/*
 * The worker of this slot has a connection of key from now on, if there are not `most` yet (0: any number): false, and nothing is taken,
 * when there are. One for each of client and user; what the slot had before is given back.
 */
bool limits_enter(struct limits *l, size_t slot, enum limits_who who, limits_key key, unsigned most);
/* The slot has none. */
void limits_leave(struct limits *l, size_t slot, enum limits_who who);
void limits_clear_slot(struct limits *l, size_t slot);
/* How many connections there are of key. */
unsigned limits_count(const struct limits *l, enum limits_who who, limits_key key);

enum limits_what { LIMITS_MESSAGES, LIMITS_RECIPIENTS };

/* One more; false when the minute's share (0: any number) is used up. */
bool limits_take(struct limits *l, limits_key key, enum limits_what what, unsigned a_minute, int64_t now_mono_ms);
/* It came to nothing: one back. */
void limits_give_back(struct limits *l, limits_key key, enum limits_what what, unsigned a_minute);

#endif
