/* SPDX-License-Identifier: ISC */
/* daemon/health.h: what follows from what is seen. */
#include "daemon/health.h"

#include <string.h>

#include "unit.h"

#define NOW (INT64_C(1000) * 1000)
#define SECONDS * 1000

static struct health_facts facts;
static struct health_report report;

/* A service that is well, ten seconds after its last question. */
static void well(void)
{
	facts = (struct health_facts){
		.now_mono_ms = NOW,
		.has_relay = true,
		.has_spool = true,
		.relay_ready = true,
		.relay_beat_mono_ms = NOW - 900,
		.has_monitor = true,
		.monitor_beat_mono_ms = NOW - 900,
		.asked_mono_ms = NOW - 10 SECONDS,
		.answered_mono_ms = NOW - 10 SECONDS + 2,
		.moved_mono_ms = NOW - 3600 SECONDS,
		.workers = 5,
		.workers_idle = 4,
		.workers_busy = 1,
		.workers_max = 200,
		.longest_silence_ms = 300 SECONDS,
	};
}

static void judged(enum health_check check, bool alive, bool healthy, const char *words)
{
	health_judge(&facts, &report);
	ck_assert_msg(report.finding[check].alive == alive && report.finding[check].healthy == healthy, "%s",
		      report.finding[check].text);
	ck_assert_msg(strstr(report.finding[check].text, words) != NULL, "%s", report.finding[check].text);
	ck_assert_int_eq(report.alive, alive);
	ck_assert_int_eq(report.healthy, healthy);
	for (int i = 0; i < HEALTH_CHECKS; i++)
		ck_assert(report.finding[i].alive || !report.finding[i].healthy);
	well();
}

START_TEST(the_relay)
{
	well();
	judged(HEALTH_RELAY, true, true, "turns");
	facts.relay_beat_mono_ms = NOW - 9 SECONDS;
	judged(HEALTH_RELAY, true, true, "turns");
	facts.relay_beat_mono_ms = NOW - 11 SECONDS;
	judged(HEALTH_RELAY, true, false, "not turned for 11 s");
	facts.relay_beat_mono_ms = NOW - 61 SECONDS;
	judged(HEALTH_RELAY, false, false, "not turned for 61 s");
	/* it died, and the master starts it again: whatever its last beat was */
	facts.relay_ready = false;
	facts.relay_beat_mono_ms = NOW - 600 SECONDS;
	judged(HEALTH_RELAY, true, false, "not running");
	facts.has_relay = facts.relay_ready = false;
	facts.relay_beat_mono_ms = 0;
	judged(HEALTH_RELAY, true, true, "has none");
}
END_TEST

START_TEST(a_worker)
{
	well();
	judged(HEALTH_WORKER, true, true, "answered 9 s ago");
	facts.asked_mono_ms = NOW;
	judged(HEALTH_WORKER, true, true, "answered");
	facts.asked_mono_ms = facts.answered_mono_ms = 0;
	judged(HEALTH_WORKER, true, true, "not asked yet");
	/* idle, and deaf */
	facts.asked_mono_ms = NOW - 11 SECONDS;
	facts.answered_mono_ms = NOW - 21 SECONDS;
	judged(HEALTH_WORKER, true, false, "4 are idle, and none answered for 11 s");
	facts.asked_mono_ms = NOW - 61 SECONDS;
	facts.answered_mono_ms = 0; /* never one */
	judged(HEALTH_WORKER, false, false, "none answered for 61 s");
	facts.workers = facts.workers_idle = facts.workers_busy = 0;
	judged(HEALTH_WORKER, true, false, "there is none");
}
END_TEST

/* All are busy since long ago: the question waits. */
static void crowd(int64_t moved_ago_ms)
{
	facts.workers = facts.workers_busy = 200;
	facts.workers_idle = 0;
	facts.asked_mono_ms = NOW - 900 SECONDS;
	facts.answered_mono_ms = NOW - 910 SECONDS;
	facts.moved_mono_ms = NOW - moved_ago_ms;
}

START_TEST(a_crowd)
{
	well();
	crowd(1 SECONDS);
	judged(HEALTH_WORKER, true, true, "all 200 workers are busy, and their sessions move on");
	crowd(61 SECONDS);
	judged(HEALTH_WORKER, true, false, "no session moved for 61 s");
	/* a client may be silent for five minutes: slow ones must not bring a restart about */
	crowd(359 SECONDS);
	judged(HEALTH_WORKER, true, false, "no session moved");
	crowd(361 SECONDS);
	judged(HEALTH_WORKER, false, false, "no session moved");
}
END_TEST

START_TEST(a_monitor_that_is_gone_is_no_witness)
{
	well();
	facts.asked_mono_ms = NOW - 600 SECONDS;
	facts.monitor_beat_mono_ms = NOW - 16 SECONDS;
	judged(HEALTH_WORKER, true, true, "nobody who asks them");
	facts.asked_mono_ms = NOW - 600 SECONDS;
	facts.monitor_beat_mono_ms = 0;
	judged(HEALTH_WORKER, true, true, "nobody who asks them");
	facts.has_monitor = false;
	facts.asked_mono_ms = NOW - 600 SECONDS;
	judged(HEALTH_WORKER, true, true, "nobody who asks them");
}
END_TEST

START_TEST(the_spool)
{
	well();
	judged(HEALTH_SPOOL, true, true, "can be begun");
	facts.store_failed = true;
	judged(HEALTH_SPOOL, true, false, "could not be begun");
	facts.has_spool = false;
	facts.store_failed = true;
	judged(HEALTH_SPOOL, true, true, "has none");
}
END_TEST

START_TEST(checks_have_names)
{
	for (int i = 0; i < HEALTH_CHECKS; i++)
		ck_assert_ptr_nonnull(health_check_name((enum health_check)i));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("health");

	UNIT_CASE(suite, the_relay, a_worker, a_crowd, a_monitor_that_is_gone_is_no_witness, the_spool, checks_have_names);
	return unit_run(suite);
}
