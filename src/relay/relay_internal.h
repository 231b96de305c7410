/* SPDX-License-Identifier: ISC */
/* What relay.c (events, clocks, the spool) and deliver.c (attempts and connections) share. */
#ifndef RELAY_RELAY_INTERNAL_H
#define RELAY_RELAY_INTERNAL_H

#include "relay/attempt.h"
#include "relay/notice.h"
#include "relay/queue.h"
#include "relay/relay.h"

struct event;
struct event_base;

#define RELAY_UNSAVED_RETRY_MS 5000 /* a state the disk would not take */

struct relay_conn {
	struct relay *relay;
	struct upstream_conn *conn;
	struct relay_conn *next;
	unsigned taken; /* messages it was given */
	unsigned answered; /* of these, how many the upstream answered for */
	bool is_ready;
	bool quitting;
	int64_t ready_mono_ms;
};

struct relay {
	const struct relay_setup *setup;
	struct event_base *base;
	struct upstream *upstream;
	struct event *control_event, *notice_event, *timer;
	struct queue queue;
	struct notice_reader notices;
	struct breaker breaker;
	struct relay_conn *conns;
	unsigned conn_count, connecting_count;
	struct attempt *probe; /* while PROBING: the one message that is to show how the upstream is */
	bool crowded; /* the upstream takes no more connections than it has */
	int64_t crowded_until_mono_ms; /* then one more is tried */
	int64_t answered_mono_ms; /* when the upstream last answered for a message */
	struct attempt *unsaved; /* concluded, but the disk would not take it */
	int64_t unsaved_until_mono_ms; /* then it is asked again */
	int64_t rescan_mono_ms; /* not to be listed again before */
	int64_t orphans_mono_ms; /* when no worker of a master that was killed before us can be left */
	int64_t served_wall_ms; /* what was due by then was offered to the connections */
	int64_t wall_ahead_ms; /* of monotonic time: shows when the wall clock is set */
	bool stopping, aborted;
	bool service_wanted; /* by a callback: from the event loop, at once */
};

/* ---- relay.c ---- */

int64_t relay_wall_ms(void);
/* Call before due times are compared with the clock or made from it. */
void relay_follow_clock(struct relay *r);
/* Arms the timer anew; to be called last by whatever may have changed what is due. */
void relay_set_timer(struct relay *r);

/* ---- deliver.c ---- */

/* Offers due messages to the connections there are, then opens as many more as the rest is worth. */
void relay_service(struct relay *r);
/* Tries again what the disk would not take, when its time has come. */
void relay_settle_unsaved(struct relay *r);
void relay_log_unsaved(const struct attempt *a, const struct err *e);

#endif
