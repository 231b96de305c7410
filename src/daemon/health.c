/* SPDX-License-Identifier: ISC */
/* See health.h. */
#include "daemon/health.h"

#include <stdio.h>

#include "base/clock.h"
#include "daemon/service.h"
#include "figures/figures.h"

/*
 * The relay's loop turns each second, a worker is asked every few: what is late by this much is not well, and
 * what is late by that much will not come back by itself.
 */
#define LATE_MS 10000
#define LOST_MS 60000
#define MONITOR_LATE_MS 15000 /* it beats each second; who does not is no witness */
#define STILL_MS 60000 /* all are busy, and no client said anything for as long */

static const char *const names[HEALTH_CHECKS] = {
	[HEALTH_RELAY] = "relay", [HEALTH_WORKER] = "worker", [HEALTH_SPOOL] = "spool"
};

const char *health_check_name(enum health_check c)
{
	return names[c];
}

void health_gather(const struct service *s, struct health_facts *f)
{
	struct scoreboard_count count;

	scoreboard_count(s->board, &count);
	*f = (struct health_facts){
		.now_mono_ms = clock_mono_ms(),
		.has_relay = s->has_relay,
		.has_spool = s->has_relay,
		.relay_ready = atomic_load(&s->board->shared->ready[ROLE_RELAY]),
		.relay_beat_mono_ms = figures_get(FIGURE_RELAY_BEAT, 0, 0),
		.has_monitor = s->has_monitor,
		.monitor_beat_mono_ms = figures_get(FIGURE_MONITOR_BEAT, 0, 0),
		.asked_mono_ms = figures_get(FIGURE_MONITOR_ASKED, 0, 0),
		.answered_mono_ms = figures_get(FIGURE_MONITOR_ANSWERED, 0, 0),
		.moved_mono_ms = figures_get(FIGURE_MONITOR_MOVED, 0, 0),
		.store_failed = figures_get(FIGURE_MONITOR_STORE_FAILED, 0, 0) != 0,
		.workers = count.total,
		.workers_idle = count.idle,
		.workers_busy = count.busy,
		.workers_max = s->cfg->max_workers,
		.longest_silence_ms = s->cfg->command_timeout_ms > s->cfg->client_data_timeout_ms
					      ? s->cfg->command_timeout_ms
					      : s->cfg->client_data_timeout_ms,
	};
}

/* ---- judgement ----------------------------------------------------------------------- */

#define SAY(finding, ...) snprintf((finding)->text, sizeof((finding)->text), __VA_ARGS__)

static long long seconds(int64_t ms)
{
	return (long long)(ms / 1000);
}

static struct health_finding well(void)
{
	return (struct health_finding){ .alive = true, .healthy = true };
}

static struct health_finding judge_relay(const struct health_facts *f)
{
	struct health_finding r = well();
	int64_t late = f->now_mono_ms - f->relay_beat_mono_ms;

	if (!f->has_relay) {
		SAY(&r, "this handler has none");
	} else if (!f->relay_ready) {
		/* the master sees to that: no reason to end everything */
		r.healthy = false;
		SAY(&r, "it is not running, or has not started yet: its lines in the log say why");
	} else if (late < LATE_MS) {
		SAY(&r, "its loop turns");
	} else {
		r.healthy = false;
		r.alive = late < LOST_MS;
		SAY(&r, "its loop has not turned for %lld s: a disk or a resolver may hold it",
		    seconds(late));
	}
	return r;
}

/* Nobody was free for the question: fine as long as clients are being served. */
static struct health_finding judge_crowd(const struct health_facts *f)
{
	struct health_finding r = well();
	int64_t still = f->now_mono_ms - f->moved_mono_ms;

	if (still < STILL_MS) {
		SAY(&r, "all %u workers are busy, and their sessions move on", f->workers_busy);
		return r;
	}
	r.healthy = false;
	/* every session has its time-outs: behind the longest of them something must have happened */
	r.alive = still < f->longest_silence_ms + LOST_MS;
	SAY(&r,
	    "all %u workers are busy, and no session moved for %lld s: slow clients, or a disk that hangs",
	    f->workers_busy, seconds(still));
	return r;
}

static bool is_asked(const struct health_facts *f)
{
	return f->has_monitor && f->monitor_beat_mono_ms > 0 &&
	       f->now_mono_ms - f->monitor_beat_mono_ms < MONITOR_LATE_MS;
}

static struct health_finding judge_worker(const struct health_facts *f)
{
	struct health_finding r = well();
	int64_t waits = f->asked_mono_ms > f->answered_mono_ms ? f->now_mono_ms - f->asked_mono_ms : 0;

	if (f->workers == 0) {
		r.healthy = false;
		SAY(&r, "there is none: the log says why");
	} else if (!is_asked(f)) {
		SAY(&r, "there are %u, and nobody who asks them", f->workers);
	} else if (waits < LATE_MS && f->answered_mono_ms == 0) {
		SAY(&r, "not asked yet");
	} else if (waits < LATE_MS) {
		SAY(&r, "one answered %lld s ago", seconds(f->now_mono_ms - f->answered_mono_ms));
	} else if (f->workers_idle == 0) {
		r = judge_crowd(f);
	} else {
		r.healthy = false;
		r.alive = waits < LOST_MS;
		SAY(&r, "%u are idle, and none answered for %lld s", f->workers_idle, seconds(waits));
	}
	return r;
}

static struct health_finding judge_spool(const struct health_facts *f)
{
	struct health_finding r = well();

	if (!f->has_spool) {
		SAY(&r, "this handler has none");
	} else if (f->store_failed) {
		r.healthy = false;
		SAY(&r,
		    "a message could not be begun: full, or not writable; spool_error in the log says which");
	} else {
		SAY(&r, "%s", is_asked(f) ? "a message can be begun" : "nobody tries it");
	}
	return r;
}

void health_judge(const struct health_facts *f, struct health_report *out)
{
	*out = (struct health_report){ .alive = true, .healthy = true };
	out->finding[HEALTH_RELAY] = judge_relay(f);
	out->finding[HEALTH_WORKER] = judge_worker(f);
	out->finding[HEALTH_SPOOL] = judge_spool(f);
	for (int i = 0; i < HEALTH_CHECKS; i++) {
		out->alive = out->alive && out->finding[i].alive;
		out->healthy = out->healthy && out->finding[i].healthy;
	}
}

bool health_is_alive(const struct service *s, struct err *why)
{
	struct health_report report;
	struct health_facts facts;

	health_gather(s, &facts);
	health_judge(&facts, &report);
	for (int i = 0; i < HEALTH_CHECKS && !report.alive; i++) {
		if (report.finding[i].alive)
			continue;
		err_set(why, "%s: %s", names[i], report.finding[i].text);
		break;
	}
	return report.alive;
}
