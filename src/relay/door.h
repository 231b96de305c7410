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
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
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
	/* upstream NULL: that of all deliveries; all. by: who asks, for the log */
	int (*resume)(void *ctx, const char *upstream, const char *by, struct err *e);
	int (*probe)(void *ctx, const char *upstream, const char *by, struct err *e);
};

struct door_setup {
	const struct spool *spool; /* where the sockets are, and what {"ask":"open"} opens */
	gid_t view_gid, control_gid; /* (gid_t)-1: nobody but root and ourselves */
	int event_fd; /* log lines of the other processes, one a datagram, for watchers; non-blocking; -1: none */
	_Atomic bool *watched; /* kept true while somebody watches: then they send them; NULL: nobody asks */
	_Atomic uint64_t *lost; /* lines that they could not send, counted by them; NULL: not known */
	const struct door_ops *ops;
	void *ctx;
	int request_ms, idle_ms; /* other deadlines than the following, for tests; 0: those */
};

#define DOOR_LISTS_NAME "lists" /* the file of SPOOL that {"ask":"lists"} opens */

#define DOOR_VIEW_MAX 32 /* connections */
#define DOOR_VIEW_MAX_A_USER 16 /* of them; root has no limit of its own */
#define DOOR_CONTROL_MAX 8
#define DOOR_REQUEST_MS 10000 /* for a request that was begun */
#define DOOR_IDLE_MS 600000 /* without a request */
#define DOOR_STALLED_MS 30000 /* for a reader that takes nothing of its answer */
#define DOOR_WATCH_OUTPUT_MAX (256u << 10) /* octets a watcher may leave unread */

/* Replaces sockets a dead relay left behind (we hold the spool lock). */
/* Takes the tap of the log (base/log.h) for watchers. */
int door_open(struct door **d, struct event_base *base, const struct door_setup *setup, struct err *e);
/*
 * NULL is allowed. Who was answered hears it, if they read; who was not sees the end, and may ask the next relay. The
 * sockets' files stay, as a sign that there will be one: they are the master's to remove when it stops.
 */
void door_close(struct door *d);

#endif
