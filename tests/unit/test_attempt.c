/* SPDX-License-Identifier: ISC */
/* relay/attempt: from file and state to new state, with outcomes played by the test. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/attempt.h"
#include "spool/txn.h"
#include "unit.h"

#define NOW_US 1795000000000000
static const struct retry_limits limits = { 60000, 3600000, 2.0 };
static char dir[64], id[ENVELOPE_ID_MAX];
static struct spool spool;

static void setup(void)
{
	struct envelope env;
	struct spool_txn *t;
	struct err e;

	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR, "test");
	strcpy(dir, "/tmp/posthouse-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(spool_prepare(dir, (uid_t)-1, (gid_t)-1, (gid_t)-1, &e), 0);
	ck_assert_int_eq(spool_open(&spool, dir, SPOOL_MANAGE, SPOOL_SYNC_AUTO, &e), 0);
	clock_freeze(NOW_US, 0);
	envelope_init(&env);
	env.arrived_wall_us = NOW_US;
	envelope_set(&env.sender, "from@example.org", 16);
	envelope_add_rcpt(&env, "a@example.org", 13);
	envelope_add_rcpt(&env, "b@example.org", 13);
	envelope_add_rcpt(&env, "c@example.org", 13);
	t = spool_txn_begin(&spool, &env);
	ck_assert_int_eq(spool_txn_write(t, "x\r\n", 3, &e), SPOOL_OK);
	ck_assert_int_eq(spool_txn_commit(t, &e), SPOOL_OK);
	strcpy(id, env.id);
	envelope_release(&env);
}

static void teardown(void)
{
	char command[128];

	spool_close(&spool);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

/* A spool that cannot be written stands for a sick disk: root included, as its directories are gone. */
static void break_spool(struct spool *broken)
{
	*broken = spool;
	broken->state_fd = broken->queue_fd = open("/dev/null", O_RDONLY);
}

static struct attempt *begin(size_t expect_rcpts)
{
	struct attempt *a;

	ck_assert_int_eq(attempt_open(&a, &spool, id, "main", NULL), ATTEMPT_READY);
	ck_assert_uint_eq(a->txn.rcpt_count, expect_rcpts);
	return a;
}

static void answer(struct attempt *a, size_t i, int code, const char *enhanced)
{
	struct smtp_reply reply;

	smtp_reply_set(&reply, code, enhanced, "said so");
	a->txn.recipient(&a->txn, i, &reply);
}

static struct attempt_result conclude(struct attempt *a, enum upstream_how how, enum upstream_phase phase, int code)
{
	struct upstream_outcome o = { .how = how, .phase = phase };

	if (code)
		smtp_reply_set(&o.reply, code, "", "the end");
	return attempt_conclude(a, &o, &limits, 0.5);
}

START_TEST(a_message_delivered_to_all_leaves_the_spool)
{
	struct attempt *a = begin(3);
	struct err e;

	for (size_t i = 0; i < 3; i++)
		answer(a, i, 250, "2.1.5");
	ck_assert(conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250).answered);
	ck_assert_int_eq(attempt_save(a, &spool, &e), ATTEMPT_COMPLETED);
	attempt_free(a);
	ck_assert_int_eq(attempt_open(&a, &spool, id, "main", NULL), ATTEMPT_GONE);
}
END_TEST

START_TEST(each_recipient_has_its_own_fate)
{
	struct attempt *a = begin(3);
	struct err e;

	answer(a, 0, 250, "2.1.5");
	answer(a, 1, 550, "5.1.1");
	answer(a, 2, 451, "4.7.1");
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(attempt_save(a, &spool, &e), ATTEMPT_AGAIN);
	ck_assert_int_eq(a->due_wall_ms, NOW_US / 1000 + 60000);
	attempt_free(a);

	a = begin(1); /* only the deferred one is sent to again */
	ck_assert_str_eq(a->message.env.rcpt[a->rcpt[0]].address, "c@example.org");
	ck_assert_int_eq(a->state.rcpt[0].status, RCPT_DELIVERED);
	ck_assert_int_eq(a->state.rcpt[1].status, RCPT_FAILED);
	ck_assert_str_eq(a->state.rcpt[1].reply, "550 5.1.1 said so");
	answer(a, 0, 451, "4.7.1");
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_RCPT, 451);
	ck_assert_int_eq(a->due_wall_ms, NOW_US / 1000 + 120000); /* the interval grows across attempts */
	ck_assert_int_eq(attempt_save(a, &spool, &e), ATTEMPT_AGAIN);
	attempt_free(a);

	a = begin(1);
	answer(a, 0, 250, "");
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(attempt_save(a, &spool, &e), ATTEMPT_PARKED); /* the failed one keeps it visible */
	attempt_free(a);
	ck_assert_int_eq(attempt_open(&a, &spool, id, "main", NULL), ATTEMPT_NOTHING_TO_DO);
}
END_TEST

START_TEST(a_message_nobody_looked_at_was_not_tried)
{
	struct attempt *a = begin(3);
	struct attempt_result r = conclude(a, UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, 0);

	ck_assert(!r.touched && !r.answered && !r.upstream_trouble);
	ck_assert_uint_eq(a->state.tries, 0);
	ck_assert_int_eq(a->due_wall_ms, NOW_US / 1000);
	attempt_free(a);
}
END_TEST

START_TEST(a_lost_answer_is_uncertain_and_refusals_stand)
{
	struct attempt *a = begin(3);
	struct err e;

	answer(a, 0, 250, "");
	answer(a, 1, 550, "5.1.1");
	answer(a, 2, 250, "");
	conclude(a, UPSTREAM_NO_ANSWER, UPSTREAM_FINAL_DOT, 0);
	ck_assert(a->state.uncertain);
	ck_assert_int_eq(attempt_save(a, &spool, &e), ATTEMPT_AGAIN);
	attempt_free(a);
	a = begin(2);
	ck_assert(a->state.uncertain);
	ck_assert_int_eq(a->state.rcpt[1].status, RCPT_FAILED);
	attempt_free(a);
}
END_TEST

START_TEST(one_recipient_too_many_goes_at_once)
{
	struct attempt *a = begin(3);

	answer(a, 0, 250, "");
	answer(a, 1, 452, "4.5.3");
	answer(a, 2, 452, "4.5.3");
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(a->due_wall_ms, NOW_US / 1000);
	attempt_free(a);
	/* but not when none got through: that would never end */
	a = begin(3);
	for (size_t i = 0; i < 3; i++)
		answer(a, i, 452, "4.5.3");
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_RCPT, 452);
	ck_assert_int_eq(a->due_wall_ms, NOW_US / 1000 + 60000);
	attempt_free(a);
}
END_TEST

START_TEST(our_own_wrong_password_bounces_nothing)
{
	struct attempt *a = begin(3);
	struct attempt_result r = conclude(a, UPSTREAM_ANSWERED, UPSTREAM_MAIL, 530);

	ck_assert(r.upstream_trouble);
	ck_assert_uint_eq(spool_state_count(&a->state, RCPT_PENDING), 3);
	attempt_free(a);
}
END_TEST

START_TEST(a_sick_disk_does_not_make_it_forget)
{
	struct attempt *a = begin(3);
	struct spool broken;
	struct err e;

	break_spool(&broken);
	answer(a, 0, 250, "");
	answer(a, 1, 451, "");
	answer(a, 2, 451, "");
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(attempt_save(a, &broken, &e), ATTEMPT_UNSAVED);
	ck_assert_ptr_nonnull(strstr(e.text, id));
	ck_assert_int_eq(attempt_save(a, &spool, &e), ATTEMPT_AGAIN);
	attempt_free(a);
	a = begin(2);
	attempt_free(a);
	close(broken.queue_fd);
}
END_TEST

START_TEST(held_and_damaged_messages_are_not_sent)
{
	struct spool_state st;
	struct attempt *a;
	struct err e;
	int fd;

	log_open(LOG_TO_SYSLOG, (enum log_level)0, "test"); /* what it says of the damage is expected */
	spool_state_init(&st, 3);
	st.held = true;
	ck_assert_int_eq(spool_state_save(&st, &spool, id, &e), 0);
	spool_state_release(&st);
	ck_assert_int_eq(attempt_open(&a, &spool, id, "main", NULL), ATTEMPT_NOTHING_TO_DO);
	fd = openat(spool.queue_fd, id, O_WRONLY);
	ck_assert_int_eq(pwrite(fd, "y", 1, 300), 1);
	close(fd);
	ck_assert_int_eq(attempt_open(&a, &spool, id, "main", NULL), ATTEMPT_QUARANTINED);
	ck_assert_int_eq(attempt_open(&a, &spool, id, "main", NULL), ATTEMPT_GONE);
	ck_assert_int_eq(faccessat(spool.corrupt_fd, id, F_OK, 0), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("attempt");
	TCase *c = tcase_create("all");
	const TTest *const tests[] = {
		a_message_delivered_to_all_leaves_the_spool, each_recipient_has_its_own_fate,
		a_message_nobody_looked_at_was_not_tried, a_lost_answer_is_uncertain_and_refusals_stand,
		one_recipient_too_many_goes_at_once, our_own_wrong_password_bounces_nothing,
		a_sick_disk_does_not_make_it_forget, held_and_damaged_messages_are_not_sent,
	};

	tcase_add_checked_fixture(c, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
