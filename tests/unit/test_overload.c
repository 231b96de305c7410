/* SPDX-License-Identifier: ISC */
/* master/: who goes when there are more clients than workers (shed.c), how it is done (overload.c, streams of listener/). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/control.h"
#include "base/log.h"
#include "listener/stream.h"
#include "master/overload.h"
#include "master/shed.h"
#include "unit.h"

static const struct shed_policy policy = { .stress_workers = 8,
					   .stress_timeout_ms = 10000,
					   .shed_after_ms = 5000,
					   .backlog_timeout_ms = 30000,
					   .min_rate = 500 };

/* ---- stress ------------------------------------------------------------------------- */

START_TEST(stress_begins_at_once_and_ends_when_it_is_calm)
{
	static const struct {
		unsigned busy;
		int64_t at_ms;
		bool changed, on;
	} rows[] = {
		{ 0, 1000, false, false }, { 7, 2000, false, false }, { 8, 3000, true, true },
		{ 10, 4000, false, true }, { 7, 5000, false, true },  { 0, 8999, false, true },
		{ 8, 8999, false, true }, /* again: calm is counted from here */
		{ 0, 13998, false, true }, { 0, 13999, true, false }, { 0, 14000, false, false },
		{ 9, 14001, true, true },
	};
	struct stress s = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		ck_assert_msg(stress_update(&s, &policy, rows[i].busy, rows[i].at_ms) == rows[i].changed, "row %zu", i);
		ck_assert_msg(s.on == rows[i].on, "row %zu", i);
	}
}
END_TEST

/* ---- clients ------------------------------------------------------------------------ */

static struct client_wait a_wait(int64_t since, int64_t before, uint64_t octets)
{
	struct client_wait w = { 0 };

	client_wait_new_episode(&w);
	atomic_store(&w.since_mono_ms, since);
	atomic_store(&w.before_ms, before);
	atomic_store(&w.content_octets, octets);
	return w;
}

START_TEST(what_a_client_has_cost)
{
	static const struct {
		int64_t since, before;
		uint64_t octets;
		bool waits;
		int64_t waits_ms, waited_ms;
		bool overdue;
	} rows[] = {
		{ 0, 90000, 0, false, 0, 0, false }, /* it is the server's turn */
		{ 100001, 0, 0, false, 0, 0, false }, /* a clock that somebody wrote */
		{ -5, 0, 0, false, 0, 0, false },
		{ 99000, 0, 0, true, 1000, 1000, false },
		{ 90001, 0, 0, true, 9999, 9999, false },
		{ 90000, 0, 0, true, 10000, 10000, true },
		{ 99000, 30000, 0, true, 1000, 31000, false },
		{ 99000, 59000, 0, true, 1000, 60000, true }, /* never long, but again and again */
		{ 99000, 59000, 500, true, 1000, 59000, false }, /* a second's worth of content */
		{ 99000, 59000, 250, true, 1000, 59500, false },
		{ 99000, 59000, 1 << 20, true, 1000, 0, false },
		{ 99000, 59000, 60, true, 1000, 59880, false }, /* an octet a second */
		{ 99000, 59999, 60, true, 1000, 60879, true },
		{ 99000, INT64_MAX, UINT64_MAX, true, 1000, 1000, false }, /* whatever a worker wrote */
		{ 99000, INT64_MIN, 0, true, 1000, 1000, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct client_wait w = a_wait(rows[i].since, rows[i].before, rows[i].octets);
		struct shed_client c = { .slot = 1 };
		bool waits = shed_client_of(&c, &policy, &w, 100000);

		ck_assert_msg(waits == rows[i].waits, "row %zu", i);
		if (!waits)
			continue;
		ck_assert_msg(c.waits_ms == rows[i].waits_ms, "row %zu: %lld", i, (long long)c.waits_ms);
		ck_assert_msg(c.waited_ms == rows[i].waited_ms, "row %zu: %lld", i, (long long)c.waited_ms);
		ck_assert_msg(shed_is_overdue(&c, &policy) == rows[i].overdue, "row %zu", i);
		c.rank = CLIENT_LOCAL;
		ck_assert(!shed_is_overdue(&c, &policy));
	}
}
END_TEST

START_TEST(who_was_told_is_not_told_again)
{
	struct client_wait w = a_wait(1000, 0, 0);
	struct shed_client c = { .slot = 0 };

	ck_assert(shed_client_of(&c, &policy, &w, 100000));
	atomic_store(&w.shed_episode, c.episode);
	ck_assert(client_wait_is_shed(&w));
	ck_assert(!shed_client_of(&c, &policy, &w, 100000));
	/* another client, or the message that was accepted meanwhile: the decision was about somebody else */
	client_wait_new_episode(&w);
	ck_assert(!client_wait_is_shed(&w));
}
END_TEST

START_TEST(strangers_go_first_then_the_slowest)
{
	static const struct shed_client all[] = {
		{ .slot = 0, .rank = CLIENT_LOCAL, .waited_ms = 90000 },
		{ .slot = 1, .rank = CLIENT_PRIVILEGED, .waited_ms = 70000 },
		{ .slot = 2, .rank = CLIENT_STRANGER, .waited_ms = 4999 }, /* fast enough: nobody takes its place */
		{ .slot = 3, .rank = CLIENT_STRANGER, .waited_ms = 5000 },
		{ .slot = 4, .rank = CLIENT_PRIVILEGED, .waited_ms = 80000 },
		{ .slot = 5, .rank = CLIENT_STRANGER, .waited_ms = 6000 },
		{ .slot = 6, .rank = CLIENT_STRANGER, .waited_ms = 6000 },
	};
	static const unsigned order[] = { 5, 6, 3, 4, 1, 0 };
	struct shed_policy off = policy;

	for (size_t wanted = 0; wanted < 10; wanted++) {
		struct shed_client c[7];
		size_t n;

		memcpy(c, all, sizeof(c));
		n = shed_choose(c, 7, &policy, wanted);
		ck_assert_uint_eq(n, wanted < 6 ? wanted : 6);
		for (size_t i = 0; i < n; i++)
			ck_assert_uint_eq(c[i].slot, order[i]);
		off.shed_after_ms = 0;
		ck_assert_uint_eq(shed_choose(c, 7, &off, wanted), 0);
	}
	ck_assert_uint_eq(shed_choose(NULL, 0, &policy, 3), 0);
}
END_TEST

START_TEST(a_new_stranger_does_not_drive_out_a_user)
{
	struct shed_client c[] = { { .slot = 0, .rank = CLIENT_PRIVILEGED, .waited_ms = 29999 },
				   { .slot = 1, .rank = CLIENT_STRANGER, .waited_ms = 10 } };

	ck_assert_uint_eq(shed_choose(c, 2, &policy, 2), 0);
	ck_assert_uint_eq(shed_choose(c, 1, &policy, 2), 1); /* nobody else is there */
	c[0].waited_ms = 30000; /* it will not come back */
	ck_assert_uint_eq(shed_choose(c, 2, &policy, 2), 1);
	ck_assert_uint_eq(c[0].slot, 0);
	c[1].waited_ms = 5000;
	ck_assert_uint_eq(shed_choose(c, 2, &policy, 1), 1);
	ck_assert_uint_eq(c[0].slot, 1);
}
END_TEST

/* ---- the backlog ------------------------------------------------------------------------ */

#define STEPS 4000

/*
 * A queue whose arrivals are known: never is anybody counted who has not waited for so long, and who has done
 * so for a sample's time more is counted.
 */
START_TEST(the_backlog_knows_how_long_its_first_have_waited)
{
	static int64_t arrived_at[STEPS * 3];
	const int64_t lag = policy.backlog_timeout_ms / (BACKLOG_SAMPLES - 2) + 200;
	struct backlog b = { 0 };
	size_t arrived = 0, gone = 0;
	unsigned seed = 7, turned_away = 0, most = 0;

	for (int64_t step = 0, now = 1000; step < STEPS; step++, now += 200) {
		unsigned overdue, sure = 0, perhaps = 0;
		bool stalls = step % 1000 > 500; /* nobody is served for 100 s, then the queue goes */

		for (unsigned n = (unsigned)rand_r(&seed) % 3; n > 0; n--)
			arrived_at[arrived++] = now;
		for (unsigned n = stalls ? 0 : (unsigned)rand_r(&seed) % 5; n > 0 && gone < arrived; n--)
			gone++;
		for (size_t i = gone; i < arrived; i++) {
			perhaps += now - arrived_at[i] >= policy.backlog_timeout_ms;
			sure += now - arrived_at[i] >= policy.backlog_timeout_ms + lag;
		}
		overdue = backlog_note(&b, &policy, (unsigned)(arrived - gone), gone - turned_away, now);
		ck_assert_msg(overdue >= sure && overdue <= perhaps, "at %lld: %u of %u to %u", (long long)now,
			      overdue, sure, perhaps);
		most = overdue > most ? overdue : most;
		if (overdue > 0 && step % 2 == 0) { /* some of them are told */
			unsigned told = overdue > 1 ? overdue / 2 : 1;

			backlog_turned_away(&b, told);
			turned_away += told;
			gone += told;
		}
	}
	ck_assert_uint_gt(most, 1);
	ck_assert_uint_gt(turned_away, 50);
}
END_TEST

START_TEST(without_a_time_out_nobody_is_turned_away)
{
	struct shed_policy never = policy;
	struct backlog b = { 0 };

	never.backlog_timeout_ms = 0;
	for (int64_t now = 1000; now < 1000000; now += 200)
		ck_assert_uint_eq(backlog_note(&b, &never, 50, 0, now), 0);
}
END_TEST

/* ---- the stream of a client that is to go ------------------------------------------------- */

struct wires {
	int client, control;
	struct control line;
	struct client_wait wait;
	struct stream stream;
};

static void connect_wires(struct wires *w)
{
	int s[2], line[2];

	memset(w, 0, sizeof(*w));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
	ck_assert_int_eq(control_pair(line), 0);
	w->client = s[1];
	w->control = line[1];
	control_init(&w->line, line[0], 0);
	w->line.wait = &w->wait;
	client_wait_new_episode(&w->wait);
	stream_init(&w->stream, s[0], &w->line);
}

static void shed(struct wires *w)
{
	atomic_store(&w->wait.shed_episode, atomic_load(&w->wait.episode));
	ck_assert_int_eq(write(w->control, "d", 1), 1);
}

static void disconnect_wires(struct wires *w)
{
	close(w->client);
	close(w->control);
	close(w->line.fd);
	close(w->stream.fd);
}

static enum io_result get(struct wires *w, int64_t wait_ms)
{
	char data[100];
	size_t got;

	return w->stream.io.ops->read(&w->stream.io, data, sizeof(data), clock_mono_ms() + wait_ms, &got);
}

START_TEST(who_waits_for_a_client_is_told)
{
	struct wires w;

	connect_wires(&w);
	do
		ck_assert_int_eq(get(&w, 20), IO_TIMEOUT);
	while (atomic_load(&w.wait.before_ms) == 0); /* where others take our time there may be none left to wait */
	ck_assert_int_eq(atomic_load(&w.wait.since_mono_ms), 0);
	shed(&w);
	/* what it has said is heard first */
	ck_assert_int_eq(send(w.client, "hello", 5, 0), 5);
	ck_assert_int_eq(get(&w, 60000), IO_OK);
	ck_assert_int_eq(get(&w, 60000), IO_SHED);
	/* a decision about somebody who is gone */
	client_wait_new_episode(&w.wait);
	ck_assert_int_eq(write(w.control, "d", 1), 1);
	ck_assert_int_eq(get(&w, 20), IO_TIMEOUT);
	/* inside a transaction, too */
	w.stream.io.ops->interruptible(&w.stream.io, false);
	shed(&w);
	ck_assert_int_eq(get(&w, 60000), IO_SHED);
	ck_assert(!w.line.retiring && !w.line.stopping);
	disconnect_wires(&w);
}
END_TEST

START_TEST(an_answer_that_is_owed_is_not_cut_short)
{
	char *data = calloc(1, 8 << 20);
	struct wires w;

	connect_wires(&w);
	shed(&w);
	w.stream.io.owes_answer = true;
	ck_assert_int_eq(w.stream.io.ops->write(&w.stream.io, data, 8 << 20, clock_mono_ms() + 200), IO_TIMEOUT);
	/* nor does the master wait for this client to go, and let others stay for it */
	ck_assert_int_eq(atomic_load(&w.wait.before_ms), 0);
	/* any other: who does not read his replies goes like who does not say anything */
	w.stream.io.owes_answer = false;
	ck_assert_int_eq(w.stream.io.ops->write(&w.stream.io, data, 8 << 20, clock_mono_ms() + 60000), IO_SHED);
	disconnect_wires(&w);
	free(data);
}
END_TEST

/* ---- the master's turn -------------------------------------------------------------------- */

struct world {
	struct scoreboard *board;
	struct child child[10];
	int line[10];
	unsigned waiting, asked_to_turn_away, turns_away;
	struct overload overload;
	struct master_limits limits;
	struct master_roles roles;
};

static unsigned waiting(void *ctx)
{
	return ((struct world *)ctx)->waiting;
}

static void turn_away(void *ctx, unsigned count)
{
	struct world *w = ctx;

	w->asked_to_turn_away = count;
	atomic_fetch_add(&w->board->shared->turned_away, w->turns_away);
}

static void make_world(struct world *w)
{
	struct err e;

	memset(w, 0, sizeof(*w));
	w->limits = (struct master_limits){ .pool = { 1, 2, 10 }, .shed = policy };
	w->roles = (struct master_roles){ .waiting = waiting, .turn_away = turn_away, .ctx = w };
	ck_assert_int_eq(scoreboard_create(&w->board, 10, &e), 0);
	for (unsigned i = 0; i < 10; i++) {
		int line[2];

		ck_assert_int_eq(control_pair(line), 0);
		w->line[i] = line[0];
		w->child[i] = (struct child){ .pid = 1, .role = ROLE_WORKER, .slot = i, .control_fd = line[1] };
		client_wait_new_episode(&w->board->slot[i].wait);
		snprintf(w->board->slot[i].peer, sizeof(w->board->slot[i].peer), "192.0.2.%u:25", i);
		atomic_store(&w->board->slot[i].state, SLOT_BUSY);
	}
	log_open(LOG_TO_SYSLOG, (enum log_level)0, "test");
}

static void end_world(struct world *w)
{
	for (unsigned i = 0; i < 10; i++) {
		close(w->line[i]);
		close(w->child[i].control_fd);
	}
	scoreboard_destroy(w->board);
	clock_thaw();
}

static void turn(struct world *w, int64_t now)
{
	struct scoreboard_count count;

	clock_freeze(1, now);
	scoreboard_count(w->board, &count);
	overload_turn(&w->overload, &w->limits, &w->roles, w->board, &count, w->child);
}

/* The workers that were told since the last time, a bit each. */
static unsigned told(struct world *w)
{
	unsigned set = 0;

	for (unsigned i = 0; i < 10; i++) {
		char what = 0;

		if (read(w->line[i], &what, 1) == 1) {
			ck_assert_int_eq(what, CONTROL_SHED);
			ck_assert(!w->child[i].told);
			set |= 1U << i;
		}
	}
	return set;
}

static void waits_since(struct world *w, unsigned slot, int64_t since)
{
	atomic_store(&w->board->slot[slot].wait.since_mono_ms, since);
}

START_TEST(a_turn_sheds_as_many_as_wait)
{
	struct world w;

	make_world(&w);
	for (unsigned i = 0; i < 10; i++)
		waits_since(&w, i, 91000 + i * 100);
	turn(&w, 100000);
	ck_assert(w.overload.stress.on && atomic_load(&w.board->shared->stressed));
	ck_assert_uint_eq(told(&w), 0); /* nobody waits for their workers */
	ck_assert_int_eq(overload_due_mono_ms(&w.overload), 100000 + OVERLOAD_LOOK_MS);
	w.waiting = 3;
	turn(&w, 100100);
	ck_assert_uint_eq(told(&w), 0); /* not yet */
	turn(&w, 100200);
	ck_assert_uint_eq(told(&w), 0x007);
	turn(&w, 100400);
	ck_assert_uint_eq(told(&w), 0); /* three are on their way out */
	/* one has gone and its place is free for one of the three; another is served now */
	atomic_store(&w.board->slot[0].state, SLOT_IDLE);
	waits_since(&w, 1, 0);
	turn(&w, 100600);
	ck_assert_uint_eq(told(&w), 0x008);
	end_world(&w);
}
END_TEST

START_TEST(nobody_is_shed_while_more_workers_may_be_started)
{
	struct world w;

	make_world(&w);
	for (unsigned i = 0; i < 10; i++)
		waits_since(&w, i, 91000);
	w.waiting = 3;
	atomic_store(&w.board->slot[9].state, SLOT_FREE);
	turn(&w, 100000);
	ck_assert(w.overload.stress.on);
	ck_assert_uint_eq(told(&w), 0);
	/* but whose time is up goes in stress, and local ones do not */
	atomic_store(&w.board->slot[3].wait.rank, CLIENT_LOCAL);
	waits_since(&w, 2, 90100);
	waits_since(&w, 3, 80000);
	turn(&w, 100200);
	ck_assert_uint_eq(told(&w), 1U << 2);
	/* after it, nobody does */
	for (unsigned i = 0; i < 5; i++)
		atomic_store(&w.board->slot[i].state, SLOT_IDLE);
	turn(&w, 104000);
	turn(&w, 106000);
	ck_assert(!w.overload.stress.on && !atomic_load(&w.board->shared->stressed));
	told(&w);
	turn(&w, 200000);
	ck_assert_uint_eq(told(&w), 0);
	ck_assert_int_eq(overload_due_mono_ms(&w.overload), CLOCK_NEVER);
	end_world(&w);
}
END_TEST

START_TEST(who_waits_too_long_is_turned_away)
{
	struct world w;
	int64_t now = 100000;

	make_world(&w); /* all are busy, and with what is theirs to do: nobody can be shed */
	w.waiting = 4;
	w.turns_away = 4;
	for (; now < 100000 + policy.backlog_timeout_ms; now += 200) {
		turn(&w, now);
		ck_assert_uint_eq(w.asked_to_turn_away, 0);
	}
	w.waiting = 6; /* two came just now */
	turn(&w, now);
	ck_assert_uint_eq(w.asked_to_turn_away, 4);
	ck_assert_uint_eq(told(&w), 0);
	w.waiting = 2;
	w.asked_to_turn_away = 0;
	for (now += 200; now < 129000 + policy.backlog_timeout_ms; now += 200)
		turn(&w, now);
	ck_assert_uint_eq(w.asked_to_turn_away, 0);
	for (; now < 132000 + policy.backlog_timeout_ms; now += 200)
		turn(&w, now);
	ck_assert_uint_eq(w.asked_to_turn_away, 2);
	end_world(&w);
}
END_TEST

START_TEST(without_a_policy_nothing_happens)
{
	struct world w;

	make_world(&w);
	w.limits.shed.stress_workers = 0;
	w.waiting = 10;
	for (unsigned i = 0; i < 10; i++)
		waits_since(&w, i, 1);
	turn(&w, 100000);
	ck_assert(!w.overload.stress.on);
	ck_assert_uint_eq(told(&w), 0);
	end_world(&w);
}
END_TEST

START_TEST(some_lines_a_second)
{
	struct scoreboard *board;
	struct err e;
	unsigned talk = 0, mail = 0;

	ck_assert_int_eq(scoreboard_create(&board, 1, &e), 0);
	for (int64_t now = 5000; now < 7000; now++) {
		talk += scoreboard_may_log(board, LINES_OF_TALK, now);
		mail += scoreboard_may_log(board, LINES_OF_MAIL, now);
	}
	ck_assert_uint_eq(talk, 2 * SCOREBOARD_LINES_OF_TALK);
	ck_assert_uint_eq(mail, 2 * SCOREBOARD_LINES_OF_MAIL);
	ck_assert_uint_eq(atomic_load(&board->shared->flood_unsaid), 4000 - talk - mail);
	scoreboard_destroy(board);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("overload");

	UNIT_CASE(s, stress_begins_at_once_and_ends_when_it_is_calm, what_a_client_has_cost,
		  who_was_told_is_not_told_again, strangers_go_first_then_the_slowest, a_new_stranger_does_not_drive_out_a_user,
		  the_backlog_knows_how_long_its_first_have_waited, without_a_time_out_nobody_is_turned_away,
		  who_waits_for_a_client_is_told, an_answer_that_is_owed_is_not_cut_short,
		  a_turn_sheds_as_many_as_wait, nobody_is_shed_while_more_workers_may_be_started,
		  who_waits_too_long_is_turned_away, without_a_policy_nothing_happens, some_lines_a_second);
	return unit_run(s);
}
