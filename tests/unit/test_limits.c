/* SPDX-License-Identifier: ISC */
/* access/limits.h: buckets by a stopped clock, and connections counted by many processes that are killed at any point. */
#include "access/limits.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

#define SLOTS 16
#define SECOND 1000

static struct limits l;
static struct err e;

static void setup(void)
{
	ck_assert_msg(limits_create(&l, SLOTS, &e) == 0, "%s", e.text);
}

static void teardown(void)
{
	limits_destroy(&l);
}

static limits_key address(const char *octets, size_t len)
{
	return limits_key_of_address(&l, (const unsigned char *)octets, len);
}

START_TEST(keys)
{
	char user[] = "user";

	setup();
	ck_assert(address("\x0a\0\0\1", 4) != address("\x0a\0\0\2", 4));
	ck_assert(address("\x20\1\xd\xb8\0\0\0\1aaaaaaaa", 16) == address("\x20\1\xd\xb8\0\0\0\1bbbbbbbb", 16));
	ck_assert(address("\x20\1\xd\xb8\0\0\0\1aaaaaaaa", 16) != address("\x20\1\xd\xb8\0\0\0\2aaaaaaaa", 16));
	ck_assert(address("\xfe\x80\0\0\0\0\0\0aaaaaaaa", 16) != address("\xfe\x80\0\0\0\0\0\0bbbbbbbb", 16));
	ck_assert(address("", 0) != address("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16));
	ck_assert(limits_key_of_user(&l, "a") != limits_key_of_user(&l, "b"));
	ck_assert(limits_key_of_user(&l, "Bob") == limits_key_of_user(&l, "bOB"));
	/* a user who is called like an address */
	ck_assert(limits_key_of_user(&l, "abc") != address("abc", 4));
	ck_assert(limits_key_of_user(&l, user) == limits_key_of_user(&l, "user"));
	teardown();
}
END_TEST

/* How many of `tries` pass at this moment. */
static unsigned pass(limits_key key, enum limits_what what, unsigned a_minute, int64_t now_ms, unsigned tries)
{
	unsigned n = 0;

	for (unsigned i = 0; i < tries; i++)
		n += limits_take(&l, key, what, a_minute, now_ms);
	return n;
}

START_TEST(a_bucket_holds_a_minute_and_fills_evenly)
{
	limits_key key;

	setup();
	key = limits_key_of_user(&l, "carol");
	ck_assert_uint_eq(pass(key, LIMITS_MESSAGES, 60, 1000 * SECOND, 100), 60);
	ck_assert_uint_eq(pass(key, LIMITS_MESSAGES, 60, 1000 * SECOND + 999, 100), 0);
	ck_assert_uint_eq(pass(key, LIMITS_MESSAGES, 60, 1001 * SECOND, 100), 1);
	ck_assert_uint_eq(pass(key, LIMITS_MESSAGES, 60, 1011 * SECOND, 100), 10);
	ck_assert_uint_eq(pass(key, LIMITS_MESSAGES, 60, 1071 * SECOND, 100), 60);
	ck_assert_uint_eq(pass(key, LIMITS_MESSAGES, 60, 9999 * SECOND, 100), 60); /* never more than a minute's */
	/* recipients and others have theirs */
	ck_assert_uint_eq(pass(key, LIMITS_RECIPIENTS, 5, 9999 * SECOND, 100), 5);
	ck_assert_uint_eq(pass(limits_key_of_user(&l, "dave"), LIMITS_MESSAGES, 1, 9999 * SECOND, 100), 1);
	ck_assert_uint_eq(pass(limits_key_of_user(&l, "dave"), LIMITS_MESSAGES, 0, 9999 * SECOND, 100), 100);
	ck_assert_uint_eq(pass(limits_key_of_user(&l, "erin"), LIMITS_MESSAGES, 1000000, 9999 * SECOND, 2000), 2000);
	teardown();
}
END_TEST

START_TEST(what_came_to_nothing_is_given_back)
{
	limits_key key;

	setup();
	key = limits_key_of_user(&l, "carol");
	ck_assert_uint_eq(pass(key, LIMITS_MESSAGES, 3, 1000 * SECOND, 10), 3);
	limits_give_back(&l, key, LIMITS_MESSAGES, 3);
	limits_give_back(&l, key, LIMITS_MESSAGES, 0);
	limits_give_back(&l, key + 1024, LIMITS_MESSAGES, 3); /* nobody knows that one */
	ck_assert_uint_eq(pass(key, LIMITS_MESSAGES, 3, 1000 * SECOND, 10), 1);
	teardown();
}
END_TEST

START_TEST(a_full_table_refuses_nobody)
{
	limits_key busy;
	unsigned char a[4];

	setup();
	busy = limits_key_of_user(&l, "busy");
	ck_assert_uint_eq(pass(busy, LIMITS_MESSAGES, 10, 1000 * SECOND, 20), 10);
	for (uint32_t i = 0; i < 4 * LIMITS_BUCKETS; i++) {
		memcpy(a, &i, 4);
		ck_assert_uint_eq(pass(limits_key_of_address(&l, a, 4), LIMITS_MESSAGES, 10, 1001 * SECOND, 1), 1);
	}
	/* those who used least go first: who is at its end is still known */
	ck_assert_uint_le(pass(busy, LIMITS_MESSAGES, 10, 1001 * SECOND, 20), 1);
	teardown();
}
END_TEST

/* Whoever can write to the memory: everything is set to the same octet. */
START_TEST(nonsense_ends_within_a_minute)
{
	static const int octets[] = { 0xff, 0x7f, 0x80, 0x55, 0x01 };

	for (size_t i = 0; i < sizeof(octets) / sizeof(*octets); i++) {
		limits_key key;

		setup();
		memset(l.shared, octets[i], l.bytes);
		key = limits_key_of_user(&l, "carol");
		pass(key, LIMITS_MESSAGES, 10, 1000 * SECOND, 5);
		ck_assert_uint_gt(pass(key, LIMITS_MESSAGES, 10, 1061 * SECOND, 50), 0);
		/* connections of others cannot be told from real ones; ours are counted on */
		limits_clear_slot(&l, 3);
		ck_assert(limits_enter(&l, 3, LIMITS_CLIENT, key, 1));
		ck_assert_uint_eq(limits_count(&l, LIMITS_CLIENT, key), 1);
		teardown();
	}
}
END_TEST

START_TEST(connections_are_counted_by_slots)
{
	limits_key a, b;

	setup();
	a = limits_key_of_user(&l, "a");
	b = limits_key_of_user(&l, "b");
	ck_assert(limits_enter(&l, 0, LIMITS_CLIENT, a, 2));
	ck_assert(limits_enter(&l, 1, LIMITS_CLIENT, a, 2));
	ck_assert(!limits_enter(&l, 2, LIMITS_CLIENT, a, 2));
	ck_assert(limits_enter(&l, 2, LIMITS_USER, a, 2)); /* counted apart */
	ck_assert(limits_enter(&l, 3, LIMITS_CLIENT, b, 1));
	ck_assert(limits_enter(&l, 4, LIMITS_CLIENT, a, 0));
	ck_assert_uint_eq(limits_count(&l, LIMITS_CLIENT, a), 3);
	/* a slot has one: the new one takes the old one's place */
	ck_assert(limits_enter(&l, 4, LIMITS_CLIENT, b, 2));
	ck_assert_uint_eq(limits_count(&l, LIMITS_CLIENT, a), 2);
	limits_leave(&l, 0, LIMITS_CLIENT);
	ck_assert(limits_enter(&l, 2, LIMITS_CLIENT, a, 2));
	limits_clear_slot(&l, 2);
	ck_assert_uint_eq(limits_count(&l, LIMITS_CLIENT, a), 1);
	ck_assert_uint_eq(limits_count(&l, LIMITS_USER, a), 0);
	teardown();
}
END_TEST

/* ---- many processes --------------------------------------------------------------- */

struct arena {
	_Atomic unsigned inside[SLOTS]; /* odd: this slot believes to be let in; never while it is not */
	_Atomic unsigned violations, entered, refused;
	_Atomic unsigned taken;
};

static struct arena *arena;

static void make_arena(void)
{
	arena = mmap(NULL, sizeof(*arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(arena != MAP_FAILED);
}

/* How many are inside at one moment: two looks that saw the same. 0: it changes too fast to tell. */
static unsigned count_inside(void)
{
	unsigned first[SLOTS], n = 0;
	bool same = true;

	for (size_t i = 0; i < SLOTS; i++)
		n += (first[i] = atomic_load(&arena->inside[i])) % 2;
	for (size_t i = 0; i < SLOTS; i++)
		same = same && atomic_load(&arena->inside[i]) == first[i];
	return same ? n : 0;
}

static void hammer(size_t slot, limits_key key, unsigned most)
{
	for (;;) {
		if (!limits_enter(&l, slot, LIMITS_CLIENT, key, most)) {
			atomic_fetch_add(&arena->refused, 1);
			continue;
		}
		atomic_fetch_add(&arena->inside[slot], 1);
		for (int i = 0; i < 10; i++)
			if (count_inside() > most)
				atomic_fetch_add(&arena->violations, 1);
		atomic_fetch_add(&arena->entered, 1);
		atomic_fetch_add(&arena->inside[slot], 1);
		limits_take(&l, key, LIMITS_MESSAGES, 7, 1000);
		limits_leave(&l, slot, LIMITS_CLIENT);
	}
}

static pid_t start(size_t slot, limits_key key, unsigned most)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		hammer(slot, key, most);
	return pid;
}

static void pause_us(long us)
{
	struct timespec t = { 0, us * 1000 };

	nanosleep(&t, NULL);
}

/* As the master does it: the slot is cleared when its worker has ended, then a new one comes. */
static void bury(pid_t pid, size_t slot)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	atomic_fetch_add(&arena->inside[slot], atomic_load(&arena->inside[slot]) % 2);
	limits_clear_slot(&l, slot);
}

START_TEST(killed_processes_leave_nothing_behind)
{
	enum { MOST = 5 };
	pid_t pid[SLOTS];
	limits_key key;

	setup();
	make_arena();
	key = limits_key_of_user(&l, "carol");
	for (size_t i = 0; i < SLOTS; i++)
		pid[i] = start(i, key, MOST);
	for (unsigned n = 0; n < 120; n++) {
		size_t slot = (n * 7 + n / 16) % SLOTS;

		pause_us(100 + n % 5 * 300);
		bury(pid[slot], slot);
		pid[slot] = start(slot, key, MOST);
	}
	for (size_t i = 0; i < SLOTS; i++)
		bury(pid[i], i);
	ck_assert_uint_eq(atomic_load(&arena->violations), 0);
	ck_assert_uint_gt(atomic_load(&arena->entered), 1000);
	ck_assert_uint_gt(atomic_load(&arena->refused), 0);
	ck_assert_uint_eq(limits_count(&l, LIMITS_CLIENT, key), 0);
	for (size_t i = 0; i < SLOTS; i++)
		ck_assert(limits_enter(&l, i, LIMITS_CLIENT, key, MOST) == (i < MOST));
	teardown();
}
END_TEST

/* All at one moment: as many as may are let in, and not one more. */
START_TEST(a_rush_gets_its_share)
{
	enum { MOST = 5 };
	limits_key key;

	setup();
	make_arena();
	key = limits_key_of_user(&l, "carol");
	for (unsigned round = 0; round < 30; round++) {
		unsigned in = 0;
		pid_t pid[SLOTS];
		int line[2];
		char c;

		ck_assert_int_eq(pipe(line), 0);
		for (size_t i = 0; i < SLOTS; i++) {
			pid[i] = fork();
			ck_assert_int_ge(pid[i], 0);
			if (pid[i] > 0)
				continue;
			close(line[1]);
			(void)!read(line[0], &c, 1); /* its end is the start */
			_exit(limits_enter(&l, i, LIMITS_CLIENT, key, MOST));
		}
		close(line[1]);
		close(line[0]);
		for (size_t i = 0; i < SLOTS; i++) {
			int status;

			ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
			in += (unsigned)WEXITSTATUS(status);
		}
		ck_assert_msg(in == MOST, "round %u: %u", round, in);
		for (size_t i = 0; i < SLOTS; i++)
			limits_clear_slot(&l, i);
	}
	teardown();
}
END_TEST

/* Tokens are taken by many at once, and not one is lost or found. */
START_TEST(many_take_from_one_bucket)
{
	enum { MOST = 5000 };
	limits_key key;
	pid_t pid[SLOTS];

	setup();
	make_arena();
	key = limits_key_of_user(&l, "carol");
	for (size_t i = 0; i < SLOTS; i++) {
		pid[i] = fork();
		ck_assert_int_ge(pid[i], 0);
		if (pid[i] == 0) {
			atomic_fetch_add(&arena->taken, pass(key, LIMITS_RECIPIENTS, MOST, 1000 * SECOND, MOST));
			_exit(0);
		}
	}
	for (size_t i = 0; i < SLOTS; i++)
		ck_assert_int_eq(waitpid(pid[i], NULL, 0), pid[i]);
	ck_assert_uint_eq(atomic_load(&arena->taken), MOST);
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("limits");

	UNIT_CASE(suite, keys, a_bucket_holds_a_minute_and_fills_evenly, what_came_to_nothing_is_given_back,
		  a_full_table_refuses_nobody, nonsense_ends_within_a_minute, connections_are_counted_by_slots,
		  killed_processes_leave_nothing_behind, a_rush_gets_its_share, many_take_from_one_bucket);
	return unit_run(suite);
}
