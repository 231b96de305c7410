/* SPDX-License-Identifier: ISC */
/* relay/: the queue in memory, the decision table, retry and breaker, notices. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "relay/deadlines.h"
#include "relay/flush.h"
#include "relay/notice.h"
#include "relay/place.h"
#include "relay/queue.h"
#include "relay/rates.h"
#include "relay/throttle.h"
#include "unit.h"
#include "upstream/outcome.h"
#include "upstream/remotes.h"
#include "upstream/retry.h"

/* ---- the queue ------------------------------------------------------------------ */

#define A "0m4x7f3q9zkab1cd"
#define B "0m4x7f3q9zkab1ce"
#define C "0m4x7f3q9zkab1cf"

START_TEST(the_queue_gives_what_is_due_in_order)
{
	struct queue q;
	struct spool_id id;

	queue_init(&q, 2);
	ck_assert(!queue_take(&q, 0, 1000, &id));
	ck_assert_int_eq(queue_next_due(&q, 0), CLOCK_NEVER);
	ck_assert(!queue_forget(&q, A));
	ck_assert(queue_add(&q, A, 0, 300, 0));
	ck_assert(queue_add(&q, B, 0, 100, 0));
	ck_assert(queue_add(&q, C, 0, 200, 0));
	ck_assert(!queue_add(&q, B, 1, 1, 0));
	ck_assert_int_eq(queue_next_due(&q, 0), 100);
	ck_assert_int_eq(queue_next_due(&q, 1), CLOCK_NEVER);
	ck_assert_uint_eq(queue_count_due(&q, 0, 200, 100), 2);
	ck_assert_uint_eq(queue_count_due(&q, 0, 200, 1), 1);
	ck_assert(!queue_take(&q, 0, 99, &id));
	ck_assert(!queue_take(&q, 1, 250, &id));
	ck_assert(queue_take(&q, 0, 250, &id));
	ck_assert_str_eq(id.text, B);
	ck_assert(!queue_add(&q, B, 0, 1, 0)); /* taken, but known */
	ck_assert_int_eq(queue_find(&q, B), QUEUE_TAKEN);
	ck_assert(queue_take(&q, 0, 250, &id));
	ck_assert_str_eq(id.text, C);
	ck_assert(!queue_take(&q, 0, 250, &id));
	queue_give_back(&q, B, 1, 500);
	ck_assert(queue_forget(&q, C));
	ck_assert(!queue_forget(&q, C));
	ck_assert(queue_forget(&q, A)); /* while it waits */
	ck_assert_int_eq(queue_next_due(&q, 1), 500);
	ck_assert_uint_eq(q.count, 1);
	queue_release(&q);
}
END_TEST

/* New mail behind a backlog that is due has every second turn, and the backlog has the others. */
START_TEST(new_mail_does_not_wait_behind_a_backlog)
{
	struct spool_id old, new, id;
	struct queue q;
	char news[8] = "";

	queue_init(&q, 1);
	for (int i = 0; i < 4; i++) {
		spool_id_new(&old);
		queue_add(&q, old.text, 0, i, 0);
		spool_id_new(&new);
		queue_add(&q, new.text, 0, 100 + i, QUEUE_FRESH);
	}
	for (int i = 0; i < 8; i++) {
		ck_assert(queue_take(&q, 0, 1000, &id));
		news[i] = queue_flags(&q, id.text) & QUEUE_FRESH ? 'n' : 'o';
		if (i == 1)
			queue_put_back(&q, id.text, 0); /* not tried: it stays what it is, and where it was */
	}
	ck_assert(memcmp(news, "nonononon", 8) == 0);
	queue_release(&q);
}
END_TEST

/* After an outage what came meanwhile is a backlog too. */
START_TEST(a_backlog_of_new_mail_grows_old)
{
	struct spool_id id;
	struct queue q;

	queue_init(&q, 1);
	queue_add(&q, A, 0, 30, QUEUE_FRESH);
	queue_add(&q, B, 0, 20, 0);
	queue_age(&q, 0);
	queue_add(&q, C, 0, 90, QUEUE_FRESH);
	ck_assert(queue_take(&q, 0, 100, &id));
	ck_assert_str_eq(id.text, C);
	ck_assert(queue_take(&q, 0, 100, &id));
	ck_assert_str_eq(id.text, B);
	ck_assert(queue_take(&q, 0, 100, &id));
	ck_assert_str_eq(id.text, A);
	ck_assert_uint_eq(queue_flags(&q, A), 0);
	queue_release(&q);
}
END_TEST

START_TEST(split_messages_are_gathered)
{
	struct queue q;

	queue_init(&q, 3);
	queue_add(&q, A, 0, 500, QUEUE_SPLIT);
	queue_add(&q, B, 1, 50, QUEUE_SPLIT | QUEUE_FRESH);
	queue_add(&q, C, 0, 10, 0);
	ck_assert_uint_eq(queue_gather(&q, QUEUE_SPLIT, 2, 100), 2);
	ck_assert_uint_eq(queue_count_waiting(&q, 2), 2);
	ck_assert_uint_eq(queue_count_due(&q, 2, 100, 10), 2);
	ck_assert_int_eq(queue_next_due(&q, 2), 50);
	ck_assert_uint_eq(queue_count_waiting(&q, 0), 1);
	ck_assert_uint_eq(queue_count_waiting(&q, 1), 0);
	queue_release(&q);
}
END_TEST

START_TEST(the_undecided_are_gathered_from_wherever_they_wait)
{
	struct queue q;

	queue_init(&q, 3);
	queue_add(&q, A, 0, 500, QUEUE_UNDECIDED | QUEUE_SPLIT);
	queue_add(&q, B, 1, 50, QUEUE_UNDECIDED);
	queue_add(&q, C, 0, 10, QUEUE_SPLIT);
	ck_assert_uint_eq(q.undecided, 2);
	ck_assert_uint_eq(queue_gather(&q, QUEUE_UNDECIDED, 2, 100), 2);
	ck_assert_uint_eq(queue_count_due(&q, 2, 100, 10), 2);
	ck_assert_uint_eq(queue_count_waiting(&q, 0), 1);
	queue_set_flags(&q, A, 0, QUEUE_UNDECIDED);
	ck_assert(queue_forget(&q, B));
	ck_assert_uint_eq(q.undecided, 0);
	ck_assert_uint_eq(queue_gather(&q, QUEUE_UNDECIDED, 1, 100), 0);
	ck_assert_uint_eq(queue_count_waiting(&q, 2), 1);
	queue_release(&q);
}
END_TEST

START_TEST(the_queue_knows_what_is_held_and_failed)
{
	struct queue_item item;
	struct spool_id id;
	struct queue q;
	uint32_t at = 0;

	queue_init(&q, 1);
	ck_assert_int_eq(queue_oldest_wall_us(&q), CLOCK_NEVER);
	queue_add(&q, B, 0, 1, QUEUE_PEEK);
	queue_add(&q, A, 0, 2, QUEUE_WARNED);
	ck_assert(queue_take(&q, 0, 9, &id));
	queue_park(&q, B, QUEUE_HELD);
	ck_assert(queue_take(&q, 0, 9, &id));
	queue_park(&q, A, QUEUE_FAILED);
	ck_assert_uint_eq(q.held, 1);
	ck_assert_uint_eq(q.failed, 1);
	ck_assert_int_eq(queue_find(&q, A), QUEUE_FAILED);
	ck_assert(!queue_take(&q, 0, 9, &id));
	ck_assert_int_eq(queue_oldest_wall_us(&q), spool_id_wall_us(A));
	while (queue_each(&q, &at, &item))
		ck_assert_int_eq(item.where, strcmp(item.id.text, B) == 0 ? QUEUE_HELD : QUEUE_FAILED);
	ck_assert(queue_take_id(&q, B));
	ck_assert(!queue_take_id(&q, B));
	ck_assert_uint_eq(queue_flags(&q, A), QUEUE_WARNED);
	ck_assert_uint_eq(q.held, 0);
	ck_assert_uint_eq(q.taken, 1);
	ck_assert(queue_forget(&q, B) && queue_forget(&q, A));
	ck_assert_uint_eq(q.taken + q.failed + q.count, 0);
	queue_release(&q);
}
END_TEST

/* The wall clock was set back: what waits does not wait longer. */
START_TEST(the_queue_follows_the_clock)
{
	struct queue q;
	struct spool_id id;

	queue_init(&q, 1);
	queue_shift(&q, -1000);
	ck_assert_int_eq(queue_find(&q, A), QUEUE_UNKNOWN);
	ck_assert(queue_add(&q, A, 0, 5000, 0));
	ck_assert(queue_add(&q, B, 0, 9000, 0));
	ck_assert(queue_add(&q, C, 0, 4000, QUEUE_FRESH));
	ck_assert(queue_take(&q, 0, 4000, &id));
	queue_shift(&q, -3000);
	ck_assert_int_eq(queue_find(&q, A), QUEUE_WAITING);
	ck_assert_int_eq(queue_next_due(&q, 0), 2000);
	queue_give_back(&q, C, 0, 4500);
	ck_assert(queue_take(&q, 0, 2000, &id));
	ck_assert_str_eq(id.text, A);
	ck_assert(queue_take(&q, 0, 4500, &id));
	ck_assert_str_eq(id.text, C);
	ck_assert_int_eq(queue_next_due(&q, 0), 6000);
	queue_release(&q);
}
END_TEST

#define MODEL 2000
#define LANES 3

struct model {
	struct spool_id id;
	int64_t due;
	enum queue_where where;
	size_t lane;
	bool fresh, split;
};

static int64_t model_least(const struct model *m, size_t lane, bool fresh)
{
	int64_t least = CLOCK_NEVER;

	for (int k = 0; k < MODEL; k++)
		if (m[k].where == QUEUE_WAITING && m[k].lane == lane && m[k].fresh == fresh && m[k].due < least)
			least = m[k].due;
	return least;
}

static void model_counts(const struct model *m, const struct queue *q)
{
	uint32_t n[QUEUE_FAILED + 1] = { 0 }, waiting = 0, split = 0;

	for (int k = 0; k < MODEL; k++) {
		n[m[k].where]++;
		split += m[k].where != QUEUE_UNKNOWN && m[k].split;
	}
	ck_assert_uint_eq(q->split, split);
	for (size_t lane = 0; lane < LANES; lane++)
		waiting += (uint32_t)queue_count_waiting(q, lane);
	ck_assert_uint_eq(q->count, MODEL - n[QUEUE_UNKNOWN]);
	ck_assert_uint_eq(q->taken, n[QUEUE_TAKEN]);
	ck_assert_uint_eq(q->held, n[QUEUE_HELD]);
	ck_assert_uint_eq(q->failed, n[QUEUE_FAILED]);
	ck_assert_uint_eq(waiting, n[QUEUE_WAITING]);
}

/* One taken by its turn is the earliest of its kind. */
static void model_take(struct model *m, struct queue *q, size_t lane, int64_t now)
{
	int64_t fresh = model_least(m, lane, true), rest = model_least(m, lane, false);
	struct spool_id id;
	bool any = fresh <= now || rest <= now;

	ck_assert_int_eq(queue_next_due(q, lane), fresh < rest ? fresh : rest);
	ck_assert_int_eq(queue_take(q, lane, now, &id), any);
	for (int k = 0; any && k < MODEL; k++) {
		if (strcmp(m[k].id.text, id.text) != 0)
			continue;
		ck_assert_int_eq(m[k].where, QUEUE_WAITING);
		ck_assert_uint_eq(m[k].lane, lane);
		ck_assert_int_eq(m[k].due, m[k].fresh ? fresh : rest);
		m[k].where = QUEUE_TAKEN;
	}
}

static void model_everywhere(struct model *m, struct queue *q, size_t lane, int64_t now, bool gather)
{
	for (int k = 0; k < MODEL; k++) {
		if (m[k].where != QUEUE_WAITING)
			continue;
		if (!gather && m[k].lane == lane)
			m[k].fresh = false;
		if (gather && m[k].lane != lane && m[k].split) {
			m[k].lane = lane;
			m[k].due = m[k].due < now ? m[k].due : now;
		}
	}
	if (gather)
		queue_gather(q, QUEUE_SPLIT, lane, now);
	else
		queue_age(q, lane);
}

/* Against a plain array: random operations, the same answers. */
START_TEST(the_queue_agrees_with_a_model)
{
	struct model *model = calloc(MODEL, sizeof(*model));
	struct queue q;

	srand(7);
	queue_init(&q, LANES);
	for (int i = 0; i < MODEL; i++)
		spool_id_new(&model[i].id);
	for (int step = 0; step < 200000; step++) {
		struct model *m = &model[rand() % MODEL];
		size_t lane = (size_t)(rand() % LANES);
		int64_t due = rand() % 1000;
		bool held = rand() % 2;

		switch (rand() % 8) {
		case 0:
		case 1:
			ck_assert_int_eq(queue_add(&q, m->id.text, lane, due,
						   (held ? QUEUE_FRESH : 0) | (due % 5 ? 0 : QUEUE_SPLIT)),
					 m->where == QUEUE_UNKNOWN);
			if (m->where == QUEUE_UNKNOWN)
				*m = (struct model){ m->id, due, QUEUE_WAITING, lane, held, due % 5 == 0 };
			break;
		case 2:
			ck_assert_int_eq(queue_forget(&q, m->id.text), m->where != QUEUE_UNKNOWN);
			m->where = QUEUE_UNKNOWN;
			break;
		case 3:
			if (m->where != QUEUE_TAKEN)
				break;
			queue_give_back(&q, m->id.text, lane, due);
			*m = (struct model){ m->id, due, QUEUE_WAITING, lane, false, m->split };
			break;
		case 4:
			if (m->where != QUEUE_TAKEN)
				break;
			queue_put_back(&q, m->id.text, lane);
			m->where = QUEUE_WAITING;
			m->lane = lane;
			break;
		case 5:
			ck_assert_int_eq(queue_take_id(&q, m->id.text),
					 m->where != QUEUE_UNKNOWN && m->where != QUEUE_TAKEN);
			if (m->where != QUEUE_UNKNOWN)
				m->where = QUEUE_TAKEN;
			break;
		case 6:
			if (m->where != QUEUE_TAKEN || step % 3)
				break;
			queue_park(&q, m->id.text, held ? QUEUE_HELD : QUEUE_FAILED);
			m->where = held ? QUEUE_HELD : QUEUE_FAILED;
			m->fresh = m->split = false;
			break;
		case 7:
			if (step % 20 == 0) /* the model is slow */
				model_take(model, &q, lane, due);
			else if (step % 501 == 0)
				model_everywhere(model, &q, lane, due, held);
			break;
		}
		ck_assert_int_eq(queue_find(&q, m->id.text), m->where);
		if (step % 100 == 0)
			model_counts(model, &q);
	}
	queue_release(&q);
	free(model);
}
END_TEST

/* The promise of relay memory: 150 bytes a message at a million, at the worst moment of doubling. */
START_TEST(a_million_messages_are_small)
{
	size_t worst = 0;
	struct queue q;

	queue_init(&q, 3);
	for (uint32_t i = 0; i < 1100000; i++) {
		unsigned char packed[10] = { 0 };
		struct spool_id id;

		memcpy(packed + 2, &i, sizeof(i));
		spool_id_unpack(packed, &id);
		ck_assert(queue_add(&q, id.text, 2, i, 0));
		if (i >= 999999 && queue_memory(&q) / (i + 1) > worst)
			worst = queue_memory(&q) / (i + 1);
	}
	ck_assert_msg(worst <= 100, "%zu bytes a message", worst);
	/* and moving all of them to another lane does not keep the room in the first */
	for (uint32_t i = 0; i < 1100000; i++) {
		struct spool_id id;

		ck_assert(queue_take(&q, 2, INT64_MAX, &id));
		queue_give_back(&q, id.text, 0, i);
	}
	ck_assert_msg(queue_memory(&q) / 1100000 <= 100, "%zu bytes a message", queue_memory(&q) / 1100000);
	queue_release(&q);
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
				bool permanent = (how == UPSTREAM_UNSUPPORTED && code / 100 != 4) ||
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

static enum breaker_state at(struct breaker *b, int64_t now_mono_ms)
{
	breaker_follow_clock(b, now_mono_ms);
	return b->state;
}

START_TEST(a_failing_upstream_is_paused_longer_and_longer)
{
	static const struct retry_limits probe = { 5000, 300000, 2.0 };
	struct breaker b = { 0 };
	bool news;

	ck_assert_int_eq(at(&b, 0), BREAKER_UP);
	ck_assert_int_eq(breaker_failed(&b, &probe, 0.5, 1000, &news), 5000);
	ck_assert(news);
	ck_assert_int_eq(at(&b, 1000), BREAKER_PAUSED);
	/* nineteen more connections fail with it: one failure */
	ck_assert_int_eq(breaker_failed(&b, &probe, 0.5, 2000, &news), 4000);
	ck_assert(!news);
	ck_assert_int_eq(at(&b, 5999), BREAKER_PAUSED);
	ck_assert_int_eq(at(&b, 6000), BREAKER_PROBING);
	ck_assert_int_eq(breaker_failed(&b, &probe, 0.5, 7000, &news), 10000);
	ck_assert(!news);
	ck_assert_int_eq(at(&b, 17000), BREAKER_PROBING);
	ck_assert(breaker_worked(&b));
	ck_assert(!breaker_worked(&b));
	ck_assert_int_eq(at(&b, 17000), BREAKER_UP);
	ck_assert_int_eq(breaker_failed(&b, &probe, 0.5, 20000, &news), 5000);
	ck_assert(news);
}
END_TEST

/* ---- the pace ------------------------------------------------------------------------- */

START_TEST(the_bucket_keeps_the_rate)
{
	struct bucket b;
	unsigned sent = 0;

	bucket_init(&b, 0, 0);
	for (int i = 0; i < 1000; i++)
		ck_assert(bucket_take(&b, 0)); /* no limit */
	/* 600 a minute: 60 at once, then ten a second */
	bucket_init(&b, 600, 0);
	ck_assert_uint_eq(bucket_has(&b, 0), 60);
	for (int64_t now = 0; now <= 60000; now++)
		while (bucket_take(&b, now))
			sent++;
	ck_assert_uint_eq(sent, 660);
	ck_assert_int_gt(bucket_next_mono_ms(&b), 60000);
	ck_assert_int_le(bucket_next_mono_ms(&b), 60101);
	ck_assert(!bucket_take(&b, bucket_next_mono_ms(&b) - 2));
	ck_assert(bucket_take(&b, bucket_next_mono_ms(&b)));
	bucket_return(&b);
	ck_assert_uint_eq(bucket_has(&b, 60101), 1);
	ck_assert_uint_eq(bucket_has(&b, 10000000), 60); /* no more is saved up */
	/* one a minute: one at once */
	bucket_init(&b, 1, 5);
	ck_assert(bucket_take(&b, 5));
	ck_assert(!bucket_take(&b, 60000));
	ck_assert(bucket_take(&b, bucket_next_mono_ms(&b)));
}
END_TEST

START_TEST(an_upstream_that_is_overrun_gets_fewer_connections)
{
	struct throttle t = { 0 };
	unsigned messages = 0;

	ck_assert_uint_eq(throttle_allows(&t, 20), 20);
	ck_assert(!throttle_worked(&t, 20));
	ck_assert(throttle_slow(&t, 16, 1000)); /* 16 are open: half of these */
	ck_assert_uint_eq(throttle_allows(&t, 20), 8);
	ck_assert(!throttle_slow(&t, 16, 1500)); /* the rest of the same crowd */
	ck_assert_uint_eq(throttle_allows(&t, 20), 8);
	for (int64_t now = 10000; now < 100000; now += 10000)
		ck_assert(!throttle_slow(&t, 8, now));
	ck_assert_uint_eq(throttle_allows(&t, 20), 1);
	while (!throttle_worked(&t, 20))
		messages++;
	ck_assert_uint_eq(messages + 1, 19 * 20 / 2); /* a window's worth for each more */
	ck_assert_uint_eq(throttle_allows(&t, 20), 20);
	ck_assert(throttle_slow(&t, 1, 200000));
	ck_assert_uint_eq(throttle_allows(&t, 20), 1);
	for (int code = 200; code < 600; code++) {
		struct smtp_reply reply = { .code = code };

		ck_assert_int_eq(throttle_is_slow_down(&reply),
				 code == 421 || code == 432 || (code >= 450 && code <= 452));
	}
}
END_TEST

/* ---- the addresses of an upstream ------------------------------------------------------- */

/* Whom the next n connections go to, as letters; "-" for nobody. */
static const char *choices(struct remote *r, size_t count, int n)
{
	static char text[64];

	for (int i = 0; i < n; i++) {
		size_t at = remotes_choose(r, count);

		text[i] = at == REMOTES_NONE ? '-' : (char)('a' + at);
	}
	text[n] = '\0';
	return text;
}

START_TEST(addresses_are_tried_in_order)
{
	static const struct retry_limits probe = { 5000, 300000, 2.0 };
	struct remote r[3] = { 0 };
	int64_t until;
	bool news;

	remotes_group(r, 3);
	ck_assert_str_eq(choices(r, 3, 3), "aaa");
	breaker_failed(&r[0].breaker, &probe, 0.5, 0, &news);
	ck_assert_str_eq(choices(r, 3, 3), "bbb");
	ck_assert_int_eq(remotes_state(r, 3, &until), BREAKER_UP);
	ck_assert_uint_eq(remotes_to_probe(r, 3), REMOTES_NONE);
	breaker_follow_clock(&r[0].breaker, 5000);
	ck_assert_uint_eq(remotes_to_probe(r, 3), 0); /* the better one is asked, the fall-back works on */
	ck_assert_str_eq(choices(r, 3, 1), "b");
	r[0].is_asked = true;
	ck_assert_uint_eq(remotes_to_probe(r, 3), REMOTES_NONE);
	breaker_worked(&r[0].breaker);
	ck_assert_str_eq(choices(r, 3, 2), "aa");
	/* one behind what is up is not asked */
	breaker_failed(&r[1].breaker, &probe, 0.5, 10000, &news);
	breaker_follow_clock(&r[1].breaker, 20000);
	ck_assert_uint_eq(remotes_to_probe(r, 3), REMOTES_NONE);
	/* all down: the upstream is */
	for (int i = 0; i < 3; i++)
		breaker_failed(&r[i].breaker, &probe, 0.5, 30000 + i, &news);
	ck_assert_str_eq(choices(r, 3, 1), "-");
	ck_assert_int_eq(remotes_state(r, 3, &until), BREAKER_PAUSED);
	ck_assert_int_eq(until, 35000);
	for (int i = 0; i < 3; i++)
		breaker_follow_clock(&r[i].breaker, 60000);
	r[0].is_asked = false;
	ck_assert_int_eq(remotes_state(r, 3, &until), BREAKER_PROBING);
	ck_assert_uint_eq(remotes_to_probe(r, 3), 0);
}
END_TEST

START_TEST(weights_share_the_connections)
{
	struct remote r[4] = { { .weight = 3 }, { .weight = 1 }, { .weight = 0 }, { .weight = 5 } };
	unsigned seen[2] = { 0 };

	remotes_group(r, 4);
	ck_assert_uint_eq(r[1].group, 0);
	ck_assert_uint_eq(r[2].group, 1);
	ck_assert_uint_eq(r[3].group, 2);
	for (int i = 0; i < 400; i++)
		seen[remotes_choose(r, 4)]++;
	ck_assert_uint_eq(seen[0], 300);
	ck_assert_uint_eq(seen[1], 100);
	r[0].is_full = true; /* crowded: its neighbour takes what there is, a fall-back does not */
	ck_assert_str_eq(choices(r, 4, 2), "bb");
	r[1].is_full = true;
	ck_assert_str_eq(choices(r, 4, 1), "-");
	r[0].is_full = r[1].is_full = false;
	r[0].breaker.state = BREAKER_PAUSED;
	ck_assert_str_eq(choices(r, 4, 2), "bb");
	r[1].breaker.state = BREAKER_PAUSED;
	ck_assert_str_eq(choices(r, 4, 2), "cc");
}
END_TEST

/* ---- where a message waits ------------------------------------------------------------------ */

START_TEST(a_message_waits_where_it_can_go_first)
{
	static const char *const names[] = { "one", "two" };
	static const char *const to_two[] = { "two.test" };
	static const struct route_rule rule = { .pattern = { [ROUTE_RECIPIENT] = to_two },
						.pattern_count = { [ROUTE_RECIPIENT] = 1 }, .upstream = 1 };
	static const struct routes routes = { .rule = &rule, .rule_count = 1, .upstream_name = names,
					      .upstream_count = 2 };
	/* when the recipients of each upstream are due (-1: none is pending), which upstreams are available: where it
	 * waits and until when, and whom it passes over */
	static const struct {
		int64_t due[2];
		bool available[2], waits, split;
		size_t upstream;
		int64_t until;
		bool passed[2];
	} table[] = {
		{ { 0, 0 }, { true, true }, true, true, 0, 0, { false, false } },
		{ { 0, 0 }, { false, true }, true, true, 1, 0, { true, false } },
		{ { 0, 0 }, { true, false }, true, true, 0, 0, { false, true } },
		{ { 0, 0 }, { false, false }, true, true, 0, 0, { true, true } },
		{ { 900, 0 }, { true, true }, true, true, 1, 0, { false, false } },
		{ { 900, 700 }, { true, true }, true, true, 1, 700, { false, false } },
		{ { 0, 700 }, { false, true }, true, true, 1, 700, { true, false } },
		{ { 900, 700 }, { false, false }, true, true, 1, 700, { false, false } },
		{ { 50, -1 }, { true, true }, true, false, 0, 50, { false, false } },
		{ { -1, 0 }, { true, false }, true, false, 1, 0, { false, true } },
		{ { -1, -1 }, { true, true }, false, false, 0, 0, { false, false } },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct place_upstream upstream[2] = { { .available = table[i].available[0] },
						      { .available = table[i].available[1] } };
		struct envelope env;
		struct spool_state st;
		struct place place;

		envelope_init(&env);
		envelope_set(&env.sender, "", 0);
		envelope_add_rcpt(&env, "a@one.test", 10);
		envelope_add_rcpt(&env, "b@two.test", 10);
		spool_state_init(&st, 2);
		for (int k = 0; k < 2; k++) {
			st.rcpt[k].next_wall_us = table[i].due[k];
			st.rcpt[k].status = table[i].due[k] < 0 ? RCPT_DELIVERED : RCPT_PENDING;
		}
		place = place_find(&routes, &env, &st, upstream, 100);
		ck_assert_msg(place.waits == table[i].waits && place.is_split == table[i].split &&
				      place.upstream == table[i].upstream && place.due_wall_us == table[i].until,
			      "row %zu: %d %d %zu %lld", i, place.waits, place.is_split, place.upstream,
			      (long long)place.due_wall_us);
		for (int k = 0; k < 2; k++)
			ck_assert_msg(upstream[k].passed_over == table[i].passed[k], "row %zu: passed over %d", i, k);
		st.held = true;
		ck_assert(!place_find(&routes, &env, &st, upstream, 100).waits);
		spool_state_release(&st);
		envelope_release(&env);
	}
}
END_TEST

static enum route_listed nobody_knows(void *ctx, const char *address, int64_t arrived_wall_us)
{
	(void)ctx;
	(void)arrived_wall_us;
	return address[0] == 'a' ? ROUTE_LISTED_UNKNOWN : ROUTE_LISTED_NO;
}

/* Who cannot be told yet waits behind whoever can go, and alone in the place behind the upstreams. */
START_TEST(the_undecided_wait_for_an_answer)
{
	static const char *const names[] = { "one", "lists" };
	static const struct route_lists lists = { nobody_knows, NULL, 1 };
	static const struct routes routes = { .lists = &lists, .upstream_name = names, .upstream_count = 2 };
	struct place_upstream upstream[3] = { { .available = true }, { .available = true } };
	struct envelope env;
	struct spool_state st;
	struct place place;

	envelope_init(&env);
	envelope_set(&env.sender, "", 0);
	envelope_add_rcpt(&env, "a@one.test", 10);
	envelope_add_rcpt(&env, "b@two.test", 10);
	spool_state_init(&st, 2);
	place = place_find(&routes, &env, &st, upstream, 100);
	ck_assert(place.waits && place.is_split && place.is_undecided);
	ck_assert_uint_eq(place.upstream, 0);
	st.rcpt[1].next_wall_us = 900; /* the upstream is there, though later */
	place = place_find(&routes, &env, &st, upstream, 100);
	ck_assert_uint_eq(place.upstream, 0);
	ck_assert_int_eq(place.due_wall_us, 900);
	st.rcpt[1].status = RCPT_DELIVERED;
	place = place_find(&routes, &env, &st, upstream, 100);
	ck_assert(place.waits && !place.is_split && place.is_undecided);
	ck_assert_uint_eq(place.upstream, 2);
	st.rcpt[0].status = RCPT_DELIVERED;
	ck_assert(!place_find(&routes, &env, &st, upstream, 100).waits);
	spool_state_release(&st);
	envelope_release(&env);
}
END_TEST

START_TEST(rates_forget_after_a_minute)
{
	struct rates r = { 0 };

	for (int64_t ms = 0; ms < 120000; ms += 500)
		rates_count(&r, RATE_DELIVERED, ms);
	ck_assert_uint_eq(r.total[RATE_DELIVERED], 240);
	ck_assert_uint_eq(rates_minute(&r, RATE_DELIVERED, 119999), 120);
	ck_assert_uint_eq(rates_minute(&r, RATE_FAILED, 119999), 0);
	ck_assert_uint_eq(rates_minute(&r, RATE_DELIVERED, 149000), 60 + 2 - 2 * 1);
	ck_assert_uint_eq(rates_minute(&r, RATE_DELIVERED, 500000), 0);
	rates_count(&r, RATE_DELIVERED, 500000);
	ck_assert_uint_eq(rates_minute(&r, RATE_DELIVERED, 500000), 1);
}
END_TEST

/* ---- notices ---------------------------------------------------------------------------- */

static void collect(void *ctx, const char *id)
{
	strcat(strcat(ctx, id), ",");
}

static void collect_flush(void *ctx, const struct flush *one)
{
	char line[FLUSH_LINE_MAX];

	ck_assert_uint_gt(flush_line(line, one->kind, one->name), 0);
	line[strlen(line) - 1] = '\0';
	strcat(strcat(ctx, line), ",");
}

static void collect_urgent(void *ctx, const char *id)
{
	strcat(ctx, "!");
	collect(ctx, id);
}

#define TEN "aaaaaaaaaa"
#define FIFTY TEN TEN TEN TEN TEN
#define LABELS FIFTY "." FIFTY "." FIFTY "." FIFTY "."

START_TEST(notices_are_read_however_they_are_cut)
{
	static const char stream[] = "0m4x7f3q9zkab1cd\n\n0m4x7f3q9zkab1ce!\nrubbish\n0m4x7f3q9zkab1cdTOOLONG\n"
				     "0m4x7f3q9zkab1ce?\n0m4x7f3q9zkab1ce!!\n../../etc/passwd!\n"
				     "!d example.org\n!s a\n!u any name\n!d \n!d exa mple\n!d ../x\n!x a\n!d\n!u\n!u \n!\n"
				     "!u " LABELS FIFTY "a\n!u " LABELS FIFTY "aa\n!u " LABELS FIFTY FIFTY "\n!d [192.0.2.1]\n!s [192.0.2.1]\n"
				     "0m4x7f3q9zkab1cf\n../../etc/passwd\n0m4x7f3q";
	static const struct notice_ops ops = { collect, collect_urgent, collect_flush };
	static const char wanted[] = "0m4x7f3q9zkab1cd,!0m4x7f3q9zkab1ce,!d example.org,!s a,!u any name,!u " LABELS FIFTY "a,"
				     "!d [192.0.2.1],0m4x7f3q9zkab1cf,";
	for (size_t step = 1; step <= sizeof(stream); step++) {
		struct notice_reader r;
		char got[1000] = "";

		notice_reader_init(&r);
		for (size_t i = 0; i < sizeof(stream) - 1; i += step) {
			size_t n = sizeof(stream) - 1 - i < step ? sizeof(stream) - 1 - i : step;

			notice_read(&r, stream + i, n, &ops, got);
		}
		ck_assert_str_eq(got, wanted);
	}
}
END_TEST

/* ---- flushes ------------------------------------------------------------------------------ */

START_TEST(flushes_are_few)
{
	struct flushes f = { .count = 0 };
	struct flush one = { FLUSH_DOMAIN, "Example.org" };
	char line[FLUSH_LINE_MAX];

	ck_assert(flushes_add(&f, &one));
	strcpy(one.name, "example.ORG");
	ck_assert(flushes_add(&f, &one));
	ck_assert_uint_eq(f.count, 1);
	one.kind = FLUSH_SUBDOMAINS;
	strcpy(one.name, "example.net");
	ck_assert(flushes_add(&f, &one));
	one.kind = FLUSH_UPSTREAM;
	strcpy(one.name, "Main");
	ck_assert(flushes_add(&f, &one));
	ck_assert_uint_eq(f.count, 3);
	ck_assert(flushes_want_address(&f, "a@example.ORG"));
	ck_assert(!flushes_want_address(&f, "a@x.example.org"));
	ck_assert(!flushes_want_address(&f, "a@Main"));
	ck_assert(flushes_want_address(&f, "a@Example.Net"));
	ck_assert(flushes_want_address(&f, "a@b.c.Example.Net"));
	ck_assert(!flushes_want_address(&f, "a@badexample.net"));
	ck_assert(!flushes_want_address(&f, "a@example.net.evil.test"));
	ck_assert(!flushes_want_address(&f, "\"a@example.net\"@evil.test"));
	ck_assert(!flushes_want_address(&f, "postmaster"));
	ck_assert(flushes_want_upstream(&f, "Main"));
	ck_assert(!flushes_want_upstream(&f, "main"));
	ck_assert(!flushes_want_upstream(&f, "example.org"));
	for (int i = 3; i <= FLUSHES_MAX; i++) {
		snprintf(one.name, sizeof(one.name), "u%d", i);
		ck_assert(flushes_add(&f, &one) == (i < FLUSHES_MAX));
	}
	ck_assert_uint_eq(flush_line(line, FLUSH_DOMAIN, "a b"), 0);
	ck_assert_uint_eq(flush_line(line, FLUSH_UPSTREAM, "a\nb"), 0);
	ck_assert_uint_eq(flush_line(line, FLUSH_UPSTREAM, ""), 0);
	/* a tenth of the time at most, but not never */
	ck_assert_int_eq(flush_pause_ms(0), 10000);
	ck_assert_int_eq(flush_pause_ms(2000), 18000);
	ck_assert_int_eq(flush_pause_ms(INT64_MAX), 600000);
}
END_TEST

/* ---- times to deliver by ---------------------------------------------------------------- */

static bool is_even(void *ctx, const char *id)
{
	(void)ctx;
	return (id[SPOOL_ID_LEN - 1] - '0') % 2 == 0;
}

START_TEST(deadlines_come_in_order)
{
	static const int64_t when[] = { 50, 10, 40, 10, 90, 20, 70, 30, 60, 80 };
	struct spool_id id;
	struct deadlines d;
	int64_t last = 0;

	deadlines_init(&d);
	ck_assert_int_eq(deadlines_next_wall_ms(&d), CLOCK_NEVER);
	ck_assert(!deadlines_take(&d, 1000, &id));
	for (int sifted = 0; sifted < 2; sifted++) {
		size_t taken = 0, expected = sifted ? 5 : 10;

		for (size_t i = 0; i < 10; i++) {
			char text[SPOOL_ID_LEN + 1] = "0m4x7f3q9zkab100";

			text[SPOOL_ID_LEN - 1] = (char)('0' + i);
			deadlines_add(&d, text, when[i]);
		}
		if (sifted)
			deadlines_sift(&d, is_even, NULL);
		ck_assert(!deadlines_take(&d, 9, &id));
		for (last = 0; deadlines_next_wall_ms(&d) != CLOCK_NEVER; taken++) {
			int64_t next = deadlines_next_wall_ms(&d);

			ck_assert_int_ge(next, last);
			ck_assert(!deadlines_take(&d, next - 1, &id));
			ck_assert(deadlines_take(&d, next, &id));
			ck_assert_int_eq(when[id.text[SPOOL_ID_LEN - 1] - '0'], next);
			ck_assert(!sifted || is_even(NULL, id.text));
			last = next;
		}
		ck_assert_uint_eq(taken, expected);
	}
	deadlines_release(&d);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("relay");

	UNIT_CASE(s, the_queue_gives_what_is_due_in_order, new_mail_does_not_wait_behind_a_backlog,
		  a_backlog_of_new_mail_grows_old, split_messages_are_gathered, the_undecided_are_gathered_from_wherever_they_wait,
		the_undecided_wait_for_an_answer, the_queue_knows_what_is_held_and_failed,
		  the_queue_follows_the_clock, the_queue_agrees_with_a_model, a_million_messages_are_small,
		  only_5yz_in_a_transaction_is_permanent, every_rule_of_the_table_is_reached,
		  intervals_grow_to_their_limit, a_failing_upstream_is_paused_longer_and_longer,
		  the_bucket_keeps_the_rate, an_upstream_that_is_overrun_gets_fewer_connections,
		  addresses_are_tried_in_order, weights_share_the_connections, a_message_waits_where_it_can_go_first,
		  rates_forget_after_a_minute,
		  notices_are_read_however_they_are_cut, flushes_are_few, deadlines_come_in_order);
	return unit_run(s);
}
