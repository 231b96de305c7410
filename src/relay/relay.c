/* SPDX-License-Identifier: ISC */
/* See relay.h: the event loop, what wakes it, and the spool. What is sent when is deliver.c's. */
#include "relay/relay.h"

#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "relay/relay_internal.h"
#include "spool/recover.h"
#include "spool/state.h"

#define ORPHANS_MARGIN_MS 1000 /* after the grace time of a stopped worker, for its last commit */
#define RESCAN_RETRY_MS 5000 /* a spool that could not be listed */
#define CLOCK_STEP_MS 1000 /* less is not a step of the wall clock, but its being slewed */

/* ---- the clock -------------------------------------------------------------------- */

int64_t relay_wall_ms(void)
{
	return clock_wall_us() / 1000;
}

/* Due times are wall time. Set back, it would make what waits wait for as much longer: they go with it. */
void relay_follow_clock(struct relay *r)
{
	int64_t ahead_ms = relay_wall_ms() - clock_mono_ms(), step_ms = ahead_ms - r->wall_ahead_ms;

	r->wall_ahead_ms = ahead_ms;
	if (step_ms < -CLOCK_STEP_MS) {
		queue_shift(&r->queue, step_ms);
		r->served_wall_ms += step_ms;
	}
}

/* ---- the timer: the next thing that is due without an event ---------------------- */

static int64_t earlier(int64_t wait, int64_t until_mono_ms, int64_t now_mono)
{
	return until_mono_ms - now_mono < wait ? until_mono_ms - now_mono : wait;
}

void relay_set_timer(struct relay *r)
{
	int64_t wait = CLOCK_NEVER, now_mono = clock_mono_ms();
	struct timeval tv;

	if (r->service_wanted) {
		wait = 0;
	} else if (r->stopping) {
		wait = r->setup->control->stop_by_mono_ms - now_mono;
	} else {
		int64_t due = queue_next_due(&r->queue), now = relay_wall_ms();

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

/* ---- events ----------------------------------------------------------------------- */

static void add_new(void *ctx, const char *id)
{
	struct relay *r = ctx;
	int64_t made = spool_id_wall_us(id) / 1000, now = relay_wall_ms();

	/* ids keep their order when the clock is set back, so one may lie in the future; its message does not wait */
	queue_add(&r->queue, id, made < now ? made : now);
}

static void add_known_state(void *ctx, const char *id)
{
	struct relay *r = ctx;
	struct spool_state_head head;
	int64_t latest = relay_wall_ms() + r->setup->retry.max_ms / 10 * 11;

	if (queue_knows(&r->queue, id) || !spool_state_peek(&head, r->setup->spool, id))
		return;
	/* no wait is longer: a damaged date, or one written when the clock was wrong */
	queue_add(&r->queue, id, head.next_wall_us / 1000 < latest ? head.next_wall_us / 1000 : latest);
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
	relay_service(r);
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
	relay_settle_unsaved(r);
	rescan_if_wanted(r);
	if (r->stopping && !r->aborted && clock_mono_ms() >= r->setup->control->stop_by_mono_ms)
		abort_connections(r);
	relay_service(r);
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
	relay_service(r);
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
			relay_log_unsaved(a, &e);
		}
		attempt_free(a);
	}
}

int relay_run(const struct relay_setup *setup, struct err *e)
{
	struct relay r = { .setup = setup };
	int result = -1;

	queue_init(&r.queue);
	relay_follow_clock(&r);
	notice_reader_init(&r.notices);
	if (open_events(&r, e) < 0)
		goto out;
	recover(&r);
	list_spool(&r);
	r.orphans_mono_ms = clock_mono_ms() + setup->control->grace_ms + ORPHANS_MARGIN_MS;
	atomic_store(setup->ready, true);
	relay_service(&r);
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
