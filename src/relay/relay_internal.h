/* SPDX-License-Identifier: ISC */
/*
 * What the files of the relay share:
 *
 *   relay.c     the event loop, its clocks and timer, the start and the end
 *   listing.c   the spool's names into the queue, a piece at a time
 *   router.c    messages to lanes
 *   lane.c      one upstream: its addresses, connections and limits
 *   carry.c     connections, of whichever kind
 *   deliver.c   messages to connections, and what follows when an attempt ends
 *   overdue.c   what was to be delivered by a time that its sender named
 *   sweep.c     what is too old, and who is to be told of a delay
 *   flush_run.c what clients want tried now (relay/flush.h)
 *   beat.c      once a second: that the loop turns, and the figures of what there is
 *   unsaved.c   what the disk would not take, from one relay to the next
 *   operate.c   what operators want (relay/door.h), and status.c what they see
 */
#ifndef RELAY_RELAY_INTERNAL_H
#define RELAY_RELAY_INTERNAL_H

#include "manage/action.h"
#include "manage/suspend.h"
#include "relay/attempt.h"
#include "relay/deadlines.h"
#include "relay/door.h"
#include "relay/flush.h"
#include "relay/notice.h"
#include "relay/place.h"
#include "relay/program_conn.h"
#include "relay/queue.h"
#include "relay/rates.h"
#include "relay/relay.h"
#include "relay/throttle.h"
#include "upstream/remotes.h"

struct event;
struct event_base;
struct spool_listing;

#define RELAY_UNSAVED_RETRY_MS 5000 /* a state the disk would not take */
#define RELAY_SYSTEM_RETRY_MS 60000 /* a message the system would not let us read */
#define RELAY_SLICE_MS 1 /* of work on many messages, before other events get their turn */

struct relay_conn {
	struct relay_upstream *upstream;
	struct relay_remote *remote;
	struct upstream_conn *conn; /* either this, or the next */
	struct program_conn *program;
	struct relay_conn *next;
	unsigned taken; /* messages it was given */
	unsigned answered; /* of these, how many the upstream answered for */
	bool is_probe; /* opened to see whether its address is well again */
	bool is_ready;
	bool quitting;
	uint64_t credentials; /* which ones it was opened with */
	int64_t ready_mono_ms;
};

struct relay_remote {
	const struct relay_remote_config *config;
	unsigned conn_count, connecting_count;
	struct attempt *probe; /* while PROBING: the one message that is to show how the address is */
	int64_t crowded_until_mono_ms; /* it takes no more connections than it has; then one more is tried */
	bool crowded;
	int64_t answered_mono_ms; /* when it last answered for a message */
	bool lacks_requiretls; /* as its last session said */
	char *last_trouble; /* NULL: none; owned */
	int64_t last_trouble_wall_us;
};

struct relay_upstream {
	struct relay *relay;
	const struct relay_upstream_config *config;
	size_t lane; /* its index */
	struct relay_remote *remote; /* owned */
	struct remote *choice; /* of each remote, what the policy knows; owned */
	struct relay_conn *conns;
	unsigned conn_count, connecting_count; /* probes are not counted as connecting */
	struct throttle throttle;
	struct bucket bucket;
	bool is_suspended;
	bool was_available; /* when we last looked */
	bool wants_credentials; /* it has trouble for want of them, or of others than it has */
	uint64_t refused_credentials; /* those that it would not have; 0: none */
	bool passed_over; /* mail for it waits elsewhere: it is to be asked how it is even with an empty lane */
	int64_t last_delivered_wall_us;
	char *last_trouble; /* NULL: none; owned */
};

struct relay {
	const struct relay_setup *setup;
	const struct relay_config *config; /* setup's */
	struct event_base *base;
	struct upstream *client; /* the SMTP client */
	struct event *control_event, *notice_event, *timer, *beat;
	int64_t oldest_due_mono_ms; /* when the oldest message is looked for again, for the figures */
	struct door *door;
	struct attempt_rules rules;
	struct rates rates;
	struct queue queue;
	struct notice_reader notices;
	struct flushes flushes; /* wanted */
	bool flush_overflowed; /* by more than there is room for: it was told */
	struct flush_run *flush_run; /* under way; NULL: none; owned */
	int64_t flush_least_mono_ms; /* the next one not before */
	struct deadlines deadlines;
	struct relay_upstream *upstream; /* owned */
	size_t upstream_count;
	size_t undecided; /* the lane of messages whose way depends on an answer that nobody can give yet */
	size_t unsorted; /* the lane of messages whose way is not known yet */
	size_t unread; /* the lane of messages whose state was not looked at yet (QUEUE_PEEK) */
	struct place_upstream *place; /* scratch of the router, one an upstream and one more; owned */
	struct suspensions suspensions;
	struct attempt *attempts; /* under way */
	struct attempt *unsaved; /* concluded, but the disk would not take it */
	int64_t unsaved_until_mono_ms; /* then it is asked again */
	/* listing the spool */
	struct spool_listing *listing; /* under way; NULL: none */
	bool listing_states;
	int64_t rescan_mono_ms; /* not to be listed again before */
	int64_t orphans_mono_ms; /* when no worker of a master that was killed before us can be left */
	/* the sweep */
	bool sweeping;
	uint32_t sweep_at; /* in the queue */
	int64_t sweep_wall_ms; /* when the next one is worth it */
	int64_t sweep_least_mono_ms, sweep_most_mono_ms; /* but not before, and not later */
	int64_t sweep_next_wall_ms; /* found by the one under way */
	int64_t served_wall_ms; /* what was due by then was offered to the connections */
	int64_t wall_ahead_ms; /* of monotonic time: shows when the wall clock is set */
	int64_t started_wall_us;
	bool stopping, aborted;
	bool service_wanted; /* by a callback: from the event loop, at once */
};

/* ---- relay.c ---- */

int64_t relay_wall_ms(void);
double relay_luck(void);
/* Call before due times are compared with the clock or made from it. */
void relay_follow_clock(struct relay *r);
/* Arms the timer anew; to be called last by whatever may have changed what is due. */
void relay_set_timer(struct relay *r);
/* Offers due messages to the connections there are, then opens as many more as the rest is worth. */
void relay_service(struct relay *r);

/* ---- listing.c ---- */

/* A message that was announced: by a worker, or made by us (a report). */
void relay_add_new(void *ctx, const char *id);
void relay_list_begin(struct relay *r);
void relay_list_step(struct relay *r, int64_t by_mono_ms); /* one slice, when a listing is under way */
void relay_list_end(struct relay *r);

/* ---- router.c ---- */

/* Puts due messages of unknown way into lanes, and looks at states that were only listed; one slice. */
void relay_route(struct relay *r, int64_t by_mono_ms);
/* A taken message that is not being sent goes where it belongs by its state: a lane, parked, out. Frees a. */
void relay_replace(struct relay *r, struct attempt *a);
/* The same, whatever came of opening it; one that the system would not let us read waits in that lane. */
void relay_replace_opened(struct relay *r, const char *id, enum attempt_open opened, struct attempt *a, size_t lane);
/* As relay_replace, for a state that was just saved with this result (not UNSAVED). */
void relay_place_saved(struct relay *r, struct attempt *a, enum attempt_saved saved);
/* Where a message waits whose way is not known: the only lane, or the unsorted ones. */
size_t relay_first_lane(const struct relay *r);

/* ---- lane.c ---- */

void lane_init(struct relay_upstream *u, struct relay *r, size_t index);
void lane_release(struct relay_upstream *u);
enum breaker_state lane_state(const struct relay_upstream *u);
/* Up, and not suspended: mail may go there now. */
bool lane_is_available(const struct relay_upstream *u);
/* Connections there may be now. */
unsigned lane_connections_allowed(const struct relay_upstream *u);
/* Ends pauses that are over, offers due messages to its connections, opens and retires some. */
void lane_service(struct relay_upstream *u);
/* When it wants to be served without an event, CLOCK_NEVER: not; monotonic. */
int64_t lane_next_mono_ms(struct relay_upstream *u);
/* An attempt or connection showed that the address is not well, or that it is. */
void lane_trouble(struct relay_upstream *u, struct relay_remote *remote, const char *reason);
void lane_worked(struct relay_upstream *u, struct relay_remote *remote);
/* It asked us to slow down, or took a message. */
void lane_slow_down(struct relay_upstream *u, const char *reply);
void lane_delivered(struct relay_upstream *u);
/* Ends the pause of its addresses: they are asked now. */
void lane_probe(struct relay_upstream *u);
/* Starts and stops what keeps its credentials good. */
void lane_start(struct relay_upstream *u);
void lane_stop(struct relay_upstream *u);
/* Has connections, or credentials that are being asked for: a stop waits for that. */
bool lane_is_busy(const struct relay_upstream *u);
/* Connections to take nothing more. */
void lane_quit_all(struct relay_upstream *u);

/* ---- carry.c: upstream_conn_..., or program_conn_... ---- */

void carry_open(struct relay_conn *rc, const struct upstream_conn_ops *ops);
void carry_kick(struct relay_conn *rc);
void carry_quit(struct relay_conn *rc);
void carry_abort(struct relay_conn *rc);
size_t carry_in_flight(const struct relay_conn *rc);
/* From ready on. */
const struct upstream_features *carry_features(const struct relay_conn *rc);
bool carry_can_requiretls(const struct relay_conn *rc);
/* Notes which way a message goes that the connection took. */
void carry_note_way(const struct relay_conn *rc, struct attempt *a);

/* ---- deliver.c ---- */

/* The next message for a connection, NULL: none now. For upstream_conn_ops. */
struct upstream_txn *relay_next_txn(struct upstream_conn *conn, void *ctx);
/* Saves what was decided of a taken message; keeps the attempt when the disk refuses, else frees it. */
void relay_settle(struct relay *r, struct attempt *a);
/* Tries again what the disk would not take, when its time has come. */
void relay_settle_unsaved(struct relay *r);
void relay_log_unsaved(const struct attempt *a, const struct err *e);

/* ---- unsaved.c ---- */

/* At the start, before anything is listed: what the relay before this one could not save is known, and tried again. */
void unsaved_take(struct relay *r);
/* At the end: tries it once more, and leaves the rest to the next relay. */
void unsaved_leave(struct relay *r);

/* ---- sweep.c ---- */

/* A message is known from now on: its time may come before the next sweep. */
void sweep_note(struct relay *r, const char *id);
/* One slice, when it is time. */
void sweep_step(struct relay *r, int64_t by_mono_ms);
int64_t sweep_next_mono_ms(const struct relay *r); /* CLOCK_NEVER: no time is known */

/* ---- flush_run.c ---- */

/* A request on the notice pipe. */
void flush_want(void *ctx, const struct flush *one);
/* One slice, when something is wanted and it is time. */
void flush_step(struct relay *r, int64_t by_mono_ms);
int64_t flush_next_mono_ms(const struct relay *r);
void flush_release(struct relay *r);

/* Tells the sender of the delay, once; false when that could not be done and is to be tried again. */
bool relay_warn(struct relay *r, struct attempt *a);

/* ---- overdue.c ---- */

/* A loaded message waits again: its moment is remembered, if it has one. */
void overdue_note(struct relay *r, const struct attempt *a);
/* Opens one that waits to find out. */
void overdue_look(struct relay *r, const char *id);
/* One that was released: its moment may have passed while it was held. */
void overdue_look_again(struct relay *r, const char *id);
/* As relay_add_new, for one that is known to have a moment. */
void overdue_add_new(void *ctx, const char *id);
/* One slice of those whose moment has come. */
void overdue_step(struct relay *r, int64_t by_mono_ms);
int64_t overdue_next_mono_ms(const struct relay *r); /* CLOCK_NEVER: none */

/* ---- beat.c ---- */

void relay_beat_begin(struct relay *r);

/* ---- operate.c, status.c ---- */

/* As an operator's "retry"; the results stand in the items. */
void operate_retry(struct relay *r, struct action_item *items, size_t count, const char *by);

void operate_open(struct relay *r);
void operate_close(struct relay *r);
/* Suspensions that are over end. */
void operate_follow_clock(struct relay *r);
/* Before an attempt that ended is saved and freed: true when it was removed meanwhile (a is freed). */
bool operate_attempt_removed(struct relay *r, struct attempt *a);
/* The orders that waited for the end of an attempt on this message. */
void operate_run_orders(struct relay *r, struct attempt_order *orders, const char *id);
void operate_free_orders(struct attempt_order *orders);

json_t *status_of_relay(void *ctx);
json_t *status_of_flight(void *ctx);

#endif
