/* SPDX-License-Identifier: ISC */
/*
 * Deliveries that an operator stopped: of one upstream, or all. Kept in
 * SPOOL/suspended, so it outlives restarts, and written whole. Each may end
 * by itself. Written by the relay, or by a command that holds the spool lock.
 */
#ifndef MANAGE_SUSPEND_H
#define MANAGE_SUSPEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "spool/spool.h"

struct suspension {
	char *upstream; /* NULL: all deliveries; owned */
	int64_t since_wall_us;
	int64_t until_wall_us; /* 0: until resumed */
	char *reason; /* NULL: none; owned */
	char *by; /* "uid=0", NULL: unknown; owned */
};

struct suspensions {
	struct suspension *item; /* owned */
	size_t count;
};

void suspensions_init(struct suspensions *all);
void suspensions_release(struct suspensions *all);
/*
 * Reads SPOOL/suspended; no file is no suspension. -1 and e when it is damaged or unreadable: then nothing is
 * known, and the caller must say so loudly.
 */
int suspensions_load(struct suspensions *all, const struct spool *s, struct err *e);
/* Replaces the file, durably; removes it when there is none. */
int suspensions_save(const struct suspensions *all, const struct spool *s, struct err *e);

/* Copies it, in the place of one for the same upstream. */
void suspensions_set(struct suspensions *all, const struct suspension *one);
/* Takes one out (NULL: that of all deliveries); false when there is none. */
bool suspensions_lift(struct suspensions *all, const char *upstream);
/* Takes out those that are over; how many. */
size_t suspensions_expire(struct suspensions *all, int64_t now_wall_us);
/* The one in effect for an upstream: its own, else that of all deliveries, else NULL. */
const struct suspension *suspensions_find(const struct suspensions *all, const char *upstream, int64_t now_wall_us);
/* When the next one ends; CLOCK_NEVER when none does. */
int64_t suspensions_next_end(const struct suspensions *all);

#endif
