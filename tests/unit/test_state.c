/* SPDX-License-Identifier: ISC */
/* spool/state: what is written of a message's history is read back, and what was not written so is not believed. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "spool/checksum.h"
#include "spool/file.h"
#include "spool/state.h"
#include "spool_world.h"
#include "unit.h"

#define CEILING (64u << 20)
#define T0 INT64_C(1795000000123456)
#define YEAR_9999_US INT64_C(253402300799999999)

static const char id[] = "0m4x7f3q9zkab1cd";
static struct spool spool;

static void setup(void)
{
	spool_world_open(&spool);
}

static void teardown(void)
{
	spool_world_close(&spool);
}

static void same_text(const char *a, const char *b, const char *what)
{
	ck_assert_msg((!a && !b) || (a && b && strcmp(a, b) == 0), "%s: '%s' became '%s'", what, a ? a : "(null)",
		      b ? b : "(null)");
}

static void same_rcpt(const struct rcpt_state *a, const struct rcpt_state *b)
{
	ck_assert_int_eq(a->status, b->status);
	ck_assert_int_eq(a->when_wall_us, b->when_wall_us);
	ck_assert_uint_eq(a->tries, b->tries);
	if (a->status == RCPT_PENDING)
		ck_assert_int_eq(a->next_wall_us, b->next_wall_us);
	else
		ck_assert_int_eq(b->next_wall_us, 0);
	ck_assert_int_eq(a->reported, b->reported);
	same_text(a->upstream, b->upstream, "upstream");
	same_text(a->remote, b->remote, "remote");
	same_text(a->reply, b->reply, "reply");
}

static void same_state(const struct spool_state *a, const struct spool_state *b)
{
	ck_assert_uint_eq(a->tries, b->tries);
	ck_assert_int_eq(a->next_attempt_wall_us, b->next_attempt_wall_us);
	ck_assert_int_eq(a->last_attempt_wall_us, b->last_attempt_wall_us);
	ck_assert_int_eq(a->held, b->held);
	ck_assert_int_eq(a->uncertain, b->uncertain);
	ck_assert_int_eq(a->warned, b->warned);
	ck_assert_int_eq(a->released, b->released);
	same_text(a->hold_reason, b->hold_reason, "hold_reason");
	same_text(a->route, b->route, "route");
	ck_assert_str_eq(a->report_id.text, b->report_id.text);
	ck_assert_uint_eq(a->rcpt_count, b->rcpt_count);
	for (size_t i = 0; i < a->rcpt_count; i++)
		same_rcpt(&a->rcpt[i], &b->rcpt[i]);
	ck_assert_uint_eq(a->event_count, b->event_count);
	for (size_t i = 0; i < a->event_count; i++) {
		const struct spool_event *x = &a->event[i], *y = &b->event[i];

		ck_assert_int_eq(x->when_wall_us, y->when_wall_us);
		ck_assert_uint_eq(x->times, y->times);
		ck_assert_uint_eq(x->rcpts, y->rcpts);
		same_text(x->what, y->what, "what");
		same_text(x->upstream, y->upstream, "event upstream");
		same_text(x->remote, y->remote, "event remote");
		same_text(x->text, y->text, "event text");
		same_text(x->by, y->by, "by");
	}
}

/* Through text; the caller releases back. */
static void through_text(const struct spool_state *st, struct spool_state *back)
{
	struct buf text;

	buf_init(&text, CEILING);
	ck_assert(spool_state_format(st, &text));
	spool_state_init(back, st->rcpt_count);
	ck_assert_msg(spool_state_parse(back, text.data, text.len), "not read back:\n%s", text.data);
	buf_release(&text);
}

static void check_round_trip(const struct spool_state *st)
{
	struct spool_state back;

	through_text(st, &back);
	same_state(st, &back);
	spool_state_release(&back);
}

static char *all_octets(void)
{
	char *text = malloc(256);

	for (int i = 1; i < 256; i++)
		text[i - 1] = (char)i;
	text[255] = '\0';
	return text;
}

/* Every field, with an ordinary value, an extreme one and an ugly one. */
static void fill(struct spool_state *st, const char *ugly)
{
	spool_state_init(st, 5);
	st->tries = UINT32_MAX;
	st->last_attempt_wall_us = YEAR_9999_US;
	st->held = st->released = st->uncertain = st->warned = true;
	st->hold_reason = strdup(ugly);
	st->route = strdup(ugly);
	strcpy(st->report_id.text, id);
	rcpt_state_set(&st->rcpt[0], RCPT_DELIVERED, 1, ugly, ugly, ugly);
	rcpt_state_set(&st->rcpt[1], RCPT_FAILED, T0, "", "", "");
	st->rcpt[1].reported = true;
	rcpt_state_set(&st->rcpt[2], RCPT_EXPIRED, YEAR_9999_US, "main", NULL, NULL);
	st->rcpt[2].tries = UINT32_MAX;
	rcpt_state_set(&st->rcpt[3], RCPT_PENDING, 0, NULL, NULL, "450 asked for later, at no known time");
	st->rcpt[3].next_wall_us = T0;
	st->rcpt[4].next_wall_us = YEAR_9999_US;
	spool_state_follow(st);
	spool_state_add_event(st, &(struct spool_event){ .when_wall_us = T0, .what = (char *)(uintptr_t)ugly,
							 .text = (char *)(uintptr_t)ugly, .rcpts = SIZE_MAX / 2,
							 .by = (char *)(uintptr_t)ugly });
	spool_state_add_event(st, &(struct spool_event){ .what = (char *)(uintptr_t) "", .rcpts = 1 });
	st->event[1].times = UINT32_MAX;
}

START_TEST(every_field_comes_back)
{
	struct spool_state st;
	char *ugly = all_octets();

	fill(&st, ugly);
	ck_assert_int_eq(st.next_attempt_wall_us, T0);
	check_round_trip(&st);
	spool_state_release(&st);
	spool_state_init(&st, 0); /* no recipients: never written by us, and nothing to trip over */
	check_round_trip(&st);
	spool_state_release(&st);
	free(ugly);
}
END_TEST

START_TEST(a_time_that_cannot_be_written_does_not_cost_the_state)
{
	struct spool_state st, back;

	spool_state_init(&st, 2);
	rcpt_state_set(&st.rcpt[0], RCPT_DELIVERED, INT64_MAX, "main", NULL, "250 ok");
	st.rcpt[1].next_wall_us = CLOCK_NEVER;
	st.last_attempt_wall_us = -1;
	spool_state_follow(&st);
	through_text(&st, &back);
	ck_assert_int_eq(back.rcpt[0].status, RCPT_DELIVERED);
	ck_assert_int_eq(back.rcpt[0].when_wall_us, YEAR_9999_US);
	ck_assert_int_eq(back.last_attempt_wall_us, 0);
	spool_state_release(&st);
	spool_state_release(&back);
}
END_TEST

START_TEST(a_recipient_is_due_at_its_own_time)
{
	static const struct {
		int64_t next[3];
		enum rcpt_status third;
		int64_t message;
	} rows[] = {
		{ { 0, 0, 0 }, RCPT_PENDING, 0 },
		{ { T0, T0, T0 }, RCPT_PENDING, T0 },
		{ { T0 + 5, T0, T0 + 9 }, RCPT_PENDING, T0 },
		{ { T0 + 5, 0, T0 + 9 }, RCPT_PENDING, 0 }, /* one is due now, the others wait */
		{ { T0 + 5, T0 + 7, 3 }, RCPT_FAILED, T0 + 5 }, /* who is done has no time */
		{ { 2, T0 + 7, 0 }, RCPT_DELIVERED, 2 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct spool_state st;

		spool_state_init(&st, 3);
		st.rcpt[2].status = rows[i].third;
		for (size_t j = 0; j < 3; j++)
			st.rcpt[j].next_wall_us = rows[i].next[j];
		spool_state_follow(&st);
		ck_assert_msg(st.next_attempt_wall_us == rows[i].message, "row %zu", i);
		check_round_trip(&st);
		/* where nobody followed: "now" still is not the message's time */
		st.next_attempt_wall_us = T0 + 100;
		check_round_trip(&st);
		spool_state_release(&st);
	}
}
END_TEST

START_TEST(without_pending_recipients_nothing_is_due)
{
	struct spool_state st;

	spool_state_init(&st, 2);
	st.rcpt[0].status = RCPT_DELIVERED;
	st.rcpt[1].status = RCPT_EXPIRED;
	st.rcpt[0].next_wall_us = st.rcpt[1].next_wall_us = T0;
	st.next_attempt_wall_us = T0;
	spool_state_follow(&st);
	ck_assert_int_eq(st.next_attempt_wall_us, 0);
	ck_assert(!spool_state_is_finished(&st)); /* somebody is to be told */
	st.rcpt[1].reported = true;
	ck_assert(spool_state_is_finished(&st));
	st.rcpt[1].status = RCPT_PENDING;
	ck_assert(!spool_state_is_finished(&st));
	spool_state_release(&st);
}
END_TEST

static void add_event(struct spool_state *st, int64_t when, const char *what, const char *text)
{
	spool_state_add_event(st, &(struct spool_event){ .when_wall_us = when, .what = (char *)(uintptr_t)what,
							 .text = (char *)(uintptr_t)text });
}

START_TEST(the_same_event_again_only_counts)
{
	struct spool_state st;

	spool_state_init(&st, 1);
	for (int i = 0; i < 1000; i++)
		add_event(&st, T0 + i, "deferred", "450 busy");
	ck_assert_uint_eq(st.event_count, 1);
	ck_assert_uint_eq(st.event[0].times, 1000);
	ck_assert_int_eq(st.event[0].when_wall_us, T0 + 999);
	add_event(&st, T0 + 1000, "deferred", NULL);
	add_event(&st, T0 + 1001, "deferred", "450 busy");
	ck_assert_uint_eq(st.event_count, 2); /* the latest is the last one */
	ck_assert_ptr_null(st.event[0].text);
	ck_assert_uint_eq(st.event[1].times, 1001);
	st.event[1].times = UINT32_MAX;
	add_event(&st, T0 + 1002, "deferred", "450 busy");
	ck_assert_uint_eq(st.event[1].times, UINT32_MAX);
	check_round_trip(&st);
	add_event(&st, T0 + 1003, "held", NULL); /* something else between begins anew */
	add_event(&st, T0 + 1004, "deferred", "450 busy");
	ck_assert_uint_eq(st.event_count, 4);
	spool_state_release(&st);
}
END_TEST

START_TEST(the_first_and_the_latest_events_are_kept)
{
	struct spool_state st;
	char text[32];

	spool_state_init(&st, 1);
	for (int i = 0; i < 3 * SPOOL_EVENTS_MAX; i++) {
		snprintf(text, sizeof(text), "try %d", i);
		add_event(&st, T0 + i, "deferred", text);
	}
	ck_assert_uint_eq(st.event_count, SPOOL_EVENTS_MAX);
	ck_assert_str_eq(st.event[0].text, "try 0");
	for (int i = 1; i < SPOOL_EVENTS_MAX; i++) {
		snprintf(text, sizeof(text), "try %d", 2 * SPOOL_EVENTS_MAX + i);
		ck_assert_str_eq(st.event[i].text, text);
	}
	check_round_trip(&st);
	spool_state_release(&st);
}
END_TEST

/* ---- files ---------------------------------------------------------------------- */

/* A state file with this middle, as some version might have written it. */
static void write_file(const char *middle)
{
	struct buf text;
	int fd = openat(spool.state_fd, id, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	buf_init(&text, CEILING);
	ck_assert(buf_adds(&text, "posthouse-state/1\n") && buf_adds(&text, middle));
	ck_assert(buf_addf(&text, "xxh3=%016" PRIx64 "\n", checksum_of(text.data, text.len)));
	ck_assert_int_eq(write(fd, text.data, text.len), (ssize_t)text.len);
	close(fd);
	buf_release(&text);
}

START_TEST(states_of_version_0_1_are_read)
{
	struct spool_state_head head;
	struct spool_state st;
	struct err e;

	write_file("tries=3 next=2026-11-22T21:12:31.000000Z last=2026-11-22T21:08:30.120034Z\n"
		   "rcpt=0 status=delivered when=2026-11-22T21:08:30.120034Z upstream=main reply=\"250 2.0.0 OK\"\n"
		   "rcpt=1 status=pending when=2026-11-22T21:08:30.120034Z upstream=main reply=\"450 busy\"\n"
		   "rcpt=2 status=failed when=2026-11-22T21:08:30.120034Z upstream=main reply=\"550 no\"\n");
	spool_state_init(&st, 4);
	ck_assert_int_eq(spool_state_load(&st, &spool, id, &e), SPOOL_READ_OK);
	ck_assert_int_eq(st.rcpt[0].status, RCPT_DELIVERED);
	/* it tried all that were left together */
	ck_assert_uint_eq(st.rcpt[1].tries, 3);
	ck_assert_uint_eq(st.rcpt[3].tries, 3);
	ck_assert_int_eq(st.rcpt[1].next_wall_us, st.next_attempt_wall_us);
	ck_assert_int_eq(st.rcpt[3].next_wall_us, st.next_attempt_wall_us);
	ck_assert(!st.rcpt[2].reported && !spool_state_is_finished(&st));
	check_round_trip(&st);
	ck_assert(spool_state_peek(&head, &spool, id));
	ck_assert_uint_eq(head.left, SPOOL_LEFT_UNKNOWN);
	ck_assert_int_eq(head.next_wall_us, st.next_attempt_wall_us);
	ck_assert(!head.held && !head.report_wanted);
	spool_state_release(&st);
	/* its hold had its reason before the uncertainty */
	write_file("tries=1 held=yes hold_reason=\"by hand\" uncertain=yes\n");
	spool_state_init(&st, 1);
	ck_assert_int_eq(spool_state_load(&st, &spool, id, &e), SPOOL_READ_OK);
	ck_assert(st.held && st.uncertain);
	ck_assert(spool_state_peek(&head, &spool, id) && head.held && head.next_wall_us == 0);
	spool_state_release(&st);
}
END_TEST

START_TEST(texts_that_no_version_wrote_are_refused)
{
	static const char *const middles[] = {
		"tries=-1\n", "tries=4294967296\n", "tries=1 left=x\n", "tries=1 held=no\n", "tries=1 held=\n",
		"tries=1 report=../../etc/passwd\n", "tries=1 report=\n", "tries=1 nonsense=1\n", "tries=1",
		"tries=1\nrcpt=2 status=pending\n", "tries=1\nrcpt=-1 status=pending\n", "tries=1\nrcpt=0 status=sent\n",
		"tries=1\nrcpt=0 next=tomorrow\n", "tries=1\nrcpt=0 held=yes\n", "tries=1\nstatus=failed rcpt=0\n",
		"tries=1\nrcpt=0 reported=no\n", "tries=1\nevent=x tries=1\n", "tries=1\nevent=x times=-1\n",
		"tries=1\nevent=x rcpts=99999999999999999999\n", "tries=1 next=10000-01-01T00:00:00.000000Z\n",
	};
	struct spool_state st;
	struct err e;

	for (size_t i = 0; i < sizeof(middles) / sizeof(*middles); i++) {
		write_file(middles[i]);
		spool_state_init(&st, 2);
		ck_assert_msg(spool_state_load(&st, &spool, id, &e) == SPOOL_READ_CORRUPT, "accepted: %s", middles[i]);
		ck_assert_uint_eq(spool_state_count(&st, RCPT_PENDING), 2);
		spool_state_release(&st);
	}
}
END_TEST

START_TEST(more_events_than_the_ceiling_are_refused)
{
	struct spool_state st;
	struct buf middle;
	struct err e;

	buf_init(&middle, CEILING);
	ck_assert(buf_adds(&middle, "tries=0 left=1\n"));
	for (int i = 0; i <= SPOOL_EVENTS_MAX; i++) {
		spool_state_init(&st, 1);
		write_file(middle.data);
		ck_assert_int_eq(spool_state_load(&st, &spool, id, &e), SPOOL_READ_OK);
		ck_assert_uint_eq(st.event_count, (size_t)i);
		spool_state_release(&st);
		ck_assert(buf_addf(&middle, "event=e%d\n", i));
	}
	spool_state_init(&st, 1);
	write_file(middle.data);
	ck_assert_int_eq(spool_state_load(&st, &spool, id, &e), SPOOL_READ_CORRUPT);
	spool_state_release(&st);
	buf_release(&middle);
}
END_TEST

START_TEST(every_damage_of_a_full_state_is_seen)
{
	struct spool_state st;
	struct err e;
	char *ugly = all_octets(), file[8192];
	ssize_t len;
	int fd;

	fill(&st, ugly);
	ck_assert_int_eq(spool_state_save(&st, &spool, id, &e), 0);
	spool_state_release(&st);
	spool_state_init(&st, 5);
	fd = openat(spool.state_fd, id, O_RDWR);
	len = read(fd, file, sizeof(file));
	ck_assert_int_gt(len, 1000);
	ck_assert_int_lt(len, (ssize_t)sizeof(file));
	for (ssize_t i = 0; i < len; i++) {
		char c = (char)(file[i] ^ 1);

		ck_assert_int_eq(pwrite(fd, &c, 1, i), 1);
		ck_assert_msg(spool_state_load(&st, &spool, id, &e) == SPOOL_READ_CORRUPT, "octet %zd", i);
		ck_assert(!st.held && !st.route && st.event_count == 0 && spool_state_count(&st, RCPT_PENDING) == 5);
		ck_assert_int_eq(pwrite(fd, file + i, 1, i), 1);
	}
	ck_assert_int_eq(spool_state_load(&st, &spool, id, &e), SPOOL_READ_OK);
	for (ssize_t i = len - 1; i >= 0; i--) {
		ck_assert_int_eq(ftruncate(fd, i), 0);
		ck_assert_msg(spool_state_load(&st, &spool, id, &e) == SPOOL_READ_CORRUPT, "length %zd", i);
	}
	close(fd);
	spool_state_release(&st);
	free(ugly);
}
END_TEST

/* The reason of a hold may be longer than what peek reads; what the relay wants to know stands before it. */
START_TEST(peek_sees_what_counts)
{
	static const size_t lengths[] = { 0, 1, 800, 900, 1000, 1023, 1024, 5000, 60000 };
	struct spool_state_head head;
	struct spool_state st;
	struct err e;

	ck_assert(!spool_state_peek(&head, &spool, id)); /* there is none */
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		for (int escaped = 0; escaped < 2; escaped++) {
			spool_state_init(&st, 3);
			st.held = true;
			st.hold_reason = calloc(1, lengths[i] + 1);
			memset(st.hold_reason, escaped ? '\n' : 'x', lengths[i]);
			st.rcpt[0].status = RCPT_FAILED;
			st.rcpt[1].next_wall_us = st.rcpt[2].next_wall_us = T0;
			strcpy(st.report_id.text, id);
			st.route = strdup("second");
			spool_state_follow(&st);
			ck_assert_int_eq(spool_state_save(&st, &spool, id, &e), 0);
			ck_assert_msg(spool_state_peek(&head, &spool, id), "reason of %zu octets", lengths[i]);
			ck_assert(head.held && head.report_wanted);
			ck_assert_int_eq(head.next_wall_us, T0);
			ck_assert_uint_eq(head.left, 2);
			spool_state_release(&st);
		}
	}
}
END_TEST

START_TEST(peek_refuses_what_is_no_state)
{
	static const char *const texts[] = { "", "posthouse-state/1\n", "posthouse-state/2\ntries=1\n",
					     "posthouse-state/1\ntries=", "posthouse-state/1\ntries=1 left=1",
					     "posthouse-state/1\nevent=x\n", "posthouse-state/1\nrcpt=0 status=failed\n" };
	struct spool_state_head head;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		int fd = openat(spool.state_fd, id, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		ck_assert_int_eq(write(fd, texts[i], strlen(texts[i])), (ssize_t)strlen(texts[i]));
		close(fd);
		ck_assert_msg(!spool_state_peek(&head, &spool, id), "believed: %s", texts[i]);
	}
}
END_TEST

/* ---- held by its envelope ------------------------------------------------------------- */

static const struct envelope born_held = { .rcpt_count = 2, .hold = (char *)(uintptr_t) "a table said so" };

static void load_born_held(struct spool_state *st, enum spool_read expected)
{
	struct err e;

	spool_state_init_for(st, &born_held);
	ck_assert_int_eq(spool_state_load(st, &spool, id, &e), expected);
}

static void save_and_release(struct spool_state *st)
{
	struct err e;

	ck_assert_int_eq(spool_state_save(st, &spool, id, &e), 0);
	spool_state_release(st);
}

static void expect_held(const struct spool_state *st, const char *reason)
{
	ck_assert(st->held);
	same_text(st->hold_reason, reason, "hold_reason");
}

START_TEST(what_came_held_is_held_until_it_is_released)
{
	static const char torn[] = "posthouse-state/1\ntries=0 released=yes\n";
	struct spool_state_head head;
	struct spool_state st;
	struct err e;

	load_born_held(&st, SPOOL_READ_OK); /* there is no state */
	expect_held(&st, "a table said so");
	st.tries = 1;
	save_and_release(&st);
	load_born_held(&st, SPOOL_READ_OK);
	expect_held(&st, "a table said so");
	ck_assert_uint_eq(st.tries, 1);
	spool_state_hold(&st, "by hand");
	save_and_release(&st);
	load_born_held(&st, SPOOL_READ_OK);
	expect_held(&st, "by hand");
	spool_state_release(&st);
	/* written by who knew nothing of the envelope */
	spool_state_init(&st, 2);
	st.tries = 7;
	save_and_release(&st);
	load_born_held(&st, SPOOL_READ_OK);
	expect_held(&st, "a table said so");
	ck_assert_uint_eq(st.tries, 7);
	ck_assert(!st.released && spool_state_must_last(&st));
	spool_state_let_go(&st);
	ck_assert(!st.held && !st.hold_reason && spool_state_must_last(&st));
	save_and_release(&st);
	ck_assert(spool_state_peek(&head, &spool, id) && !head.held);
	load_born_held(&st, SPOOL_READ_OK);
	ck_assert(!st.held && st.released);
	save_and_release(&st); /* and on, from state to state */
	load_born_held(&st, SPOOL_READ_OK);
	ck_assert(!st.held && st.released);
	spool_state_hold(&st, NULL); /* by hand, once more */
	save_and_release(&st);
	load_born_held(&st, SPOOL_READ_OK);
	expect_held(&st, NULL);
	spool_state_let_go(&st);
	save_and_release(&st);
	/* a state that is damaged releases nothing */
	ck_assert_int_eq(spool_file_replace(&spool, spool_place_state(&spool), id, torn, strlen(torn), false, &e), 0);
	load_born_held(&st, SPOOL_READ_CORRUPT);
	expect_held(&st, "a table said so");
	spool_state_release(&st);
}
END_TEST

/* For others a release says nothing that would have to last, and states are as they always were. */
START_TEST(what_did_not_come_held_is_not_released)
{
	struct spool_state st;
	struct buf text;

	spool_state_init(&st, 1);
	spool_state_hold(&st, "x");
	spool_state_let_go(&st);
	ck_assert(!st.released && !st.held && !spool_state_must_last(&st));
	buf_init(&text, CEILING);
	ck_assert(spool_state_format(&st, &text) && !strstr(text.data, "released"));
	buf_release(&text);
	spool_state_release(&st);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("state");
	TCase *c = tcase_create("all");
	const TTest *const tests[] = {
		every_field_comes_back, a_time_that_cannot_be_written_does_not_cost_the_state,
		a_recipient_is_due_at_its_own_time, without_pending_recipients_nothing_is_due,
		the_same_event_again_only_counts, the_first_and_the_latest_events_are_kept,
		states_of_version_0_1_are_read, texts_that_no_version_wrote_are_refused,
		more_events_than_the_ceiling_are_refused, every_damage_of_a_full_state_is_seen,
		what_came_held_is_held_until_it_is_released, what_did_not_come_held_is_not_released,
		peek_sees_what_counts, peek_refuses_what_is_no_state,
	};

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
