/* SPDX-License-Identifier: ISC */
/*
 * Whether the service does its work: judged from what the roles leave in shared memory (figures/figures.h),
 * without asking or waiting for anybody, so that whoever is stuck cannot make the judge stuck.
 *
 * Two questions. *Alive*: is nothing hung that only a restart would help? Load, a full disk or an upstream
 * that is down are none of these. *Healthy*: would a client's mail be taken now?
 *
 * Facts and judgement are apart: health_gather in any process that has the service's memory, health_judge
 * is pure.
 */
#ifndef DAEMON_HEALTH_H
#define DAEMON_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct service;

enum health_check {
	HEALTH_RELAY, /* its loop turns */
	HEALTH_WORKER, /* one answers a client, or all are busy and sessions move on */
	HEALTH_SPOOL /* a message could be begun: writable, and room enough */
};
#define HEALTH_CHECKS 3
const char *health_check_name(enum health_check c); /* "relay", "worker", "spool" */

/* Times are monotonic milliseconds; 0: never. */
struct health_facts {
	int64_t now_mono_ms;
	bool has_relay, has_spool;
	bool relay_ready; /* it runs, and has started */
	int64_t relay_beat_mono_ms; /* its loop's last turn */
	bool has_monitor; /* there is somebody who asks the workers; what follows is what it says */
	int64_t monitor_beat_mono_ms;
	int64_t asked_mono_ms; /* a worker, the last time */
	int64_t answered_mono_ms; /* one did */
	int64_t moved_mono_ms; /* any session went on by a command or an end */
	bool store_failed; /* the worker could not begin a message in the spool */
	unsigned workers, workers_idle, workers_busy, workers_max;
	int64_t longest_silence_ms; /* for which a worker may wait for its client */
};

struct health_finding {
	bool alive, healthy; /* never healthy and not alive */
	char text[160]; /* why not, or what was seen */
};

struct health_report {
	bool alive, healthy; /* all of them */
	struct health_finding finding[HEALTH_CHECKS];
};

void health_gather(const struct service *s, struct health_facts *facts);
void health_judge(const struct health_facts *facts, struct health_report *out);

/*
 * For the master, each second: whether the watchdog is to be fed. False: why names what hangs. Cheap, never
 * blocks. Without a process that asks the workers (no metrics_listen, no metrics_file, no watchdog) it says
 * what can be said of the relay and of there being workers.
 */
bool health_is_alive(const struct service *s, struct err *why);

#endif
