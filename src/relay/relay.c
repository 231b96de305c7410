/* SPDX-License-Identifier: ISC */
/* See relay.h. */
#include "relay/relay.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "relay/attempt.h"
#include "relay/notice.h"
#include "relay/queue.h"
#include "spool/recover.h"
#include "spool/state.h"

#define SYSTEM_RETRY_MS 60000 /* a message the system would not let us read */
#define ORPHANS_MARGIN_MS 1000 /* after the grace time of a stopped worker, for its last commit */
#define UNSAVED_RETRY_MS 5000 /* a state the disk would not take */
#define RESCAN_RETRY_MS 5000 /* a spool that could not be listed */
#define IDLE_IS_NORMAL_MS 1000 /* a peer may close a connection that was unused this long */
#define ALIVE_MS 60000 /* an upstream that answered this recently is not down because it refuses a connection */
#define CLOCK_STEP_MS 1000 /* less is not a step of the wall clock, but its being slewed */
#define OPENED_AT_ONCE 64 /* messages that come to nothing, before other events get their turn */

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
	int64_t wall_ahead_ms; /* of monotonic time: shows when the wall clock is set */
	bool stopping, aborted;
	bool service_wanted; /* by a callback: from the event loop, at once */
	int64_t served_wall_ms; /* what was due by then was offered to the connections */
};

static double luck(void)
{
	uint32_t n;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		return 0.5;
	return n / 4294967296.0;
}

static int64_t wall_ms(void)
{
	return clock_wall_us() / 1000;
}

/* Due times are wall time. Set back, it would make what waits wait for as much longer: they go with it. */
static void follow_clock(struct relay *r)
{
	int64_t ahead_ms = wall_ms() - clock_mono_ms(), step_ms = ahead_ms - r->wall_ahead_ms;

	r->wall_ahead_ms = ahead_ms;
	if (step_ms < -CLOCK_STEP_MS)
		queue_shift(&r->queue, step_ms);
}

static void service(struct relay *r);

/* ---- the timer: the next thing that is due without an event ---------------------- */

static int64_t earlier(int64_t wait, int64_t until_mono_ms, int64_t now_mono)
{
	return until_mono_ms - now_mono < wait ? until_mono_ms - now_mono : wait;
}

static void set_timer(struct relay *r)
{
	int64_t wait = CLOCK_NEVER, now_mono = clock_mono_ms();
	struct timeval tv;

	if (r->service_wanted) {
		wait = 0;
	} else if (r->stopping) {
		wait = r->setup->control->stop_by_mono_ms - now_mono;
	} else {
		int64_t due = queue_next_due(&r->queue), now = wall_ms();

		/* what was due when service() looked waits for a connection or the end of a pause, not for time;
		 * what became due since then is still to be looked at */
		if (due != CLOCK_NEVER && due > r->served_wall_ms)
			wait = due - now;
		if (r->breaker.state == BREAKER_PAUSED)
			wait = earlier(wait, r->breaker.paused_until_mono_ms, now_mono);
		if (r->crowded && r->crowded_until_mono_ms > now_mono)
			wait = earlier(wait, r->crowded_until_mono_ms, now_mono);
		if (r->unsaved)
			wait = earlier(wait, r->unsaved_until_mono_ms, now_mono);
		if (atomic_load(r->setup->rescan_wanted))
			wait = earlier(wait, r->rescan_mono_ms, now_mono);
		if (r->orphans_mono_ms != CLOCK_NEVER)
			wait = earlier(wait, r->orphans_mono_ms, now_mono);
	}
	if (wait == CLOCK_NEVER) {
		event_del(r->timer);
		return;
	}
	if (wait < 0)
		wait = 0;
	/* wall time may be set: look again at least once a minute */
	if (wait > 60000)
		wait = 60000;
	tv.tv_sec = wait / 1000;
	tv.tv_usec = wait % 1000 * 1000;
	event_add(r->timer, &tv);
}

/* ---- after an attempt ------------------------------------------------------------- */

static void log_unsaved(const struct attempt *a, const struct err *e)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_ERROR, "unsaved");
	log_str(&line, "id", a->message.env.id);
	log_str(&line, "reason", e->text);
	log_end(&line);
}

/* Saves what was decided; keeps the attempt when the disk refuses. */
static void settle(struct relay *r, struct attempt *a, bool is_first_time)
{
	const char *id = a->message.env.id;
	struct err e;

	switch (attempt_save(a, r->setup->spool, &e)) {
	case ATTEMPT_COMPLETED:
	case ATTEMPT_PARKED:
		queue_forget(&r->queue, id);
		break;
	case ATTEMPT_AGAIN:
		queue_give_back(&r->queue, id, a->due_wall_ms);
		break;
	case ATTEMPT_UNSAVED:
		/* it must not be sent again: it stays taken, and we remember what became of it */
		if (is_first_time)
			log_unsaved(a, &e);
		if (!r->unsaved)
			r->unsaved_until_mono_ms = clock_mono_ms() + UNSAVED_RETRY_MS;
		a->next_unsaved = r->unsaved;
		r->unsaved = a;
		return;
	}
	attempt_free(a);
}

static void settle_unsaved(struct relay *r)
{
	struct attempt *list = r->unsaved;

	if (clock_mono_ms() < r->unsaved_until_mono_ms)
		return;
	r->unsaved = NULL;
	while (list) {
		struct attempt *a = list;

		list = a->next_unsaved;
		settle(r, a, false);
	}
}

static void log_upstream(struct relay *r, enum log_level level, const char *event, const char *reason, int64_t pause_ms)
{
	struct log_line line;

	log_begin(&line, level, event);
	log_str(&line, "upstream", r->setup->upstream.name);
	if (reason) {
		log_seconds(&line, "pause", pause_ms);
		log_str(&line, "reason", reason);
	}
	log_end(&line);
}

static void note_trouble(struct relay *r, const char *reason)
{
	bool probed = r->breaker.state == BREAKER_PROBING, news;
	int64_t pause = breaker_failed(&r->breaker, &r->setup->probe, luck(), clock_mono_ms(), &news);

	r->probe = NULL; /* what is still to come of it counts, but nobody waits for that */
	/* each probe is told: who looks during the night must not search the log for its first line */
	log_upstream(r, news ? LOG_LEVEL_WARNING : probed ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
		     news ? "upstream_down" : "upstream_still_down", reason, pause);
}

static void attempt_done(struct upstream_txn *t, const struct upstream_outcome *outcome)
{
	struct attempt *a = (struct attempt *)t;
	struct relay_conn *rc = a->owner;
	struct relay *r = rc->relay;
	struct attempt_result result;

	follow_clock(r);
	result = attempt_conclude(a, outcome, &r->setup->retry, luck());
	if (r->probe == a)
		r->probe = NULL;
	if (result.answered) {
		rc->answered++;
		r->answered_mono_ms = clock_mono_ms();
	}
	if (result.upstream_trouble)
		note_trouble(r, outcome->reply.text);
	else if (result.answered && breaker_worked(&r->breaker)) {
		log_upstream(r, LOG_LEVEL_INFO, "upstream_up", NULL, 0);
		r->service_wanted = true; /* what waited behind the probe */
	}
	if (result.touched) {
		settle(r, a, true);
	} else {
		queue_give_back(&r->queue, a->message.env.id, a->due_wall_ms);
		attempt_free(a);
		r->service_wanted = true; /* it is due, and another connection may be free */
	}
	set_timer(r);
}

/* ---- connections -------------------------------------------------------------------- */

static struct upstream_txn *conn_next(struct upstream_conn *conn, void *ctx)
{
	struct relay_conn *rc = ctx;
	struct relay *r = rc->relay;
	unsigned limit = r->setup->messages_per_connection;
	struct spool_id id;
	struct attempt *a;

	if (rc->quitting)
		return NULL;
	if (r->stopping || r->breaker.state == BREAKER_PAUSED || (limit && rc->taken >= limit)) {
		rc->quitting = true;
		upstream_conn_quit(conn);
		return NULL;
	}
	/* a probe is one message: a thousand must not meet an upstream that is not well */
	if (r->breaker.state == BREAKER_PROBING && (r->probe || upstream_conn_in_flight(conn) > 0))
		return NULL;
	for (int i = 0; i < OPENED_AT_ONCE; i++) {
		if (!queue_take(&r->queue, wall_ms(), &id))
			return NULL;
		switch (attempt_open(&a, r->setup->spool, id.text, r->setup->upstream.name, attempt_done)) {
		case ATTEMPT_READY:
			a->owner = rc;
			snprintf(a->remote, sizeof(a->remote), "%s", upstream_conn_remote(conn));
			rc->taken++;
			if (r->breaker.state == BREAKER_PROBING)
				r->probe = a;
			return &a->txn;
		case ATTEMPT_GONE:
		case ATTEMPT_NOTHING_TO_DO:
		case ATTEMPT_QUARANTINED:
			queue_forget(&r->queue, id.text);
			break;
		case ATTEMPT_LATER:
			queue_give_back(&r->queue, id.text, wall_ms() + SYSTEM_RETRY_MS);
			break;
		}
	}
	r->service_wanted = true;
	set_timer(r);
	return NULL;
}

static void conn_ready(struct upstream_conn *conn, void *ctx)
{
	struct relay_conn *rc = ctx;

	(void)conn;
	rc->is_ready = true;
	rc->ready_mono_ms = clock_mono_ms();
	rc->relay->connecting_count--;
	if (rc->relay->crowded)
		rc->relay->service_wanted = true; /* there was room for it: perhaps for another */
}

/* Did this connection end for a reason that should make us wait before the next? */
static bool is_trouble(const struct relay_conn *rc, const struct upstream_outcome *why)
{
	if (rc->quitting || rc->answered > 0 || why->how == UPSTREAM_SOURCE_FAILED)
		return false;
	if (!rc->is_ready)
		return true;
	if (why->how == UPSTREAM_ANSWERED && why->reply.code == 221)
		return false;
	/* never asked for anything: peers may tire of idle connections, but not at once */
	return rc->taken > 0 || clock_mono_ms() - rc->ready_mono_ms < IDLE_IS_NORMAL_MS;
}

/*
 * A session that did not come about is no trouble while others work: many upstreams limit how many
 * connections they take from one address. To pause for that, to be answered on another connection, and so
 * to try again with each message would be a storm of connections.
 */
static bool is_crowded(const struct relay *r, const struct relay_conn *failed)
{
	if (failed->is_ready || r->conn_count == r->connecting_count)
		return false;
	return r->answered_mono_ms > 0 && clock_mono_ms() - r->answered_mono_ms < ALIVE_MS;
}

static void note_crowd(struct relay *r, const char *reason)
{
	int64_t pause = retry_interval_ms(&r->setup->probe, 1, luck());

	log_upstream(r, r->crowded ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "upstream_crowded", reason, pause);
	r->crowded = true;
	r->crowded_until_mono_ms = clock_mono_ms() + pause;
}

static void conn_closed(struct upstream_conn *conn, void *ctx, const struct upstream_outcome *why, bool ever_ready)
{
	struct relay_conn *rc = ctx, **at;
	struct relay *r = rc->relay;

	(void)conn;
	if (!ever_ready)
		r->connecting_count--;
	for (at = &r->conns; *at != rc; at = &(*at)->next)
		;
	*at = rc->next;
	r->conn_count--;
	if (!r->stopping && is_trouble(rc, why)) {
		char reason[SMTP_REPLY_TEXT_MAX + 64];

		snprintf(reason, sizeof(reason), "%s: %s", upstream_phase_name(why->phase), why->reply.text);
		if (is_crowded(r, rc))
			note_crowd(r, reason);
		else
			note_trouble(r, reason);
	}
	if (r->conn_count == 0)
		r->crowded = false;
	free(rc);
	r->service_wanted = true;
	set_timer(r);
}

static void conn_trace(void *ctx, bool from_upstream, const char *text, size_t len)
{
	struct log_line line;

	(void)ctx;
	log_begin(&line, LOG_LEVEL_DEBUG, "upstream_dialogue");
	log_strn(&line, from_upstream ? "received" : "sent", text, len);
	log_end(&line);
}

static const struct upstream_conn_ops conn_ops = { conn_ready, conn_next, conn_closed, NULL };
static const struct upstream_conn_ops conn_ops_traced = { conn_ready, conn_next, conn_closed, conn_trace };

static void open_connection(struct relay *r)
{
	struct relay_conn *rc = mem_alloc(sizeof(*rc));

	rc->relay = r;
	rc->next = r->conns;
	r->conns = rc;
	r->conn_count++;
	r->connecting_count++;
	rc->conn = upstream_conn_open(r->upstream, &r->setup->upstream,
				      r->setup->trace ? &conn_ops_traced : &conn_ops, rc);
}

/* How many connections there may be now. */
static unsigned connection_limit(struct relay *r)
{
	int64_t now_mono = clock_mono_ms();
	unsigned limit = breaker_connections(&r->breaker, r->setup->max_connections, now_mono);

	if (r->breaker.state == BREAKER_PROBING) {
		/* those that hang with what they took before the trouble began must not keep us from asking */
		limit = r->probe ? 0 : 1;
		for (const struct relay_conn *rc = r->conns; rc && limit > 0; rc = rc->next)
			limit += upstream_conn_in_flight(rc->conn) > 0;
	} else if (r->crowded && limit > 0) {
		bool may_try = now_mono >= r->crowded_until_mono_ms && r->connecting_count == 0;

		limit = r->conn_count + may_try;
	}
	return limit < r->setup->max_connections ? limit : r->setup->max_connections;
}

/* Offers due messages to the connections there are, then opens as many more as the rest is worth. */
static void service(struct relay *r)
{
	int64_t now = wall_ms();
	unsigned allowed;
	size_t due;

	follow_clock(r);
	r->service_wanted = false;
	r->served_wall_ms = now;
	if (r->stopping) {
		if (r->conn_count == 0)
			event_base_loopbreak(r->base);
		set_timer(r);
		return;
	}
	(void)breaker_connections(&r->breaker, r->setup->max_connections, clock_mono_ms()); /* the pause may be over */
	if (queue_count_due(&r->queue, now, 1) > 0) {
		for (struct relay_conn *rc = r->conns, *next; rc; rc = next) {
			next = rc->next;
			if (rc->is_ready && !rc->quitting)
				upstream_conn_kick(rc->conn);
		}
	}
	allowed = connection_limit(r);
	due = queue_count_due(&r->queue, now, r->setup->max_connections);
	while (r->conn_count < allowed && r->connecting_count < due)
		open_connection(r);
	set_timer(r);
}

/* ---- events ----------------------------------------------------------------------- */

static void add_new(void *ctx, const char *id)
{
	struct relay *r = ctx;
	int64_t made = spool_id_wall_us(id) / 1000, now = wall_ms();

	/* ids keep their order when the clock is set back, so one may lie in the future; its message does not wait */
	queue_add(&r->queue, id, made < now ? made : now);
}

static void add_known_state(void *ctx, const char *id)
{
	struct relay *r = ctx;
	int64_t next_wall_us, latest = wall_ms() + r->setup->retry.max_ms / 10 * 11;

	if (queue_knows(&r->queue, id) || !spool_state_peek_next(r->setup->spool, id, &next_wall_us))
		return;
	/* no wait is longer: a damaged date, or one written when the clock was wrong */
	queue_add(&r->queue, id, next_wall_us / 1000 < latest ? next_wall_us / 1000 : latest);
}

static void list_spool(struct relay *r)
{
	struct err e;

	/* states first: what they postpone must not be taken for new */
	if (spool_scan_states(r->setup->spool, add_known_state, r, &e) < 0 ||
	    spool_scan(r->setup->spool, add_new, NULL, r, &e) < 0) {
		log_msg(LOG_LEVEL_ERROR, "spool_error", "%s", e.text);
		atomic_store(r->setup->rescan_wanted, true);
		r->rescan_mono_ms = clock_mono_ms() + RESCAN_RETRY_MS;
	}
}

static void rescan_if_wanted(struct relay *r)
{
	/* a worker that outlived its master may have committed mail that nobody told us of */
	if (clock_mono_ms() >= r->orphans_mono_ms) {
		r->orphans_mono_ms = CLOCK_NEVER;
		atomic_store(r->setup->rescan_wanted, true);
	}
	if (clock_mono_ms() < r->rescan_mono_ms || !atomic_exchange(r->setup->rescan_wanted, false))
		return;
	log_msg(LOG_LEVEL_DEBUG, "rescan", "there may be mail that nobody told of: listing the spool");
	list_spool(r);
}

static void on_notice(evutil_socket_t fd, short what, void *ctx)
{
	struct relay *r = ctx;
	char data[16384];
	ssize_t n;

	(void)what;
	while ((n = read(fd, data, sizeof(data))) > 0)
		notice_read(&r->notices, data, (size_t)n, add_new, r);
	if (n == 0)
		event_del(r->notice_event); /* the master and all workers are gone; the control line says so too */
	rescan_if_wanted(r);
	service(r);
}

static void abort_connections(struct relay *r)
{
	r->aborted = true;
	while (r->conns)
		upstream_conn_abort(r->conns->conn);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct relay *r = ctx;

	(void)fd;
	(void)what;
	settle_unsaved(r);
	rescan_if_wanted(r);
	if (r->stopping && !r->aborted && clock_mono_ms() >= r->setup->control->stop_by_mono_ms)
		abort_connections(r);
	service(r);
}

static void on_control(evutil_socket_t fd, short what, void *ctx)
{
	struct relay *r = ctx;

	(void)fd;
	(void)what;
	control_read(r->setup->control);
	if (!r->setup->control->retiring)
		return;
	event_del(r->control_event); /* after the end of file it would stay readable */
	r->stopping = true;
	if (r->setup->control->stop_by_mono_ms == CLOCK_NEVER)
		r->setup->control->stop_by_mono_ms = clock_mono_ms() + r->setup->control->grace_ms;
	for (struct relay_conn *rc = r->conns, *next; rc; rc = next) {
		next = rc->next;
		rc->quitting = true;
		if (rc->is_ready)
			upstream_conn_quit(rc->conn);
		else
			upstream_conn_abort(rc->conn);
	}
	service(r);
}

/* ---- life --------------------------------------------------------------------------- */

static void recover(struct relay *r)
{
	struct spool_recovery found;
	struct log_line line;
	struct err e;

	if (spool_recover(r->setup->spool, r->setup->started_wall_us, &found, &e) < 0)
		log_msg(LOG_LEVEL_ERROR, "spool_error", "%s", e.text);
	if (found.unfinished + found.orphans + found.quarantined == 0)
		return;
	log_begin(&line, LOG_LEVEL_WARNING, "recovered");
	log_int(&line, "unfinished", (int64_t)found.unfinished);
	log_int(&line, "orphans", (int64_t)found.orphans);
	log_int(&line, "quarantined", (int64_t)found.quarantined);
	log_end(&line);
}

static int open_events(struct relay *r, struct err *e)
{
	const struct relay_setup *setup = r->setup;

	r->base = event_base_new();
	if (!r->base) {
		err_set(e, "cannot make an event loop");
		return -1;
	}
	if (upstream_open(&r->upstream, r->base, e) < 0)
		return -1;
	r->control_event = event_new(r->base, setup->control->fd, EV_READ | EV_PERSIST, on_control, r);
	r->notice_event = event_new(r->base, setup->notice_fd, EV_READ | EV_PERSIST, on_notice, r);
	r->timer = evtimer_new(r->base, on_timer, r);
	ASSERT(r->control_event && r->notice_event && r->timer);
	event_add(r->control_event, NULL);
	event_add(r->notice_event, NULL);
	return 0;
}

static void close_events(struct relay *r)
{
	if (r->control_event)
		event_free(r->control_event);
	if (r->notice_event)
		event_free(r->notice_event);
	if (r->timer)
		event_free(r->timer);
	if (r->upstream)
		upstream_close(r->upstream);
	if (r->base)
		event_base_free(r->base);
}

static void last_words(struct relay *r)
{
	struct err e;

	/* the disk has one more chance; then the log is all that knows */
	while (r->unsaved) {
		struct attempt *a = r->unsaved;

		r->unsaved = a->next_unsaved;
		if (attempt_save(a, r->setup->spool, &e) == ATTEMPT_UNSAVED) {
			err_prefix(&e, "its deliveries could not be recorded and may be repeated after the next start");
			log_unsaved(a, &e);
		}
		attempt_free(a);
	}
}

int relay_run(const struct relay_setup *setup, struct err *e)
{
	struct relay r = { .setup = setup };
	int result = -1;

	queue_init(&r.queue);
	follow_clock(&r);
	notice_reader_init(&r.notices);
	if (open_events(&r, e) < 0)
		goto out;
	recover(&r);
	list_spool(&r);
	r.orphans_mono_ms = clock_mono_ms() + setup->control->grace_ms + ORPHANS_MARGIN_MS;
	atomic_store(setup->ready, true);
	service(&r);
	if (event_base_dispatch(r.base) < 0) {
		err_set(e, "the event loop failed");
		goto out;
	}
	last_words(&r);
	result = 0;
out:
	close_events(&r);
	queue_release(&r.queue);
	return result;
}
