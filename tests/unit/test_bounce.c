/* SPDX-License-Identifier: ISC */
/* manage/bounce: who is told of what, and that one report is queued for it. test_report.py reads the reports. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "manage/bounce.h"
#include "spool/recover.h"
#include "spool/state.h"
#include "spool_world.h"
#include "unit.h"

#define NOW_US 1795000000000000
#define SENDER "from@example.org"
#define MASTER "postmaster@example.org"
enum {
	NEVER = ENVELOPE_NOTIFY_NEVER,
	SUCCESS = ENVELOPE_NOTIFY_SUCCESS,
	FAILURE = ENVELOPE_NOTIFY_FAILURE,
	DELAY = ENVELOPE_NOTIFY_DELAY
};

static const struct bounce_settings with_master = { "mx.example.org", MASTER, 50000, 432000000 };
static const struct bounce_settings without = { "mx.example.org", NULL, 50000, 432000000 };
static char id[ENVELOPE_ID_MAX];
static struct spool spool;

static void setup(void)
{
	spool_world_open(&spool);
	clock_freeze(NOW_US, 0);
}

static void teardown(void)
{
	spool_world_close(&spool);
}

/* A message of three recipients, in the spool. */
static void queue_message(const char *sender, unsigned notify)
{
	struct envelope env;

	spool_world_envelope(&env, NOW_US, sender, "Postmaster@Example.org");
	env.rcpt[0].notify = notify;
	spool_world_commit(&spool, &env, "Subject: x\r\n\r\nbody\r\n", id);
}

static void open_message(struct spool_message *m, struct spool_state *st)
{
	struct err e;

	ck_assert_int_eq(spool_message_open(m, &spool, id, true, &e), SPOOL_READ_OK);
	spool_state_init(st, m->env.rcpt_count);
	ck_assert_int_eq(spool_state_load(st, &spool, id, &e), SPOOL_READ_OK);
}

static void close_message(struct spool_message *m, struct spool_state *st)
{
	spool_message_close(m);
	spool_state_release(st);
}

static void fail_rcpt(struct spool_state *st, size_t i, enum rcpt_status status)
{
	rcpt_state_set(&st->rcpt[i], status, NOW_US, "main", "mx.example.net:25", "550 5.1.1 no such user");
}

static void count_one(void *ctx, const char *name)
{
	(void)name;
	++*(size_t *)ctx;
}

static size_t queued(void)
{
	size_t n = 0;
	struct err e;

	ck_assert_int_eq(spool_scan(&spool, count_one, NULL, &n, &e), 0);
	return n;
}

/* The text of a queued report; the caller's. */
static char *read_report(const char *report_id, struct envelope *env)
{
	struct spool_message m;
	struct err e;
	char *text;

	ck_assert_int_eq(spool_message_open(&m, &spool, report_id, true, &e), SPOOL_READ_OK);
	text = calloc(1, m.content_bytes + 1);
	for (uint64_t at = 0; at < m.content_bytes;)
		at += (uint64_t)spool_message_read(&m, at, text + at, m.content_bytes - at, &e);
	if (env) {
		*env = m.env;
		memset(&m.env, 0, sizeof(m.env));
		spool_message_close_file(&m);
	} else {
		spool_message_close(&m);
	}
	return text;
}

/* ---- who is told ------------------------------------------------------------------------------- */

enum told { TO_SENDER, TO_MASTER, TO_NOBODY, STAYS };

/* The first recipient ended as said; `settings` and sender decide with its NOTIFY. */
static const struct {
	const char *sender;
	unsigned notify;
	bool master;
	enum told told;
} rules[] = {
	{ SENDER, 0, false, TO_SENDER },
	{ SENDER, 0, true, TO_SENDER },
	{ SENDER, FAILURE, false, TO_SENDER },
	{ SENDER, FAILURE | SUCCESS | DELAY, true, TO_SENDER },
	{ SENDER, NEVER, false, TO_NOBODY },
	{ SENDER, NEVER, true, TO_NOBODY },
	{ SENDER, SUCCESS, false, TO_NOBODY },
	{ SENDER, SUCCESS | DELAY, true, TO_NOBODY },
	{ SENDER, DELAY, true, TO_NOBODY },
	{ "", 0, false, STAYS },
	{ "", 0, true, TO_MASTER },
	{ "", FAILURE, false, STAYS },
	{ "", FAILURE, true, TO_MASTER },
	{ "", NEVER, true, TO_NOBODY },
	{ "", NEVER, false, TO_NOBODY },
	{ "", DELAY, true, TO_NOBODY },
};
#define RULES (sizeof(rules) / sizeof(*rules))

static void check_rule(size_t rule, enum rcpt_status status)
{
	const struct bounce_settings *settings = rules[rule].master ? &with_master : &without;
	bool ended = status == RCPT_FAILED || status == RCPT_EXPIRED;
	bool wanted = ended && (rules[rule].told == TO_SENDER || rules[rule].told == TO_MASTER);
	struct spool_message m;
	struct spool_state st;
	const char *to = NULL;
	struct err e;

	queue_message(rules[rule].sender, rules[rule].notify);
	open_message(&m, &st);
	fail_rcpt(&st, 0, status);
	ck_assert_int_eq(bounce_prepare(settings, &m.env, &st), wanted);
	ck_assert_int_eq(st.report_id.text[0] != '\0', wanted);
	ck_assert_int_eq(st.rcpt[0].reported, ended && rules[rule].told == TO_NOBODY);
	if (wanted) {
		ck_assert_int_eq(bounce_commit(settings, &spool, &m, &st, &to, &e), 0);
		ck_assert_str_eq(to, rules[rule].told == TO_SENDER ? SENDER : MASTER);
		ck_assert(st.rcpt[0].reported && !st.report_id.text[0]);
	}
	ck_assert(!st.rcpt[1].reported && !st.rcpt[2].reported);
	ck_assert(!bounce_prepare(settings, &m.env, &st));
	close_message(&m, &st);
}

START_TEST(who_is_told_of_what)
{
	static const enum rcpt_status all[] = { RCPT_PENDING, RCPT_DELIVERED, RCPT_FAILED, RCPT_EXPIRED };

	for (size_t s = 0; s < 4; s++)
		check_rule((size_t)_i, all[s]);
}
END_TEST

START_TEST(postmaster_hears_nothing_of_what_he_did_not_get)
{
	struct spool_message m;
	struct spool_state st;

	queue_message("", 0);
	open_message(&m, &st);
	fail_rcpt(&st, 2, RCPT_FAILED);
	ck_assert(!bounce_prepare(&with_master, &m.env, &st));
	ck_assert(!st.rcpt[2].reported);
	close_message(&m, &st);
}
END_TEST

/* ---- the report that is queued ------------------------------------------------------------------- */

START_TEST(one_report_for_all_that_failed)
{
	struct spool_message m;
	struct spool_state st;
	struct spool_id report;
	struct envelope env;
	struct err e;
	char *text;

	queue_message(SENDER, 0);
	open_message(&m, &st);
	fail_rcpt(&st, 0, RCPT_FAILED);
	fail_rcpt(&st, 1, RCPT_EXPIRED);
	ck_assert(bounce_prepare(&without, &m.env, &st));
	report = st.report_id;
	spool_message_close_file(&m);
	ck_assert_int_eq(bounce_commit(&without, &spool, &m, &st, NULL, &e), 0);
	ck_assert_int_eq(m.fd, -1);
	ck_assert_uint_eq(queued(), 2);
	text = read_report(report.text, &env);
	ck_assert_str_eq(env.sender, "");
	ck_assert_uint_eq(env.rcpt_count, 1);
	ck_assert_str_eq(env.rcpt[0].address, SENDER);
	ck_assert_str_eq(env.listener, "report");
	ck_assert_str_eq(env.protocol, "local");
	ck_assert(!env.smtputf8 && env.body == BODY_7BIT);
	ck_assert_ptr_nonnull(strstr(env.peer, id));
	ck_assert_ptr_nonnull(strstr(text, "Final-Recipient: rfc822; a@example.org\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "Final-Recipient: rfc822; b@example.org\r\n"));
	ck_assert_ptr_null(strstr(text, "Final-Recipient: rfc822; Post"));
	ck_assert_ptr_nonnull(strstr(text, "Status: 5.1.1\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "Status: 5.4.7\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "\r\nSubject: x\r\n\r\nbody\r\n"));
	ck_assert_ptr_nonnull(strstr(text, report.text));
	envelope_release(&env);
	free(text);
	close_message(&m, &st);
}
END_TEST

/* RFC 8689 5; and the flag goes through the spool, twice */
START_TEST(the_report_of_a_requiretls_message_is_one)
{
	struct spool_message m;
	struct spool_state st;
	struct spool_id report;
	struct envelope env;
	struct err e;
	char *text;

	spool_world_envelope(&env, NOW_US, SENDER, "c@example.org");
	env.requiretls = true;
	env.ret = RET_FULL; /* does not count */
	spool_world_commit(&spool, &env, "Subject: x\r\n\r\nsecret\r\n", id);
	open_message(&m, &st);
	ck_assert(m.env.requiretls && m.env.ret == RET_FULL);
	fail_rcpt(&st, 0, RCPT_FAILED);
	fail_rcpt(&st, 1, RCPT_FAILED);
	fail_rcpt(&st, 2, RCPT_FAILED);
	ck_assert(bounce_prepare(&without, &m.env, &st));
	report = st.report_id;
	ck_assert_int_eq(bounce_commit(&without, &spool, &m, &st, NULL, &e), 0);
	text = read_report(report.text, &env);
	ck_assert(env.requiretls);
	ck_assert_ptr_nonnull(strstr(text, "Subject: x\r\n"));
	ck_assert_ptr_null(strstr(text, "secret"));
	envelope_release(&env);
	free(text);
	close_message(&m, &st);
}
END_TEST

START_TEST(a_repetition_has_the_same_id)
{
	struct spool_message m;
	struct spool_state st;
	struct spool_id report;
	struct err e;
	char *first, *second;

	queue_message(SENDER, 0);
	open_message(&m, &st);
	fail_rcpt(&st, 0, RCPT_FAILED);
	ck_assert(bounce_prepare(&without, &m.env, &st));
	report = st.report_id;
	ck_assert_int_eq(spool_state_save(&st, &spool, id, &e), 0);
	ck_assert_int_eq(bounce_commit(&without, &spool, &m, &st, NULL, &e), 0);
	close_message(&m, &st);
	first = read_report(report.text, NULL);
	/* it ends here; the next process reads the state of the disk */
	open_message(&m, &st);
	ck_assert_str_eq(st.report_id.text, report.text);
	ck_assert(bounce_prepare(&without, &m.env, &st));
	ck_assert_str_eq(st.report_id.text, report.text);
	ck_assert_int_eq(bounce_commit(&without, &spool, &m, &st, NULL, &e), 0);
	ck_assert(st.rcpt[0].reported);
	ck_assert_uint_eq(queued(), 2);
	second = read_report(report.text, NULL);
	ck_assert_uint_eq(strlen(first), strlen(second)); /* the boundary is another one */
	/* a third time, when it is delivered and gone: it is there again, under the same id */
	ck_assert_int_eq(spool_remove(&spool, report.text, &e), 0);
	st.rcpt[0].reported = false;
	st.report_id = report;
	ck_assert_int_eq(bounce_commit(&without, &spool, &m, &st, NULL, &e), 0);
	ck_assert_uint_eq(queued(), 2);
	free(second);
	second = read_report(report.text, NULL);
	free(first);
	free(second);
	close_message(&m, &st);
}
END_TEST

START_TEST(who_failed_since_is_not_lost)
{
	struct spool_message m;
	struct spool_state st;
	struct spool_id report;
	struct err e;

	queue_message(SENDER, 0);
	open_message(&m, &st);
	fail_rcpt(&st, 0, RCPT_FAILED);
	ck_assert(bounce_prepare(&without, &m.env, &st));
	report = st.report_id;
	ck_assert_int_eq(bounce_commit(&without, &spool, &m, &st, NULL, &e), 0);
	/* that was never noted, and another one fails */
	st.rcpt[0].reported = false;
	st.report_id = report;
	fail_rcpt(&st, 1, RCPT_FAILED);
	ck_assert(bounce_prepare(&without, &m.env, &st));
	ck_assert_int_eq(bounce_commit(&without, &spool, &m, &st, NULL, &e), -1);
	ck_assert_uint_eq(queued(), 2);
	ck_assert_str_ne(st.report_id.text, report.text);
	report = st.report_id;
	/* the next time, here by another process */
	close_message(&m, &st);
	open_message(&m, &st);
	ck_assert_str_eq(st.report_id.text, report.text);
	ck_assert_int_eq(bounce_commit(&without, &spool, &m, &st, NULL, &e), 0);
	ck_assert(st.rcpt[0].reported && st.rcpt[1].reported && !st.report_id.text[0]);
	ck_assert_uint_eq(queued(), 3);
	close_message(&m, &st);
}
END_TEST

START_TEST(a_failure_leaves_the_state_as_it_was)
{
	struct spool sick = spool;
	struct spool_message m;
	struct spool_state st;
	struct err e;

	queue_message(SENDER, 0);
	open_message(&m, &st);
	fail_rcpt(&st, 0, RCPT_FAILED);
	ck_assert(bounce_prepare(&without, &m.env, &st));
	sick.incoming_fd = -1;
	ck_assert_int_eq(bounce_commit(&without, &sick, &m, &st, NULL, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, id));
	ck_assert(!st.rcpt[0].reported && st.report_id.text[0]);
	ck_assert_uint_eq(queued(), 1);
	close_message(&m, &st);
}
END_TEST

/* ---- delays and confirmations ---------------------------------------------------------------------- */

START_TEST(who_is_warned_of_a_delay)
{
	static const struct {
		const char *sender;
		unsigned notify;
		bool first; /* it names a@ */
		size_t reports;
	} rows[] = {
		{ SENDER, 0, true, 1 },      { SENDER, DELAY, true, 1 }, { SENDER, FAILURE, false, 1 },
		{ SENDER, NEVER, false, 1 }, { "", 0, false, 0 },        { "", DELAY, false, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t before = queued();
		struct spool_message m;
		struct spool_state st;
		struct spool_id report, again;
		struct err e;

		queue_message(rows[i].sender, rows[i].notify);
		open_message(&m, &st);
		fail_rcpt(&st, 2, RCPT_FAILED);
		ck_assert_int_eq(bounce_warn(&with_master, &spool, &m, &st, &report, &e), 0);
		ck_assert(st.warned);
		ck_assert_uint_eq(queued(), before + 1 + rows[i].reports);
		ck_assert(!report.text[0] == !rows[i].reports);
		if (rows[i].reports) {
			char *text = read_report(report.text, NULL);

			ck_assert_ptr_nonnull(strstr(text, "Action: delayed\r\n"));
			ck_assert_ptr_nonnull(strstr(text, "Will-Retry-Until: "));
			ck_assert_ptr_nonnull(strstr(text, "rfc822; b@example.org"));
			ck_assert_int_eq(strstr(text, "rfc822; a@example.org") != NULL, rows[i].first);
			ck_assert_ptr_null(strstr(text, "rfc822; Postmaster"));
			free(text);
		}
		ck_assert_int_eq(bounce_warn(&with_master, &spool, &m, &st, &again, &e), 0);
		ck_assert_str_eq(again.text, "");
		close_message(&m, &st);
	}
}
END_TEST

START_TEST(who_asked_hears_that_it_was_relayed)
{
	static const struct {
		const char *sender;
		unsigned notify;
		bool on_success, on_relay, told;
	} rows[] = {
		{ SENDER, 0, true, false, false },
		{ SENDER, SUCCESS, true, false, true },
		{ SENDER, SUCCESS, false, false, false }, /* the upstream tells */
		{ SENDER, SUCCESS | FAILURE, true, false, true },
		{ SENDER, NEVER, true, false, false },
		{ SENDER, FAILURE | DELAY, true, false, false },
		{ "", SUCCESS, true, false, false },
		/* a time to deliver it by: who said nothing of it is told, too */
		{ SENDER, 0, false, true, true },
		{ SENDER, FAILURE, true, true, true },
		{ SENDER, NEVER, true, true, false },
		{ "", 0, true, true, false },
	};
	static const size_t first[] = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct spool_message m;
		struct spool_state st;
		struct spool_id report;
		struct err e;

		queue_message(rows[i].sender, rows[i].notify);
		open_message(&m, &st);
		rcpt_state_set(&st.rcpt[0], RCPT_DELIVERED, NOW_US, "main", "mx.example.net:25",
			       "250 2.1.5 ok");
		ck_assert_int_eq(bounce_relayed(&with_master, &spool, &m, &st, first,
						bounce_tells_relayed(&m.env.rcpt[0], rows[i].on_success,
								     rows[i].on_relay),
						&report, &e),
				 0);
		ck_assert_int_eq(report.text[0] != '\0', rows[i].told);
		if (rows[i].told) {
			char *text = read_report(report.text, NULL);

			ck_assert_ptr_nonnull(strstr(text, "Action: relayed\r\nStatus: 2.1.5\r\n"));
			ck_assert_ptr_null(strstr(text, "b@example.org"));
			ck_assert_ptr_null(strstr(text, "body"));
			free(text);
		}
		close_message(&m, &st);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bounce");
	TCase *c = tcase_create("all");
	const TTest *const tests[] = {
		postmaster_hears_nothing_of_what_he_did_not_get,
		one_report_for_all_that_failed,
		the_report_of_a_requiretls_message_is_one, a_repetition_has_the_same_id,
		who_failed_since_is_not_lost,
		a_failure_leaves_the_state_as_it_was,
		who_is_warned_of_a_delay,
		who_asked_hears_that_it_was_relayed,
	};

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, who_is_told_of_what, 0, (int)RULES);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
