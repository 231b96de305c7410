/* SPDX-License-Identifier: ISC */
/*
 * See relay.h: the event loop, what wakes it, its start and its end. relay_internal.h names the other parts.
 */
#include "relay/relay.h"
#include "relay/relay_internal.h"

#include <event2/event.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "figures/figures.h"
#include "spool/recover.h"

#define ORPHANS_MARGIN_MS 1000 /* after the grace time of a stopped worker, for its last commit */
#define CLOCK_STEP_MS 1000 /* less is not a step of the wall clock, but its being slewed */

double relay_luck(void)
{
	uint32_t n;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		return 0.5;
	return n / 4294967296.0;
}

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

static int64_t earlier(int64_t one, int64_t other)
{
	return one < other ? one : other;
}

/* What was due when we last served waits for a connection or the end of a pause, not for time. */
static int64_t next_due_mono_ms(const struct relay *r, size_t lane)
{
	int64_t due = queue_next_due(&r->queue, lane);

	if (due == CLOCK_NEVER || due <= r->served_wall_ms)
		return CLOCK_NEVER;
	return clock_mono_ms() + due - relay_wall_ms();
}

static int64_t next_wake_mono_ms(struct relay *r)
{
	int64_t next = CLOCK_NEVER, until;

	if (r->service_wanted)
		return clock_mono_ms();
	if (r->stopping)
		return r->setup->control->stop_by_mono_ms;
	for (size_t i = 0; i < r->upstream_count; i++) {
		next = earlier(next, lane_next_mono_ms(&r->upstream[i]));
		/* one that is down is asked how it is when something becomes due, too */
		if (!r->upstream[i].is_suspended && lane_state(&r->upstream[i]) != BREAKER_PAUSED)
			next = earlier(next, next_due_mono_ms(r, i));
	}
	next = earlier(next, next_due_mono_ms(r, r->unsorted));
	next = earlier(next, next_due_mono_ms(r, r->unread));
	next = earlier(next, sweep_next_mono_ms(r));
	next = earlier(next, flush_next_mono_ms(r));
	next = earlier(next, overdue_next_mono_ms(r));
	if (r->unsaved)
		next = earlier(next, r->unsaved_until_mono_ms);
	if (atomic_load(r->setup->rescan_wanted))
		next = earlier(next, r->rescan_mono_ms);
	until = suspensions_next_end(&r->suspensions);
	if (until != CLOCK_NEVER)
		next = earlier(next, clock_mono_ms() + until / 1000 + 1 - relay_wall_ms());
	return earlier(next, r->orphans_mono_ms);
}

void relay_set_timer(struct relay *r)
{
	int64_t next = next_wake_mono_ms(r), wait;
	struct timeval tv;

	atomic_store(r->setup->queued, r->listing ? UINT_MAX : r->queue.count);
	if (next == CLOCK_NEVER) {
		event_del(r->timer);
		return;
	}
	wait = next - clock_mono_ms();
	if (wait < 0)
		wait = 0;
	/* wall time may be set: look again at least once a minute */
	if (wait > 60000)
		wait = 60000;
	tv.tv_sec = wait / 1000;
	tv.tv_usec = wait % 1000 * 1000;
	event_add(r->timer, &tv);
}

/* ---- serving ------------------------------------------------------------------------ */

/* An upstream that comes or goes changes where recipients of several upstreams are best off. */
static void follow_availability(struct relay *r)
{
	bool changed = false;

	for (size_t i = 0; i < r->upstream_count; i++) {
		struct relay_upstream *u = &r->upstream[i];
		bool available = lane_is_available(u);

		if (available == u->was_available)
			continue;
		changed = true;
		u->was_available = available;
		u->passed_over = u->passed_over && !available;
		if (available)
			queue_age(&r->queue, u->lane); /* new mail is not to wait behind the backlog */
	}
	if (changed && r->upstream_count > 1)
		queue_gather(&r->queue, QUEUE_SPLIT, r->unsorted, relay_wall_ms());
}

void relay_service(struct relay *r)
{
	int64_t by;

	relay_follow_clock(r);
	r->service_wanted = false;
	/* one look at the clock for what is due and for the timer: nothing can fall between two */
	r->served_wall_ms = relay_wall_ms();
	if (r->stopping) {
		bool is_busy = false;

		for (size_t i = 0; i < r->upstream_count; i++)
			is_busy = is_busy || lane_is_busy(&r->upstream[i]);
		if (!is_busy || r->aborted)
			event_base_loopbreak(r->base);
		relay_set_timer(r);
		return;
	}
	operate_follow_clock(r);
	follow_availability(r);
	/* one slice for them all, and new mail first */
	by = clock_mono_ms() + RELAY_SLICE_MS;
	relay_list_step(r, by);
	relay_route(r, by);
	overdue_step(r, by);
	sweep_step(r, by);
	flush_step(r, by);
	for (size_t i = 0; i < r->upstream_count; i++)
		lane_service(&r->upstream[i]);
	relay_set_timer(r);
}

/* ---- events ----------------------------------------------------------------------- */

/* What waited for it is looked at again. */
static void lists_changed(void *ctx)
{
	struct relay *r = ctx;

	if (queue_gather(&r->queue, QUEUE_UNDECIDED, r->unsorted, relay_wall_ms()) > 0)
		r->service_wanted = true;
	relay_set_timer(r);
}

static void rescan_if_wanted(struct relay *r)
{
	/* a worker that outlived its master may have committed mail that nobody told us of */
	if (clock_mono_ms() >= r->orphans_mono_ms) {
		r->orphans_mono_ms = CLOCK_NEVER;
		atomic_store(r->setup->rescan_wanted, true);
	}
	if (r->listing) /* to its end, and then once more: begun anew again and again it would never get there */
		return;
	if (clock_mono_ms() < r->rescan_mono_ms || !atomic_exchange(r->setup->rescan_wanted, false))
		return;
	log_msg(LOG_LEVEL_DEBUG, "rescan", "there may be mail that nobody told of: listing the spool");
	relay_list_begin(r);
}

static void on_notice(evutil_socket_t fd, short what, void *ctx)
{
	static const struct notice_ops notices = { relay_add_new, overdue_add_new, flush_want };
	struct relay *r = ctx;
	char data[16384];
	ssize_t n;

	(void)what;
	while ((n = read(fd, data, sizeof(data))) > 0)
		notice_read(&r->notices, data, (size_t)n, &notices, r);
	if (n == 0)
		event_del(r->notice_event); /* the master and all workers are gone; the control line says so too */
	rescan_if_wanted(r);
	relay_service(r);
}

static void abort_connections(struct relay *r)
{
	r->aborted = true;
	for (size_t i = 0; i < r->upstream_count; i++)
		while (r->upstream[i].conns)
			carry_abort(r->upstream[i].conns);
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
	for (size_t i = 0; i < r->upstream_count; i++)
		lane_quit_all(&r->upstream[i]);
	relay_service(r);
}

/* ---- life --------------------------------------------------------------------------- */

static void recover(struct relay *r)
{
	struct spool_recovery found;
	struct log_line line;
	struct err e;

	if (spool_recover(r->rules.spool, r->setup->started_wall_us, &found, &e) < 0)
		log_msg(LOG_LEVEL_ERROR, "spool_error", "%s", e.text);
	if (found.unfinished + found.orphans + found.quarantined == 0)
		return;
	figures_add(FIGURE_SPOOL_QUARANTINED, 0, 0, found.quarantined);
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
	if (upstream_open(&r->client, r->base, e) < 0)
		return -1;
	r->control_event = event_new(r->base, setup->control->fd, EV_READ | EV_PERSIST, on_control, r);
	r->notice_event = event_new(r->base, setup->notice_fd, EV_READ | EV_PERSIST, on_notice, r);
	r->timer = evtimer_new(r->base, on_timer, r);
	ASSERT(r->control_event && r->notice_event && r->timer);
	event_add(r->control_event, NULL);
	event_add(r->notice_event, NULL);
	for (size_t i = 0; i < r->upstream_count; i++)
		lane_start(&r->upstream[i]);
	if (r->config->lists)
		r->config->lists->ops->start(r->config->lists->c, r->base, r->client, lists_changed, r);
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
	if (r->beat)
		event_free(r->beat);
	for (size_t i = 0; r->client && i < r->upstream_count; i++)
		lane_stop(&r->upstream[i]);
	if (r->client && r->config->lists)
		r->config->lists->ops->stop(r->config->lists->c);
	if (r->client)
		upstream_close(r->client);
	if (r->base)
		event_base_free(r->base);
}

static void init(struct relay *r, const struct relay_setup *setup)
{
	const struct relay_config *config = setup->config;

	ASSERT(config->upstream_count >= 1 && config->upstream_count <= RELAY_UPSTREAMS_MAX);
	*r = (struct relay){ .setup = setup,
			     .config = config,
			     .upstream_count = config->upstream_count,
			     .undecided = config->upstream_count,
			     .unsorted = config->upstream_count + 1,
			     .unread = config->upstream_count + 2,
			     .sweep_wall_ms = CLOCK_NEVER,
			     .sweep_next_wall_ms = CLOCK_NEVER,
			     .started_wall_us = clock_wall_us() };
	r->rules = (struct attempt_rules){ .spool = setup->spool, .routes = &config->routes, .bounce = &config->bounce,
					   .retry = config->retry, .expire_after_ms = config->expire_after_ms,
					   .rates = &r->rates };
	queue_init(&r->queue, r->upstream_count + 3);
	suspensions_init(&r->suspensions);
	r->place = mem_array(r->upstream_count + 1, sizeof(*r->place));
	r->upstream = mem_array(r->upstream_count, sizeof(*r->upstream));
	for (size_t i = 0; i < r->upstream_count; i++)
		lane_init(&r->upstream[i], r, i);
	relay_follow_clock(r);
	notice_reader_init(&r->notices);
}

static void release(struct relay *r)
{
	relay_list_end(r);
	flush_release(r);
	for (size_t i = 0; i < r->upstream_count; i++)
		lane_release(&r->upstream[i]);
	free(r->upstream);
	free(r->place);
	suspensions_release(&r->suspensions);
	queue_release(&r->queue);
	deadlines_release(&r->deadlines);
}

int relay_run(const struct relay_setup *setup, struct err *e)
{
	struct relay r;
	int result = -1;

	init(&r, setup);
	if (open_events(&r, e) < 0)
		goto out;
	operate_open(&r);
	recover(&r);
	unsaved_take(&r);
	relay_list_begin(&r);
	r.orphans_mono_ms = clock_mono_ms() + setup->control->grace_ms + ORPHANS_MARGIN_MS;
	r.sweep_most_mono_ms = clock_mono_ms();
	relay_service(&r);
	relay_beat_begin(&r);
	atomic_store(setup->ready, true);
	if (event_base_dispatch(r.base) < 0) {
		err_set(e, "the event loop failed");
		goto out;
	}
	unsaved_leave(&r);
	result = 0;
out:
	operate_close(&r);
	close_events(&r);
	release(&r);
	return result;
}
