/* SPDX-License-Identifier: ISC */
/*
 * The relay's two unix sockets for operators (manage/protocol.h): connections,
 * request lines, answers, ceilings and deadlines. What a request means to the
 * relay is behind `struct door_ops`; this file knows libevent and JSON and
 * nothing of queues. Runs in the relay's event loop and never blocks it.
 */
#ifndef RELAY_DOOR_H
#define RELAY_DOOR_H

#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "manage/action.h"
#include "manage/suspend.h"
#include "spool/spool.h"

struct event_base;
struct door;

struct door_ops {
	json_t *(*status)(void *ctx); /* the object of posthouse-json(5); the caller's reference */
	json_t *(*flight)(void *ctx); /* an array of what is being sent now */
	void (*ids)(void *ctx, void (*each)(void *each_ctx, const char *id), void *each_ctx); /* all it knows */
	/* At most ACTION_BATCH_MAX items; fills in each result. */
	void (*order)(void *ctx, const struct action_order *order, struct action_item *items, size_t count);
	int (*suspend)(void *ctx, const struct suspension *s, struct err *e); /* -1: no such upstream, disk */
	int (*resume)(void *ctx, const char *upstream, struct err *e); /* NULL: that of all deliveries */
	int (*probe)(void *ctx, const char *upstream, struct err *e); /* NULL: all */
};

struct door_setup {
	const struct spool *spool; /* where the sockets are, and what {"ask":"open"} opens */
	gid_t view_gid, control_gid; /* (gid_t)-1: nobody but root and ourselves */
	int event_fd; /* log lines of the other processes, one a datagram, for watchers; -1: none */
	const struct door_ops *ops;
	void *ctx;
};

/* Replaces sockets a dead relay left behind (we hold the spool lock). */
int door_open(struct door **d, struct event_base *base, const struct door_setup *setup, struct err *e);
void door_close(struct door *d); /* NULL is allowed; takes the sockets away */

#endif
