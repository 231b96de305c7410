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
#include "spool_world.h"
#include "unit.h"

#define NOW_US 1795000000000000
static const char *const names[] = { "main", "other" };
static struct routes routes = { .upstream_name = names, .upstream_count = 1 };
static const struct bounce_settings bounce = { .hostname = "relay.test", .return_limit_bytes = 1000 };
static struct attempt_rules rules = { .routes = &routes, .bounce = &bounce, .retry = { 60000, 3600000, 2.0 },
				      .expire_after_ms = 5 * 86400000LL };
static const struct attempt_limits no_limits = { 0, 0 }, two_recipients = { 2, 0 };
static char id[ENVELOPE_ID_MAX];
static struct spool spool;

static void setup(void)
{
	struct envelope env;

	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR, "test");
	spool_world_open(&spool);
	rules.spool = &spool;
	clock_freeze(NOW_US, 0);
	spool_world_envelope(&env, NOW_US, "from@example.org", "c@example.org");
	spool_world_commit(&spool, &env, "x\r\n", id);
}

static void teardown(void)
{
	spool_world_close(&spool);
}

static int64_t now_us = NOW_US;

/* Time goes on, to where everybody deferred is due again. */
static void go_on(int64_t ms)
{
	now_us += ms * 1000;
	clock_freeze(now_us, (now_us - NOW_US) / 1000);
}

/* A spool that cannot be written stands for a sick disk: root included, as its directories are gone. */
static void break_spool(struct spool *broken)
{
	*broken = spool;
	broken->state_fd = broken->queue_fd = open("/dev/null", O_RDONLY);
}

/* When it is to be tried again. */
static int64_t due_ms(const struct attempt *a)
{
	return (a->state.next_attempt_wall_us > now_us ? a->state.next_attempt_wall_us : now_us) / 1000;
}

static struct attempt *begin(size_t expect_rcpts)
{
	struct attempt *a;

	ck_assert_int_eq(attempt_open(&a, &rules, id, 0, &no_limits, NULL), ATTEMPT_READY);
	ck_assert_uint_eq(a->txn.rcpt_count, expect_rcpts);
	a->remote_name = "mx.example.net:25";
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
	return attempt_conclude(a, &o, 0.5);
}

START_TEST(a_message_delivered_to_all_leaves_the_spool)
{
	struct attempt *a = begin(3);
	struct err e;

	for (size_t i = 0; i < 3; i++)
		answer(a, i, 250, "2.1.5");
	ck_assert(conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250).answered);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_COMPLETED);
	attempt_free(a);
	ck_assert_int_eq(attempt_open(&a, &rules, id, 0, &no_limits, NULL), ATTEMPT_GONE);
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
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN);
	ck_assert_int_eq(due_ms(a), NOW_US / 1000 + 60000);
	attempt_free(a);

	ck_assert_int_eq(attempt_open(&a, &rules, id, 0, &no_limits, NULL), ATTEMPT_ELSEWHERE); /* not due */
	attempt_free(a);
	go_on(60000);
	a = begin(1); /* only the deferred one is sent to again */
	ck_assert_str_eq(a->message.env.rcpt[a->rcpt[0]].address, "c@example.org");
	ck_assert_int_eq(a->state.rcpt[0].status, RCPT_DELIVERED);
	ck_assert_int_eq(a->state.rcpt[1].status, RCPT_FAILED);
	ck_assert_str_eq(a->state.rcpt[1].reply, "550 5.1.1 said so");
	answer(a, 0, 451, "4.7.1");
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_RCPT, 451);
	ck_assert_int_eq(due_ms(a), now_us / 1000 + 120000); /* the interval grows across attempts */
	ck_assert_uint_eq(a->state.rcpt[2].tries, 2);
	ck_assert_str_eq(a->state.rcpt[2].remote, "mx.example.net:25");
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN);
	ck_assert_str_eq(a->report[0].text, ""); /* there was one already */
	attempt_free(a);

	go_on(120000);
	a = begin(1);
	answer(a, 0, 250, "");
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_COMPLETED);
	attempt_free(a);
}
END_TEST

/* The sender of the failed one is told in a message of its own, whose id the relay learns. */
START_TEST(a_failure_makes_one_report)
{
	struct attempt *a = begin(3), *report;
	struct err e;

	answer(a, 0, 250, "2.1.5");
	answer(a, 1, 550, "5.1.1");
	answer(a, 2, 550, "5.1.1");
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_COMPLETED);
	ck_assert_int_eq(attempt_open(&report, &rules, a->report[0].text, 0, &no_limits, NULL), ATTEMPT_READY);
	ck_assert_str_eq(report->message.env.sender, "");
	ck_assert_uint_eq(report->txn.rcpt_count, 1);
	ck_assert_str_eq(report->message.env.rcpt[0].address, "from@example.org");
	/* it fails in its turn: nobody is told, and it stays */
	conclude(report, UPSTREAM_ANSWERED, UPSTREAM_MAIL, 550);
	ck_assert_int_eq(attempt_save(report, &e), ATTEMPT_PARKED);
	ck_assert_str_eq(report->report[0].text, "");
	attempt_free(report);
	attempt_free(a);
}
END_TEST

/* The disk takes the failures and not the report: tried again, and made once. */
START_TEST(a_report_the_disk_refuses_is_made_later)
{
	struct attempt *a = begin(3);
	struct spool full = spool;
	struct err e;

	full.incoming_fd = open("/dev/null", O_RDONLY);
	rules.spool = &full;
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_MAIL, 550);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_UNSAVED);
	ck_assert_str_eq(a->report[0].text, "");
	rules.spool = &spool;
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_COMPLETED);
	ck_assert_uint_eq(strlen(a->report[0].text), SPOOL_ID_LEN);
	attempt_free(a);
	close(full.incoming_fd);
}
END_TEST

START_TEST(only_so_many_recipients_go_at_once)
{
	struct attempt *a;
	struct err e;

	ck_assert_int_eq(attempt_open(&a, &rules, id, 0, &two_recipients, NULL), ATTEMPT_READY);
	ck_assert_uint_eq(a->txn.rcpt_count, 2);
	answer(a, 1, 451, "");
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN);
	ck_assert_int_eq(due_ms(a), NOW_US / 1000); /* the rest goes at once */
	attempt_free(a);
	ck_assert_int_eq(attempt_open(&a, &rules, id, 0, &two_recipients, NULL), ATTEMPT_READY);
	ck_assert_uint_eq(a->txn.rcpt_count, 1);
	ck_assert_uint_eq(a->rcpt[0], 2);
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN); /* the deferred one */
	ck_assert_int_eq(due_ms(a), NOW_US / 1000 + 60000);
	attempt_free(a);
}
END_TEST

/* Whom a rule sends elsewhere is not sent to here. */
START_TEST(each_upstream_gets_its_own_recipients)
{
	static const char *const to_b[] = { "b@example.org" };
	static const struct route_rule rule = { .pattern = { [ROUTE_RECIPIENT] = to_b },
						.pattern_count = { [ROUTE_RECIPIENT] = 1 }, .upstream = 1 };
	struct attempt *a;
	struct err e;

	routes = (struct routes){ .rule = &rule, .rule_count = 1, .upstream_name = names, .upstream_count = 2 };
	ck_assert_int_eq(attempt_open(&a, &rules, id, 1, &no_limits, NULL), ATTEMPT_READY);
	ck_assert_uint_eq(a->txn.rcpt_count, 1);
	ck_assert_uint_eq(a->rcpt[0], 1);
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_str_eq(a->state.rcpt[1].upstream, "other");
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN);
	attempt_free(a);
	ck_assert_int_eq(attempt_open(&a, &rules, id, 1, &no_limits, NULL), ATTEMPT_ELSEWHERE);
	attempt_free(a);
	a = begin(2);
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_COMPLETED);
	attempt_free(a);
}
END_TEST

START_TEST(each_gets_a_last_try_when_its_time_is_over)
{
	struct attempt *a;
	struct err e;

	rules.expire_after_ms = 90000;
	a = begin(3);
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_MAIL, 451);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN);
	ck_assert_int_eq(due_ms(a), NOW_US / 1000 + 60000);
	attempt_free(a);
	go_on(60000);
	a = begin(3);
	answer(a, 0, 250, "");
	answer(a, 1, 451, "");
	answer(a, 2, 451, "");
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN);
	ck_assert_int_eq(due_ms(a), NOW_US / 1000 + 90000); /* not 120 s later */
	attempt_free(a);
	go_on(30000);
	a = begin(2);
	answer(a, 0, 250, "");
	answer(a, 1, 451, "4.2.0");
	conclude(a, UPSTREAM_NO_ANSWER, UPSTREAM_FINAL_DOT, 0);
	ck_assert_int_eq(a->state.rcpt[1].status, RCPT_EXPIRED);
	ck_assert_int_eq(a->state.rcpt[2].status, RCPT_EXPIRED);
	ck_assert_str_eq(a->state.rcpt[2].reply, "451 4.2.0 said so");
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_COMPLETED);
	ck_assert_uint_eq(strlen(a->report[0].text), SPOOL_ID_LEN);
	attempt_free(a);
}
END_TEST

START_TEST(who_cannot_be_reached_is_given_up_by_age)
{
	const char *trouble[2] = { "connect: refused", NULL };
	struct attempt *a;
	struct err e;

	rules.expire_after_ms = 90000;
	a = begin(3);
	answer(a, 0, 250, "");
	answer(a, 1, 450, "4.2.1");
	conclude(a, UPSTREAM_NO_ANSWER, UPSTREAM_CONTENT, 0);
	ck_assert(!attempt_give_up(a, trouble)); /* too young */
	go_on(90000);
	a->state.held = true;
	ck_assert(!attempt_give_up(a, trouble));
	a->state.held = false;
	trouble[0] = NULL;
	ck_assert(!attempt_give_up(a, trouble)); /* it can be reached: a last try comes */
	trouble[0] = "connect: refused";
	ck_assert(attempt_give_up(a, trouble));
	ck_assert_str_eq(a->state.rcpt[1].reply, "expired while upstream \"main\" could not be reached: connect: refused; "
						 "before that: 450 4.2.1 said so");
	ck_assert_uint_eq(spool_state_count(&a->state, RCPT_EXPIRED), 3);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_COMPLETED);
	attempt_free(a);
}
END_TEST

static enum route_listed nobody_knows(void *ctx, const char *address, int64_t arrived_wall_us)
{
	(void)ctx;
	(void)arrived_wall_us;
	return address[0] == 'a' ? ROUTE_LISTED_UNKNOWN : ROUTE_LISTED_NO;
}

/* Whoever may be a mailing list is not sent anywhere; and is given up like the others, with the reason. */
START_TEST(who_is_undecided_waits_and_is_given_up_by_age)
{
	static const char *const with_lists[] = { "main", "lists" };
	static const struct route_lists lists = { nobody_knows, NULL, 1 };
	static const struct routes two = { .lists = &lists, .upstream_name = with_lists, .upstream_count = 2 };
	const char *trouble[3] = { NULL, NULL, "connect: refused" };
	const struct routes *before = rules.routes;
	struct attempt *a;

	rules.routes = &two;
	rules.expire_after_ms = 90000;
	ck_assert_int_eq(attempt_open(&a, &rules, id, 1, &no_limits, NULL), ATTEMPT_ELSEWHERE);
	attempt_free(a);
	a = begin(2); /* b and c */
	go_on(90000);
	ck_assert(attempt_give_up(a, trouble));
	ck_assert_int_eq(a->state.rcpt[0].status, RCPT_EXPIRED);
	ck_assert_str_eq(a->state.rcpt[0].reply,
			 "expired while it could not be found out whether this is a mailing list: connect: refused");
	ck_assert_str_eq(a->state.rcpt[0].upstream, "lists");
	ck_assert_uint_eq(spool_state_count(&a->state, RCPT_PENDING), 2);
	attempt_free(a);
	rules.routes = before;
}
END_TEST

/* Recipients with the same fate and words are one event of the history; another attempt with the same only counts. */
START_TEST(the_history_groups_recipients)
{
	struct attempt *a = begin(3);
	struct err e;

	answer(a, 0, 451, "4.7.1");
	answer(a, 1, 250, "");
	answer(a, 2, 451, "4.7.1");
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_uint_eq(a->state.event_count, 2);
	ck_assert_str_eq(a->state.event[0].what, "deferred");
	ck_assert_uint_eq(a->state.event[0].rcpts, 2);
	ck_assert_str_eq(a->state.event[0].text, "451 4.7.1 said so");
	ck_assert_str_eq(a->state.event[0].upstream, "main");
	ck_assert_str_eq(a->state.event[0].remote, "mx.example.net:25");
	ck_assert_str_eq(a->state.event[1].what, "delivered");
	ck_assert_uint_eq(a->state.event[1].rcpts, 1);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN);
	attempt_free(a);
	for (int i = 0; i < 2; i++) {
		go_on(3600000);
		a = begin(2);
		conclude(a, UPSTREAM_ANSWERED, UPSTREAM_MAIL, 421);
		ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN);
		ck_assert_uint_eq(a->state.event_count, 3);
		ck_assert_uint_eq(a->state.event[2].times, (unsigned)i + 1);
		attempt_free(a);
	}
}
END_TEST

/* A crash between the last recipient and the end of the message: the end comes then. */
START_TEST(a_message_that_is_done_with_leaves)
{
	struct spool_state st;
	struct attempt *a;
	struct err e;

	spool_state_init(&st, 3);
	for (size_t i = 0; i < 3; i++)
		st.rcpt[i].status = RCPT_DELIVERED;
	ck_assert_int_eq(spool_state_save(&st, &spool, id, &e), 0);
	spool_state_release(&st);
	ck_assert_int_eq(attempt_open(&a, &rules, id, 0, &no_limits, NULL), ATTEMPT_ELSEWHERE);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_COMPLETED);
	attempt_free(a);
	ck_assert_int_eq(attempt_open(&a, &rules, id, 0, &no_limits, NULL), ATTEMPT_GONE);
}
END_TEST

/* The queue in memory follows the clock; what stands in the file must not send a message back that is due by it. */
START_TEST(a_wait_that_began_in_the_future_is_over)
{
	struct attempt *a = begin(3);
	struct err e;

	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_MAIL, 450);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN);
	attempt_free(a);
	ck_assert_int_eq(attempt_open(&a, &rules, id, 0, &no_limits, NULL), ATTEMPT_ELSEWHERE);
	attempt_free(a);
	clock_freeze(NOW_US - 1800 * 1000000LL, 60000);
	attempt_free(begin(3));
}
END_TEST

START_TEST(a_message_nobody_looked_at_was_not_tried)
{
	struct attempt *a = begin(3);
	struct attempt_result r = conclude(a, UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, 0);

	ck_assert(!r.touched && !r.answered && !r.upstream_trouble);
	ck_assert_uint_eq(a->state.tries, 0);
	ck_assert_int_eq(due_ms(a), NOW_US / 1000);
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
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN);
	attempt_free(a);
	go_on(60000);
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
	ck_assert_int_eq(due_ms(a), NOW_US / 1000);
	attempt_free(a);
	/* but not when none got through: that would never end */
	a = begin(3);
	for (size_t i = 0; i < 3; i++)
		answer(a, i, 452, "4.5.3");
	conclude(a, UPSTREAM_ANSWERED, UPSTREAM_RCPT, 452);
	ck_assert_int_eq(due_ms(a), NOW_US / 1000 + 60000);
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
	rules.spool = &broken;
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_UNSAVED);
	ck_assert_ptr_nonnull(strstr(e.text, id));
	rules.spool = &spool;
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN);
	attempt_free(a);
	go_on(60000);
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
	ck_assert_int_eq(attempt_open(&a, &rules, id, 0, &no_limits, NULL), ATTEMPT_ELSEWHERE);
	ck_assert(a->state.held);
	attempt_free(a);
	fd = openat(spool.queue_fd, id, O_WRONLY);
	ck_assert_int_eq(pwrite(fd, "y", 1, 300), 1);
	close(fd);
	ck_assert_int_eq(attempt_open(&a, &rules, id, 0, &no_limits, NULL), ATTEMPT_QUARANTINED);
	ck_assert_int_eq(attempt_open(&a, &rules, id, 0, &no_limits, NULL), ATTEMPT_GONE);
	ck_assert_int_eq(faccessat(spool.corrupt_fd, id, F_OK, 0), 0);
}
END_TEST

/* RFC 9422 RCPTDOMAINMAX: those of the first domains, wherever they stand; the others come next. */
START_TEST(domains_are_limited)
{
	static const char *const rcpts[] = { "a@one.test", "b@two.test", "c@ONE.test", "postmaster", "d@three.test",
					     "e@two.test", "f@one.test" };
	static const struct {
		struct attempt_limits limits;
		const char *picked; /* their places */
	} rows[] = {
		{ { 0, 0 }, "0123456" }, { { 0, 1 }, "026" }, { { 2, 1 }, "02" },  { { 0, 2 }, "01256" },
		{ { 0, 3 }, "012356" },	 { { 4, 2 }, "0125" }, { { 0, 4 }, "0123456" },
	};
	struct envelope env;
	char mixed[ENVELOPE_ID_MAX];

	spool_world_envelope(&env, NOW_US, "from@example.org", rcpts[0]);
	while (env.rcpt_count > 0) {
		free(env.rcpt[--env.rcpt_count].address);
		free(env.rcpt[env.rcpt_count].orcpt);
	}
	for (size_t i = 0; i < sizeof(rcpts) / sizeof(*rcpts); i++)
		envelope_add_rcpt(&env, rcpts[i], strlen(rcpts[i]));
	spool_world_commit(&spool, &env, "x\r\n", mixed);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct attempt *a;
		char picked[10] = "";

		ck_assert_int_eq(attempt_open(&a, &rules, mixed, 0, &rows[i].limits, NULL), ATTEMPT_READY);
		for (size_t k = 0; k < a->txn.rcpt_count; k++)
			picked[k] = (char)('0' + a->rcpt[k]);
		ck_assert_str_eq(picked, rows[i].picked);
		attempt_free(a);
	}
}
END_TEST

static void answer_final(struct attempt *a, size_t i, int code)
{
	struct smtp_reply reply;

	smtp_reply_set(&reply, code, "", "for %zu", i);
	a->txn.final(&a->txn, i, &reply);
}

/* LMTP: to each his own, and the end of the connection only to who was not answered. */
START_TEST(each_has_the_answer_that_was_his)
{
	struct attempt *a = begin(3);
	struct attempt_result result;
	struct err e;

	for (size_t i = 0; i < 3; i++)
		answer(a, i, 250, "2.1.5");
	answer_final(a, 0, 250);
	answer_final(a, 1, 452);
	result = conclude(a, UPSTREAM_NO_ANSWER, UPSTREAM_FINAL_DOT, 0);
	ck_assert(result.touched && result.answered && result.delivered && !result.upstream_trouble);
	ck_assert_int_eq(a->state.rcpt[0].status, RCPT_DELIVERED);
	ck_assert_str_eq(a->state.rcpt[0].reply, "250 for 0");
	ck_assert_int_eq(a->state.rcpt[1].status, RCPT_PENDING);
	ck_assert_str_eq(a->state.rcpt[1].reply, "452 for 1");
	ck_assert_int_eq(a->state.rcpt[2].status, RCPT_PENDING);
	ck_assert(a->state.uncertain);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN);
	attempt_free(a);
	go_on(90000);
	a = begin(2);
	answer_final(a, 0, 550);
	answer_final(a, 1, 250);
	result = conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert(result.delivered);
	ck_assert_int_eq(a->state.rcpt[1].status, RCPT_FAILED);
	ck_assert_int_eq(a->state.rcpt[2].status, RCPT_DELIVERED);
	ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_COMPLETED);
	ck_assert(a->report[0].text[0]); /* about one */
	attempt_free(a);
}
END_TEST

static void commit_with_time(struct deliver_by by, char out[ENVELOPE_ID_MAX])
{
	struct envelope env;

	spool_world_envelope(&env, NOW_US, "from@example.org", "c@example.org");
	env.by = by;
	spool_world_commit(&spool, &env, "x\r\n", out);
}

/* RFC 2852: R is over at its moment, and no try is put off beyond it; N goes on. */
START_TEST(a_time_to_deliver_by_is_kept)
{
	static const enum deliver_by_mode modes[] = { DELIVER_BY_RETURN, DELIVER_BY_NOTIFY };

	for (size_t m = 0; m < 2; m++) {
		bool is_return = modes[m] == DELIVER_BY_RETURN;
		struct attempt *a;
		struct err e;
		char timed[ENVELOPE_ID_MAX];

		now_us = NOW_US;
		go_on(0);
		commit_with_time((struct deliver_by){ modes[m], false, NOW_US + 30000000 }, timed);
		ck_assert_int_eq(attempt_open(&a, &rules, timed, 0, &no_limits, NULL), ATTEMPT_READY);
		a->remote_name = "mx.example.net:25";
		conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 450);
		ck_assert_int_eq(a->state.rcpt[0].next_wall_us <= NOW_US + 30000000, is_return);
		if (is_return)
			ck_assert(!attempt_return(a)); /* not yet */
		go_on(30000);
		if (is_return) {
			ck_assert(attempt_return(a));
			for (size_t i = 0; i < a->state.rcpt_count; i++)
				ck_assert_int_eq(a->state.rcpt[i].status, RCPT_EXPIRED);
			ck_assert_ptr_nonnull(strstr(a->state.rcpt[0].reply, "before that: 450 the end"));
			ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_COMPLETED);
			ck_assert(a->report[0].text[0]);
		} else {
			ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_AGAIN);
		}
		attempt_free(a);
	}
}
END_TEST

/* Who is told that it went on: by the upstream's abilities and what was asked for. */
START_TEST(passing_on_is_told_where_it_must_be)
{
	static const struct {
		enum deliver_by_mode mode;
		bool trace, keeps_time, delivers, told;
	} rows[] = {
		{ DELIVER_BY_NONE, false, false, false, false },  { DELIVER_BY_NOTIFY, false, false, false, true },
		{ DELIVER_BY_NOTIFY, false, true, false, false }, { DELIVER_BY_NOTIFY, true, true, false, true },
		{ DELIVER_BY_RETURN, true, true, false, true },	  { DELIVER_BY_RETURN, false, true, false, false },
		{ DELIVER_BY_NOTIFY, true, false, true, false }, /* LMTP does not pass it on */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int64_t moment = rows[i].mode == DELIVER_BY_NONE ? 0 : NOW_US + 900000000;
		char timed[ENVELOPE_ID_MAX];
		struct attempt *a;
		struct err e;

		commit_with_time((struct deliver_by){ rows[i].mode, rows[i].trace, moment }, timed);
		ck_assert_int_eq(attempt_open(&a, &rules, timed, 0, &no_limits, NULL), ATTEMPT_READY);
		a->remote_name = "mx.example.net:25";
		a->upstream_does_dsn = true;
		a->upstream_does_deliverby = rows[i].keeps_time;
		a->upstream_is_final = rows[i].delivers;
		conclude(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
		ck_assert_int_eq(attempt_save(a, &e), ATTEMPT_COMPLETED);
		ck_assert_msg((a->report[1].text[0] != '\0') == rows[i].told, "row %zu", i);
		attempt_free(a);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("attempt");
	TCase *c = tcase_create("all");
	const TTest *const tests[] = {
		a_message_delivered_to_all_leaves_the_spool, each_recipient_has_its_own_fate,
		a_wait_that_began_in_the_future_is_over,
		a_message_nobody_looked_at_was_not_tried, a_lost_answer_is_uncertain_and_refusals_stand,
		one_recipient_too_many_goes_at_once, our_own_wrong_password_bounces_nothing,
		a_failure_makes_one_report, a_report_the_disk_refuses_is_made_later, only_so_many_recipients_go_at_once,
		each_upstream_gets_its_own_recipients, each_gets_a_last_try_when_its_time_is_over,
		who_cannot_be_reached_is_given_up_by_age, who_is_undecided_waits_and_is_given_up_by_age, the_history_groups_recipients,
		a_message_that_is_done_with_leaves,
		a_sick_disk_does_not_make_it_forget, held_and_damaged_messages_are_not_sent,
		domains_are_limited, each_has_the_answer_that_was_his, a_time_to_deliver_by_is_kept,
		passing_on_is_told_where_it_must_be,
	};

	tcase_add_checked_fixture(c, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
