/* SPDX-License-Identifier: ISC */
/* daemon/notify.c: when the supervisor is told what. The log is ours. */
#include "daemon/notify.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "unit.h"

static int64_t now_ms;
static int warnings;
static int supervisor; /* its socket */
static struct notify n;

void log_msg(enum log_level level, const char *event, const char *fmt, ...)
{
	(void)level;
	(void)event;
	(void)fmt;
	warnings++;
}

static void enter(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char name[80];

	snprintf(name, sizeof(name), "@posthouse-test-notify-%ld", (long)getpid());
	supervisor = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	memcpy(sun.sun_path + 1, name + 1, strlen(name) - 1);
	ck_assert_int_eq(bind(supervisor, (struct sockaddr *)&sun,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
			 0);
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", "8000000", 1);
	unsetenv("WATCHDOG_PID");
	clock_freeze(0, now_ms = 1000000);
	notify_init(&n);
}

static void leave(void)
{
	close(supervisor);
}

/* All that was said meanwhile, a line a message. */
static const char *said(void)
{
	static char all[4096];
	char one[1024];
	ssize_t len;

	all[0] = '\0';
	while ((len = recv(supervisor, one, sizeof(one) - 1, 0)) >= 0) {
		one[len] = '\0';
		for (char *c = one; *c; c++)
			if (*c == '\n')
				*c = '|';
		strcat(all, one);
		strcat(all, "\n");
	}
	return all;
}

static const struct notify_facts idle = { .workers = 5, .has_queue = true, .queued = 3 };

static void tick(const struct notify_facts *f, int64_t passes_ms)
{
	clock_freeze(0, now_ms += passes_ms);
	notify_tick(&n, f, true, NULL);
}

START_TEST(sentences)
{
	char text[NOTIFY_STATUS_MAX];
	const struct {
		struct notify_facts facts;
		const char *text;
	} cases[] = {
		{ { .workers = 1 }, "Ready: 1 worker, 0 with a client" },
		{ { .workers = 200, .busy = 7, .has_queue = true, .queued = 1 },
		  "Ready: 200 workers, 7 with a client; 1 message in the queue" },
		{ { .workers = 2, .has_queue = true }, "Ready: 2 workers, 0 with a client; 0 messages in the queue" },
		{ { .workers = 2, .has_queue = true, .queued = UINT_MAX },
		  "Ready: 2 workers, 0 with a client; the queue is being read" },
		{ { .workers = UINT_MAX, .busy = UINT_MAX, .has_queue = true, .queued = UINT_MAX - 1, .refused = true },
		  "Ready: 4294967295 workers, 4294967295 with a client; 4294967294 messages in the queue; the last reload was refused, the log says why" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ck_assert_str_eq(notify_status(&cases[i].facts, text), cases[i].text);
}
END_TEST

START_TEST(status_is_told_when_it_changes_and_not_all_the_time)
{
	struct notify_facts busy = idle;

	unsetenv("WATCHDOG_USEC");
	notify_init(&n);
	notify_ready(&n, &idle);
	ck_assert_str_eq(said(), "READY=1|STATUS=Ready: 5 workers, 0 with a client; 3 messages in the queue\n");
	tick(&idle, 60000);
	ck_assert_str_eq(said(), "");
	busy.busy = 1;
	tick(&busy, 1000);
	ck_assert_str_eq(said(), "STATUS=Ready: 5 workers, 1 with a client; 3 messages in the queue\n");
	busy.busy = 2;
	tick(&busy, 1000);
	ck_assert_str_eq(said(), "");
	tick(&busy, 4000);
	ck_assert_str_eq(said(), "STATUS=Ready: 5 workers, 2 with a client; 3 messages in the queue\n");
}
END_TEST

START_TEST(nothing_is_fed_before_it_is_ready)
{
	tick(&idle, 60000);
	ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(the_watchdog_eats_four_times_a_period)
{
	int fed = 0;

	notify_ready(&n, &idle);
	said();
	for (int second = 0; second < 16; second++) {
		tick(&idle, 1000);
		fed += strcmp(said(), "WATCHDOG=1\n") == 0;
	}
	ck_assert_int_eq(fed, 8);
}
END_TEST

START_TEST(what_hangs_is_told_once_and_starves_it)
{
	struct err why;

	notify_ready(&n, &idle);
	said();
	err_set(&why, "relay: its loop has not turned\nREADY=1");
	for (int second = 0; second < 30; second++) {
		clock_freeze(0, now_ms += 1000);
		notify_tick(&n, &idle, false, &why);
	}
	/* and a text cannot say anything by itself */
	ck_assert_str_eq(said(), "STATUS=In trouble: relay: its loop has not turned?READY=1\n");
	ck_assert_int_eq(warnings, 1);
	tick(&idle, 1000);
	ck_assert_str_eq(said(), "WATCHDOG=1\nSTATUS=Ready: 5 workers, 0 with a client; 3 messages in the queue\n");
	ck_assert_int_eq(warnings, 2);
}
END_TEST

START_TEST(a_stop_asks_for_its_time)
{
	notify_stopping(&n, 90500);
	ck_assert_str_eq(said(), "STOPPING=1|EXTEND_TIMEOUT_USEC=95500000|STATUS=Stopping: sessions and deliveries under "
				 "way have 91 s\n");
}
END_TEST

START_TEST(a_reload_tells_when_it_began)
{
	notify_reloading(&n);
	ck_assert_str_eq(said(), "RELOADING=1|MONOTONIC_USEC=1000000000|STATUS=Reloading the configuration\n");
}
END_TEST

START_TEST(a_failure_is_told)
{
	struct err e;

	err_set_os(&e, 98, "127.0.0.1:25");
	notify_failed(&n, &e);
	ck_assert_str_eq(said(), "ERRNO=98|STATUS=127.0.0.1:25: Address already in use\n");
	memset(e.text, 'x', sizeof(e.text) - 1);
	e.text[sizeof(e.text) - 1] = '\0';
	e.os_error = 0;
	notify_failed(&n, &e);
	ck_assert_uint_eq(strlen(said()), strlen("STATUS=\n") + NOTIFY_STATUS_MAX - 1);
}
END_TEST

START_TEST(nobody_is_there)
{
	const char *const nobody[] = { "", "x", "/", "@", "relative", NULL };

	for (size_t i = 0; nobody[i]; i++) {
		setenv("NOTIFY_SOCKET", nobody[i], 1);
		ck_assert(!notify_is_wanted());
		notify_init(&n);
		ck_assert_int_eq(n.watchdog_ms, 0);
		notify_ready(&n, &idle);
		tick(&idle, 10000);
	}
	unsetenv("NOTIFY_SOCKET");
	ck_assert(!notify_is_wanted());
	ck_assert_str_eq(said(), "");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("notify");
	TCase *c = tcase_create("notify");
	const TTest *const tests[] = { sentences, status_is_told_when_it_changes_and_not_all_the_time,
				       nothing_is_fed_before_it_is_ready, the_watchdog_eats_four_times_a_period,
				       what_hangs_is_told_once_and_starves_it, a_stop_asks_for_its_time,
				       a_reload_tells_when_it_began, a_failure_is_told, nobody_is_there };

	tcase_add_checked_fixture(c, enter, leave);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
