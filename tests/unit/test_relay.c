/* SPDX-License-Identifier: ISC */
/* relay/: the queue in memory, the decision table, retry and breaker, notices. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "relay/notice.h"
#include "relay/outcome.h"
#include "relay/queue.h"
#include "relay/retry.h"
#include "unit.h"

/* ---- the queue ------------------------------------------------------------------ */

START_TEST(the_queue_gives_what_is_due_in_order)
{
	static const char a[] = "0m4x7f3q9zkab1cd", b[] = "0m4x7f3q9zkab1ce", c[] = "0m4x7f3q9zkab1cf";
	struct queue q;
	struct spool_id id;

	queue_init(&q);
	ck_assert(!queue_take(&q, 1000, &id));
	ck_assert_int_eq(queue_next_due(&q), CLOCK_NEVER);
	ck_assert(!queue_forget(&q, a));
	ck_assert(queue_add(&q, a, 300));
	ck_assert(queue_add(&q, b, 100));
	ck_assert(queue_add(&q, c, 200));
	ck_assert(!queue_add(&q, b, 1));
	ck_assert_int_eq(queue_next_due(&q), 100);
	ck_assert_uint_eq(queue_count_due(&q, 200, 100), 2);
	ck_assert_uint_eq(queue_count_due(&q, 200, 1), 1);
	ck_assert(!queue_take(&q, 99, &id));
	ck_assert(queue_take(&q, 250, &id));
	ck_assert_str_eq(id.text, b);
	ck_assert(!queue_add(&q, b, 1)); /* taken, but known */
	ck_assert(queue_take(&q, 250, &id));
	ck_assert_str_eq(id.text, c);
	ck_assert(!queue_take(&q, 250, &id));
	queue_give_back(&q, b, 500);
	ck_assert(queue_forget(&q, c));
	ck_assert(!queue_forget(&q, c));
	ck_assert(queue_forget(&q, a)); /* while it waits */
	ck_assert_int_eq(queue_next_due(&q), 500);
	ck_assert_uint_eq(q.count, 1);
	queue_release(&q);
}
END_TEST

/* The wall clock was set back: what waits does not wait longer. */
START_TEST(the_queue_follows_the_clock)
{
	static const char a[] = "0m4x7f3q9zkab1cd", b[] = "0m4x7f3q9zkab1ce", c[] = "0m4x7f3q9zkab1cf";
	struct queue q;
	struct spool_id id;

	queue_init(&q);
	queue_shift(&q, -1000);
	ck_assert(!queue_knows(&q, a));
	ck_assert(queue_add(&q, a, 5000));
	ck_assert(queue_add(&q, b, 9000));
	ck_assert(queue_add(&q, c, 4000));
	ck_assert(queue_take(&q, 4000, &id));
	queue_shift(&q, -3000);
	ck_assert(queue_knows(&q, a) && queue_knows(&q, c));
	ck_assert_int_eq(queue_next_due(&q), 2000);
	queue_give_back(&q, c, 4500);
	ck_assert(queue_take(&q, 2000, &id));
	ck_assert_str_eq(id.text, a);
	ck_assert(queue_take(&q, 4500, &id));
	ck_assert_str_eq(id.text, c);
	ck_assert_int_eq(queue_next_due(&q), 6000);
	queue_release(&q);
}
END_TEST

#define MODEL 3000

/* Against a plain array: random operations, the same answers. */
START_TEST(the_queue_agrees_with_a_model)
{
	struct {
		struct spool_id id;
		int64_t due;
		enum { OUT, WAITING, TAKEN } where;
	} *model = calloc(MODEL, sizeof(*model));
	struct queue q;
	uint32_t count = 0;

	srand(7);
	queue_init(&q);
	for (int i = 0; i < MODEL; i++)
		spool_id_new(&model[i].id);
	for (int step = 0; step < 200000; step++) {
		int i = rand() % MODEL;
		int64_t due = rand() % 1000, least = CLOCK_NEVER;
		struct spool_id id;

		switch (rand() % 4) {
		case 0:
			ck_assert_int_eq(queue_add(&q, model[i].id.text, due), model[i].where == OUT);
			if (model[i].where != OUT)
				break;
			model[i].where = WAITING;
			model[i].due = due;
			count++;
			break;
		case 1:
			ck_assert_int_eq(queue_forget(&q, model[i].id.text), model[i].where != OUT);
			count -= model[i].where != OUT;
			model[i].where = OUT;
			break;
		case 2:
			if (model[i].where != TAKEN)
				break;
			queue_give_back(&q, model[i].id.text, due);
			model[i].where = WAITING;
			model[i].due = due;
			break;
		case 3:
			if (step % 50 != 0)
				break; /* the model is slow */
			for (int k = 0; k < MODEL; k++)
				if (model[k].where == WAITING && model[k].due < least)
					least = model[k].due;
			ck_assert_int_eq(queue_next_due(&q), least);
			ck_assert_int_eq(queue_take(&q, due, &id), least <= due);
			for (int k = 0; k < MODEL && least <= due; k++) {
				if (strcmp(model[k].id.text, id.text) != 0)
					continue;
				ck_assert_int_eq(model[k].where, WAITING);
				ck_assert_int_eq(model[k].due, least);
				model[k].where = TAKEN;
			}
			break;
		}
		ck_assert_uint_eq(q.count, count);
	}
	queue_release(&q);
	free(model);
}
END_TEST

/* ---- the decision table ----------------------------------------------------------- */

static struct decision decide(enum upstream_how how, enum upstream_phase phase, int code)
{
	struct upstream_outcome o = { .how = how, .phase = phase, .reply = { .code = code } };

	return outcome_decide(&o);
}

/* The promise of DESIGN 6, for every combination there is: only 5yz to MAIL, RCPT, DATA or the end of data is permanent. */
START_TEST(only_5yz_in_a_transaction_is_permanent)
{
	unsigned seen = 0;

	for (int how = UPSTREAM_ANSWERED; how <= UPSTREAM_NOT_STARTED; how++) {
		for (int phase = UPSTREAM_RESOLVE; phase <= UPSTREAM_IDLE; phase++) {
			for (int code = 0; code < 600; code = code ? code + 1 : 200) {
				struct decision d = decide((enum upstream_how)how, (enum upstream_phase)phase, code);
				bool transaction = phase >= UPSTREAM_MAIL && phase <= UPSTREAM_FINAL_DOT;
				bool ours = code == 530 || (code >= 534 && code <= 538);
				bool permanent = how == UPSTREAM_UNSUPPORTED ||
						 (how == UPSTREAM_ANSWERED && transaction && code >= 500 && !ours);

				ck_assert_msg((d.verdict == VERDICT_FAILED) == permanent, "how %d phase %d code %d", how,
					      phase, code);
				ck_assert_msg((d.verdict == VERDICT_DELIVERED) ==
						      (how == UPSTREAM_ANSWERED && phase == UPSTREAM_FINAL_DOT &&
						       code >= 200 && code < 300),
					      "how %d phase %d code %d", how, phase, code);
				ck_assert_msg((d.verdict == VERDICT_UNCERTAIN) ==
						      (how == UPSTREAM_NO_ANSWER && phase == UPSTREAM_FINAL_DOT),
					      "how %d phase %d code %d", how, phase, code);
				/* trouble of the session is never a try of the message */
				if (phase <= UPSTREAM_AUTH && (how == UPSTREAM_ANSWERED || how == UPSTREAM_NO_ANSWER)) {
					ck_assert_int_eq(d.verdict, VERDICT_UNTOUCHED);
					ck_assert(d.upstream_trouble);
				}
				seen++;
			}
		}
	}
	ck_assert_uint_eq(seen, 5u * 11 * 401);
}
END_TEST

START_TEST(every_rule_of_the_table_is_reached)
{
	for (unsigned i = 0; i < outcome_rule_count; i++) {
		const struct outcome_rule *r = &outcome_rules[i];
		bool reached = false;

		for (int phase = (int)r->first; phase <= (int)r->last && !reached; phase++) {
			for (int code = r->code_first; code <= r->code_last && code < 600 && !reached; code++) {
				bool earlier = false;

				for (unsigned k = 0; k < i; k++) {
					const struct outcome_rule *b = &outcome_rules[k];

					earlier = earlier || (b->how == r->how && phase >= (int)b->first &&
							      phase <= (int)b->last && code >= b->code_first &&
							      code <= b->code_last);
				}
				reached = !earlier;
			}
		}
		ck_assert_msg(reached, "rule %u is hidden by others: %s", i, r->because);
		ck_assert_ptr_nonnull(verdict_name(r->decision.verdict));
	}
}
END_TEST

/* ---- retry and breaker -------------------------------------------------------------- */

START_TEST(intervals_grow_to_their_limit)
{
	static const struct retry_limits limits = { 60000, 3600000, 2.0 };
	static const int64_t middle[] = { 60000, 120000, 240000, 480000, 960000, 1920000, 3600000, 3600000 };

	for (unsigned i = 0; i < sizeof(middle) / sizeof(*middle); i++) {
		ck_assert_int_eq(retry_interval_ms(&limits, i + 1, 0.5), middle[i]);
		ck_assert_int_eq(retry_interval_ms(&limits, i + 1, 0), middle[i] * 9 / 10);
		ck_assert_int_lt(retry_interval_ms(&limits, i + 1, 0.9999), middle[i] * 11 / 10);
	}
	ck_assert_int_eq(retry_interval_ms(&limits, UINT32_MAX, 0.5), 3600000);
}
END_TEST

START_TEST(a_failing_upstream_is_paused_longer_and_longer)
{
	static const struct retry_limits probe = { 5000, 300000, 2.0 };
	struct breaker b = { 0 };
	bool news;

	ck_assert_uint_eq(breaker_connections(&b, 20, 0), 20);
	ck_assert_int_eq(breaker_failed(&b, &probe, 0.5, 1000, &news), 5000);
	ck_assert(news);
	ck_assert_uint_eq(breaker_connections(&b, 20, 1000), 0);
	/* nineteen more connections fail with it: one failure */
	ck_assert_int_eq(breaker_failed(&b, &probe, 0.5, 2000, &news), 4000);
	ck_assert(!news);
	ck_assert_uint_eq(breaker_connections(&b, 20, 5999), 0);
	ck_assert_uint_eq(breaker_connections(&b, 20, 6000), 1);
	ck_assert_int_eq(b.state, BREAKER_PROBING);
	ck_assert_int_eq(breaker_failed(&b, &probe, 0.5, 7000, &news), 10000);
	ck_assert(!news);
	ck_assert_uint_eq(breaker_connections(&b, 20, 17000), 1);
	ck_assert(breaker_worked(&b));
	ck_assert(!breaker_worked(&b));
	ck_assert_uint_eq(breaker_connections(&b, 20, 17000), 20);
	ck_assert_int_eq(breaker_failed(&b, &probe, 0.5, 20000, &news), 5000);
	ck_assert(news);
}
END_TEST

/* ---- notices ---------------------------------------------------------------------------- */

static void collect(void *ctx, const char *id)
{
	strcat(strcat(ctx, id), ",");
}

START_TEST(notices_are_read_however_they_are_cut)
{
	static const char stream[] = "0m4x7f3q9zkab1cd\n\n0m4x7f3q9zkab1ce\nrubbish\n0m4x7f3q9zkab1cdTOOLONG\n"
				     "0m4x7f3q9zkab1cf\n../../etc/passwd\n0m4x7f3q";
	for (size_t step = 1; step <= sizeof(stream); step++) {
		struct notice_reader r;
		char got[200] = "";

		notice_reader_init(&r);
		for (size_t i = 0; i < sizeof(stream) - 1; i += step) {
			size_t n = sizeof(stream) - 1 - i < step ? sizeof(stream) - 1 - i : step;

			notice_read(&r, stream + i, n, collect, got);
		}
		ck_assert_str_eq(got, "0m4x7f3q9zkab1cd,0m4x7f3q9zkab1ce,0m4x7f3q9zkab1cf,");
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("relay");

	UNIT_CASE(s, the_queue_gives_what_is_due_in_order, the_queue_follows_the_clock, the_queue_agrees_with_a_model,
		  only_5yz_in_a_transaction_is_permanent, every_rule_of_the_table_is_reached,
		  intervals_grow_to_their_limit, a_failing_upstream_is_paused_longer_and_longer,
		  notices_are_read_however_they_are_cut);
	return unit_run(s);
}
