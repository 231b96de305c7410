/* SPDX-License-Identifier: ISC */
/*
 * manage/action: the table of actions walked whole over the situations of a
 * message, batches, and what cannot be read; manage/suspend: the list and its
 * file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "manage/action.h"
#include "manage/suspend.h"
#include "spool/state.h"
#include "spool_world.h"
#include "unit.h"

#define NOW_US 1795000000000000
#define LATER_US (NOW_US + 600000000)
#define RCPTS 3

static struct spool spool;
static const struct bounce_settings settings = { .hostname = "relay.example.org", .return_limit_bytes = 50000 };

static void setup(void)
{
	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR, "test");
	spool_world_open(&spool);
	clock_freeze(NOW_US, 0);
}

static void teardown(void)
{
	spool_world_close(&spool);
}

static struct spool_id put_message(const char *sender)
{
	char made[ENVELOPE_ID_MAX];
	struct envelope env;
	struct spool_id id;

	spool_world_envelope(&env, NOW_US - 3600000000, sender, "c@example.org");
	spool_world_commit(&spool, &env, "Subject: x\r\n\r\nx\r\n", made);
	strcpy(id.text, made);
	return id;
}

/* ---- situations --------------------------------------------------------------------- */

enum situation { NEW, DUE, DEFERRED, PARTIAL, HELD, ROUTED, PARKED };
#define SITUATIONS (PARKED + 1)

static void make_situation(enum situation what, const struct spool_id *id)
{
	struct spool_state st;
	struct err e;

	if (what == NEW)
		return;
	spool_state_init(&st, RCPTS);
	st.tries = 4;
	st.last_attempt_wall_us = NOW_US - 60000000;
	for (int i = 0; i < RCPTS; i++) {
		rcpt_state_set(&st.rcpt[i], RCPT_PENDING, NOW_US - 60000000, "main", "mx:25", "450 4.2.1 busy");
		st.rcpt[i].tries = 4;
		st.rcpt[i].next_wall_us = what == DUE ? NOW_US - 1000000 : LATER_US;
	}
	if (what == PARTIAL) {
		rcpt_state_set(&st.rcpt[0], RCPT_DELIVERED, NOW_US - 60000000, "main", "mx:25", "250 ok");
		rcpt_state_set(&st.rcpt[1], RCPT_FAILED, NOW_US - 60000000, "main", "mx:25", "550 no");
		st.rcpt[1].reported = true;
	}
	for (int i = 0; what == PARKED && i < RCPTS; i++)
		rcpt_state_set(&st.rcpt[i], RCPT_FAILED, NOW_US - 60000000, "main", "mx:25", "550 no");
	st.held = what == HELD;
	if (what == HELD)
		st.hold_reason = strdup("before");
	if (what == ROUTED)
		st.route = strdup("other");
	spool_state_follow(&st);
	ck_assert_int_eq(spool_state_save(&st, &spool, id->text, &e), 0);
	spool_state_release(&st);
}

static bool is_there(const char *folder, const struct spool_id *id)
{
	char path[200];

	snprintf(path, sizeof(path), "%.60s/%.20s/%.20s", spool.path, folder, id->text);
	return access(path, F_OK) == 0;
}

static void load(struct spool_state *st, const struct spool_id *id)
{
	struct err e;

	spool_state_init(st, RCPTS);
	ck_assert_int_eq(spool_state_load(st, &spool, id->text, &e), SPOOL_READ_OK);
}

static struct action_item run_one(enum action action, const struct spool_id *id, const char *reason, const char *route)
{
	struct action_order order = { action, reason, route, "uid=1000" };
	struct action_item item = { .id = *id };

	action_run(&order, &spool, &settings, &item, 1);
	return item;
}

/* What each action is to say in each situation. */
#define D ACTION_DONE
#define N ACTION_NO_CHANGE
static const enum action_result expected[ACTION_COUNT][SITUATIONS] = {
	/* NEW DUE DEFERRED PARTIAL HELD ROUTED PARKED */
	[ACTION_RETRY] = { N, N, D, D, N, D, N },
	[ACTION_HOLD] = { D, D, D, D, N, D, N },
	[ACTION_RELEASE] = { N, N, N, N, D, N, N },
	[ACTION_EXPIRE] = { D, D, D, D, D, D, N },
	[ACTION_BOUNCE] = { D, D, D, D, D, D, N },
	[ACTION_REMOVE] = { D, D, D, D, D, D, D },
	[ACTION_REQUEUE] = { N, D, D, D, D, D, D },
	[ACTION_REROUTE] = { D, D, D, D, D, D, N },
};
#undef D
#undef N

START_TEST(each_action_in_each_situation)
{
	for (unsigned a = 0; a < ACTION_COUNT; a++) {
		for (unsigned s = 0; s < SITUATIONS; s++) {
			struct spool_id id = put_message("from@example.org");
			struct action_item item;
			struct spool_state before, after;

			make_situation((enum situation)s, &id);
			load(&before, &id);
			/* no reason: holding what is held changes nothing */
			item = run_one((enum action)a, &id, NULL, a == ACTION_REROUTE ? "new" : NULL);
			ck_assert_msg(item.result == expected[a][s], "%s in situation %u: %s (%s)",
				      action_name((enum action)a), s, action_result_name(item.result),
				      item.result == ACTION_FAILED ? item.e.text : "");
			load(&after, &id);
			if (item.result == ACTION_DONE && is_there("queue", &id)) {
				const struct spool_event *ev = &after.event[after.event_count - 1];

				ck_assert_uint_gt(after.event_count, 0);
				ck_assert_str_eq(ev->what, action_done_name((enum action)a));
				ck_assert_str_eq(ev->by, "uid=1000");
				ck_assert_int_eq(ev->when_wall_us, NOW_US);
			} else {
				ck_assert_uint_eq(after.event_count, 0);
			}
			/* who got it never loses that, whatever is done */
			for (int i = 0; i < RCPTS && is_there("queue", &id); i++)
				if (before.rcpt[i].status == RCPT_DELIVERED)
					ck_assert_int_eq(after.rcpt[i].status, RCPT_DELIVERED);
			spool_state_release(&before);
			spool_state_release(&after);
			/* a second time there is nothing to do, or it is gone */
			item = run_one((enum action)a, &id, NULL, a == ACTION_REROUTE ? "new" : NULL);
			ck_assert_int_eq(item.result, a == ACTION_REMOVE || !is_there("queue", &id) ? ACTION_GONE :
												      ACTION_NO_CHANGE);
		}
	}
}
END_TEST

START_TEST(names_find_their_action)
{
	enum action_result r;
	enum action a;

	for (unsigned i = 0; i < ACTION_COUNT; i++) {
		ck_assert_int_eq(action_find(action_name((enum action)i), &a), 0);
		ck_assert_uint_eq(a, i);
		ck_assert_int_ne(action_done_name(a)[0], '\0');
	}
	ck_assert_int_eq(action_find("held", &a), -1);
	for (unsigned i = 0; i < ACTION_RESULTS; i++) {
		ck_assert_int_eq(action_result_find(action_result_name((enum action_result)i), &r), 0);
		ck_assert_uint_eq(r, i);
	}
	ck_assert_int_eq(action_result_find("", &r), -1);
}
END_TEST

START_TEST(retry_keeps_the_tries)
{
	struct spool_id id = put_message("from@example.org");
	struct spool_state st;
	struct action_item item;

	make_situation(DEFERRED, &id);
	item = run_one(ACTION_RETRY, &id, NULL, NULL);
	ck_assert_int_eq(item.due_wall_ms, NOW_US / 1000);
	load(&st, &id);
	ck_assert_uint_eq(st.tries, 4);
	ck_assert_int_eq(st.next_attempt_wall_us, 0);
	ck_assert_uint_eq(st.rcpt[2].tries, 4);
	ck_assert_str_eq(st.rcpt[2].reply, "450 4.2.1 busy");
	spool_state_release(&st);
}
END_TEST

START_TEST(hold_and_release)
{
	struct spool_id id = put_message("from@example.org");
	struct spool_state st;
	struct action_item item;

	make_situation(DEFERRED, &id);
	item = run_one(ACTION_HOLD, &id, "looks odd", NULL);
	ck_assert_int_eq(item.due_wall_ms, CLOCK_NEVER);
	load(&st, &id);
	ck_assert(st.held);
	ck_assert_str_eq(st.hold_reason, "looks odd");
	ck_assert_str_eq(st.event[0].text, "looks odd");
	spool_state_release(&st);
	/* another reason is a change, the same is none */
	ck_assert_int_eq(run_one(ACTION_HOLD, &id, "looks odd", NULL).result, ACTION_NO_CHANGE);
	ck_assert_int_eq(run_one(ACTION_HOLD, &id, "is odd", NULL).result, ACTION_DONE);
	item = run_one(ACTION_RELEASE, &id, NULL, NULL);
	ck_assert_int_eq(item.result, ACTION_DONE);
	ck_assert_int_eq(item.due_wall_ms, NOW_US / 1000);
	load(&st, &id);
	ck_assert(!st.held);
	ck_assert_ptr_null(st.hold_reason);
	ck_assert_int_eq(st.next_attempt_wall_us, 0);
	ck_assert_uint_eq(st.event_count, 3);
	spool_state_release(&st);
}
END_TEST

START_TEST(requeue_starts_anew_for_those_without_it)
{
	struct spool_id id = put_message("from@example.org");
	struct spool_state st;

	make_situation(PARTIAL, &id);
	ck_assert_int_eq(run_one(ACTION_REQUEUE, &id, NULL, NULL).result, ACTION_DONE);
	load(&st, &id);
	ck_assert_uint_eq(st.tries, 0);
	ck_assert_int_eq(st.rcpt[0].status, RCPT_DELIVERED);
	ck_assert_str_eq(st.rcpt[0].reply, "250 ok");
	for (int i = 1; i < RCPTS; i++) {
		ck_assert_int_eq(st.rcpt[i].status, RCPT_PENDING);
		ck_assert_uint_eq(st.rcpt[i].tries, 0);
		ck_assert(!st.rcpt[i].reported);
		ck_assert_ptr_null(st.rcpt[i].reply);
	}
	spool_state_release(&st);
}
END_TEST

START_TEST(reroute_names_an_upstream_or_none)
{
	struct spool_id id = put_message("from@example.org");
	struct spool_state st;

	ck_assert_int_eq(run_one(ACTION_REROUTE, &id, NULL, "backup").result, ACTION_DONE);
	load(&st, &id);
	ck_assert_str_eq(st.route, "backup");
	ck_assert_str_eq(st.event[0].upstream, "backup");
	spool_state_release(&st);
	ck_assert_int_eq(run_one(ACTION_REROUTE, &id, NULL, NULL).result, ACTION_DONE);
	load(&st, &id);
	ck_assert_ptr_null(st.route);
	spool_state_release(&st);
}
END_TEST

/* ---- what cannot be read, or is not there ----------------------------------------------- */

static void damage(const char *folder, const struct spool_id *id, off_t at)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%.60s/%.20s/%.20s", spool.path, folder, id->text);
	ck_assert_int_eq(chmod(path, 0600), 0);
	fd = open(path, O_WRONLY);
	ck_assert_int_eq(pwrite(fd, "~", 1, at), 1);
	close(fd);
}

START_TEST(a_corrupt_message_can_only_be_removed)
{
	struct spool_id id = put_message("from@example.org");

	damage("queue", &id, 5);
	for (unsigned a = 0; a < ACTION_COUNT; a++) {
		struct action_item item;

		if (a == ACTION_REMOVE)
			continue;
		item = run_one((enum action)a, &id, NULL, NULL);
		ck_assert_int_eq(item.result, ACTION_CORRUPT);
		ck_assert_ptr_nonnull(strstr(item.e.text, id.text));
	}
	ck_assert_int_eq(run_one(ACTION_REMOVE, &id, NULL, NULL).result, ACTION_DONE);
	ck_assert(!is_there("queue", &id));
}
END_TEST

START_TEST(no_report_is_made_of_damaged_content)
{
	struct spool_id id = put_message("from@example.org");
	char path[200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/queue/%s", spool.path, id.text);
	ck_assert_int_eq(stat(path, &st), 0);
	damage("queue", &id, st.st_size - 4);
	ck_assert_int_eq(run_one(ACTION_BOUNCE, &id, NULL, NULL).result, ACTION_CORRUPT);
	ck_assert_int_eq(run_one(ACTION_EXPIRE, &id, NULL, NULL).result, ACTION_CORRUPT);
	/* which needs the content to be read; a hold does not */
	ck_assert_int_eq(run_one(ACTION_HOLD, &id, NULL, NULL).result, ACTION_DONE);
}
END_TEST

START_TEST(a_damaged_state_is_kept_and_begun_anew)
{
	struct spool_id id = put_message("from@example.org");
	struct spool_state st;
	char path[200];

	make_situation(DEFERRED, &id);
	damage("state", &id, 30);
	ck_assert_int_eq(run_one(ACTION_HOLD, &id, NULL, NULL).result, ACTION_DONE);
	load(&st, &id);
	ck_assert(st.held);
	ck_assert_uint_eq(st.tries, 0);
	spool_state_release(&st);
	snprintf(path, sizeof(path), "%s/corrupt/%s.state", spool.path, id.text);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_message_that_is_gone_is_said_to_be)
{
	struct spool_id id;

	spool_id_new(&id);
	for (unsigned a = 0; a < ACTION_COUNT; a++)
		ck_assert_int_eq(run_one((enum action)a, &id, NULL, NULL).result, ACTION_GONE);
}
END_TEST

START_TEST(a_disk_that_refuses_fails_the_order)
{
	struct spool_id id = put_message("from@example.org");
	struct spool broken = spool;
	struct action_order order = { ACTION_HOLD, NULL, NULL, "uid=0" };
	struct action_item item = { .id = id };

	broken.state_fd = open("/dev/null", O_RDONLY);
	action_run(&order, &broken, &settings, &item, 1);
	ck_assert_int_eq(item.result, ACTION_FAILED);
	ck_assert_ptr_nonnull(strstr(item.e.text, id.text));
	close(broken.state_fd);
}
END_TEST

/* ---- batches ------------------------------------------------------------------------- */

#define MANY 400

START_TEST(a_report_the_disk_refuses_is_said_and_wanted_still)
{
	struct spool_id id = put_message("s@example.org");
	struct action_item item = { .id = id };
	struct action_order order = { .action = ACTION_BOUNCE, .by = "uid=0" };
	int incoming = spool.incoming_fd;

	spool.incoming_fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* nothing can be made in there */
	action_run(&order, &spool, &settings, &item, 1);
	ck_assert_int_eq(item.result, ACTION_DONE);
	ck_assert(item.report_failed && item.e.text[0] && !item.report_id.text[0]);
	ck_assert_int_eq(item.due_wall_ms, NOW_US / 1000 + 5000);
	close(spool.incoming_fd);
	spool.incoming_fd = incoming;
	ck_assert(is_there("queue", &id));
}
END_TEST

START_TEST(a_batch_says_of_each_what_became_of_it)
{
	struct action_order order = { ACTION_HOLD, "many", NULL, "uid=0" };
	static struct action_item items[MANY];

	for (size_t i = 0; i < MANY; i++) {
		if (i % 5 == 4)
			spool_id_new(&items[i].id);
		else
			items[i].id = put_message("from@example.org");
		if (i % 5 == 1)
			damage("queue", &items[i].id, 5);
		if (i % 5 == 2)
			make_situation(PARKED, &items[i].id);
	}
	action_run(&order, &spool, &settings, items, MANY);
	for (size_t i = 0; i < MANY; i++) {
		static const enum action_result results[] = { ACTION_DONE, ACTION_CORRUPT, ACTION_NO_CHANGE,
							      ACTION_DONE, ACTION_GONE };

		ck_assert_int_eq(items[i].result, results[i % 5]);
		ck_assert_int_eq(is_there("state", &items[i].id), i % 5 == 0 || i % 5 == 2 || i % 5 == 3);
	}
	order.action = ACTION_REMOVE;
	action_run(&order, &spool, &settings, items, MANY);
	for (size_t i = 0; i < MANY; i++) {
		ck_assert_int_eq(items[i].result, i % 5 == 4 ? ACTION_GONE : ACTION_DONE);
		ck_assert(!is_there("queue", &items[i].id) && !is_there("state", &items[i].id));
	}
}
END_TEST

/* ---- suspensions --------------------------------------------------------------------- */

static void set(struct suspensions *all, const char *upstream, int64_t until, const char *reason)
{
	struct suspension one = { (char *)(uintptr_t)upstream, NOW_US, until, (char *)(uintptr_t)reason,
				  (char *)(uintptr_t) "uid=0" };

	suspensions_set(all, &one);
}

START_TEST(suspensions_are_found_and_end)
{
	struct suspensions all;

	suspensions_init(&all);
	ck_assert_ptr_null(suspensions_find(&all, "main", NOW_US));
	ck_assert_int_eq(suspensions_next_end(&all), CLOCK_NEVER);
	set(&all, "main", LATER_US, "first");
	set(&all, "main", LATER_US + 5, "second");
	ck_assert_uint_eq(all.count, 1);
	ck_assert_str_eq(suspensions_find(&all, "main", NOW_US)->reason, "second");
	ck_assert_ptr_null(suspensions_find(&all, "other", NOW_US));
	ck_assert_ptr_null(suspensions_find(&all, NULL, NOW_US));
	set(&all, NULL, LATER_US, NULL);
	ck_assert_str_eq(suspensions_find(&all, "main", NOW_US)->reason, "second");
	ck_assert_ptr_null(suspensions_find(&all, "other", NOW_US)->upstream);
	ck_assert_int_eq(suspensions_next_end(&all), LATER_US);
	/* one that is over does not hide the one of all deliveries */
	set(&all, NULL, 0, NULL);
	ck_assert_ptr_null(suspensions_find(&all, "main", LATER_US + 5)->upstream);
	ck_assert_uint_eq(suspensions_expire(&all, LATER_US + 4), 0);
	ck_assert_uint_eq(suspensions_expire(&all, LATER_US + 5), 1);
	ck_assert(!suspensions_lift(&all, "main"));
	ck_assert(suspensions_lift(&all, NULL));
	ck_assert_uint_eq(all.count, 0);
	suspensions_release(&all);
}
END_TEST

static void save_two(void)
{
	struct suspensions all;
	struct err e;

	suspensions_init(&all);
	set(&all, "ma in", LATER_US, "because\n\"\xff");
	set(&all, NULL, 0, NULL);
	ck_assert_int_eq(suspensions_save(&all, &spool, &e), 0);
	suspensions_release(&all);
}

START_TEST(suspensions_outlive_a_restart)
{
	struct suspensions all;
	char path[200];
	struct err e;

	suspensions_init(&all);
	ck_assert_int_eq(suspensions_load(&all, &spool, &e), 0);
	ck_assert_uint_eq(all.count, 0);
	save_two();
	ck_assert_int_eq(suspensions_load(&all, &spool, &e), 0);
	ck_assert_uint_eq(all.count, 2);
	ck_assert_str_eq(all.item[0].upstream, "ma in");
	ck_assert_int_eq(all.item[0].since_wall_us, NOW_US);
	ck_assert_int_eq(all.item[0].until_wall_us, LATER_US);
	ck_assert_str_eq(all.item[0].reason, "because\n\"\xff");
	ck_assert_str_eq(all.item[0].by, "uid=0");
	ck_assert_ptr_null(all.item[1].upstream);
	ck_assert_ptr_null(all.item[1].reason);
	ck_assert_int_eq(all.item[1].until_wall_us, 0);
	/* none left: no file */
	ck_assert(suspensions_lift(&all, "ma in") && suspensions_lift(&all, NULL));
	ck_assert_int_eq(suspensions_save(&all, &spool, &e), 0);
	ck_assert_int_eq(suspensions_save(&all, &spool, &e), 0);
	snprintf(path, sizeof(path), "%s/suspended", spool.path);
	ck_assert_int_ne(access(path, F_OK), 0);
	suspensions_release(&all);
}
END_TEST

static void expect_damaged(const char *what, long at)
{
	struct suspensions all;
	struct err e;

	suspensions_init(&all);
	ck_assert_msg(suspensions_load(&all, &spool, &e) == -1, "%s at %ld is not seen", what, at);
	ck_assert_ptr_nonnull(strstr(e.text, "suspended"));
	ck_assert_uint_eq(all.count, 0);
	suspensions_release(&all);
}

START_TEST(damage_is_seen_at_every_octet)
{
	char path[200], text[1000];
	ssize_t len;
	int fd;

	save_two();
	snprintf(path, sizeof(path), "%s/suspended", spool.path);
	fd = open(path, O_RDWR);
	len = read(fd, text, sizeof(text));
	ck_assert_int_gt(len, 100);
	for (ssize_t i = 0; i < len; i++) {
		char other = (char)(text[i] ^ 1);

		ck_assert_int_eq(pwrite(fd, &other, 1, i), 1);
		expect_damaged("a change", i);
		ck_assert_int_eq(pwrite(fd, &text[i], 1, i), 1);
	}
	for (ssize_t i = len - 1; i >= 0; i--) {
		ck_assert_int_eq(ftruncate(fd, i), 0);
		expect_damaged("an end", i);
	}
	close(fd);
}
END_TEST

START_TEST(what_is_no_file_is_no_suspension)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/suspended", spool.path);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	expect_damaged("a link", 0);
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	expect_damaged("a fifo", 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("action");
	TCase *c = tcase_create("all");
	const TTest *const tests[] = {
		each_action_in_each_situation, names_find_their_action, retry_keeps_the_tries, hold_and_release,
		requeue_starts_anew_for_those_without_it, reroute_names_an_upstream_or_none,
		a_corrupt_message_can_only_be_removed, no_report_is_made_of_damaged_content,
		a_damaged_state_is_kept_and_begun_anew, a_message_that_is_gone_is_said_to_be,
		a_disk_that_refuses_fails_the_order, a_report_the_disk_refuses_is_said_and_wanted_still,
		a_batch_says_of_each_what_became_of_it,
		suspensions_are_found_and_end, suspensions_outlive_a_restart, damage_is_seen_at_every_octet,
		what_is_no_file_is_no_suspension,
	};

	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
