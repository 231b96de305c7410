/* SPDX-License-Identifier: ISC */
/*
 * Crash enumeration of the spool: each scenario is run again and again, and at
 * its first, second, third ... system call something goes wrong, until it comes
 * to its end undisturbed. After each run the spool is restarted as the crash left
 * it and, for a power cut, in every shape the disk could have (disk.h), and held
 * against what had been promised (life.h). The last tests break the product on
 * purpose and expect to see it.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "disk.h"
#include "life.h"
#include "sys_fault.h"
#include "unit.h"

#define SMALL 700
#define LARGE 250000

/* ---- what is done ----------------------------------------------------------------- */

struct scenario {
	const char *name;
	void (*before)(struct life *l); /* undisturbed, and durable */
	void (*run)(struct life *l);
};

static void accept_small(struct life *l)
{
	life_accept(l, 0, SMALL);
}

static void accept_large(struct life *l)
{
	life_accept(l, 0, LARGE);
}

static void accept_three(struct life *l)
{
	life_accept(l, 0, SMALL);
	life_accept(l, 1, 0);
	life_accept(l, 2, 70000);
}

static void abort_both(struct life *l)
{
	life_abort(l, 0, SMALL);
	life_abort(l, 1, LARGE);
}

static void defer_twice(struct life *l)
{
	life_defer(l, 0);
	life_defer(l, 0);
	life_hold(l, 0);
	life_defer(l, 0);
}

static void deliver_in_parts(struct life *l)
{
	life_defer(l, 0);
	life_deliver(l, 0, 0);
	life_deliver(l, 0, 1);
	life_remove(l, 0);
}

/* Another state is saved, and another message accepted, while the first removal is not durable yet. */
static void remove_and_go_on(struct life *l)
{
	life_deliver(l, 0, 0);
	life_deliver(l, 1, 0);
	life_remove(l, 0);
	life_deliver(l, 1, 1);
	life_accept(l, 3, SMALL);
	life_remove(l, 1);
}

/* So many that they are synced together; the first is partly delivered already. */
static void accept_and_deliver(struct life *l)
{
	accept_three(l);
	life_accept(l, 3, SMALL);
	life_deliver(l, 0, 0);
	life_deliver(l, 3, 0);
}

static void batch_of_states(struct life *l)
{
	static const enum life_change changes[] = { LIFE_DELIVER_SECOND, LIFE_HOLD, LIFE_HOLD, LIFE_HOLD };

	life_batch(l, 0, changes, 4);
	life_remove(l, 0);
}

/* Each for itself, and a message that others may still know, with a state that must not go before it. */
static void batch_of_few(struct life *l)
{
	static const enum life_change changes[] = { LIFE_DELIVER_SECOND, LIFE_DEFER, LIFE_HOLD, LIFE_REMOVE };

	life_batch(l, 0, changes, 4);
	life_deliver(l, 1, 0);
}

static void batch_of_removals(struct life *l)
{
	static const enum life_change changes[] = { LIFE_REMOVE, LIFE_REMOVE, LIFE_DEFER, LIFE_REMOVE };

	life_batch(l, 0, changes, 4);
	life_hold(l, 2);
}

static void batch_of_all_kinds(struct life *l)
{
	static const enum life_change changes[] = { LIFE_REMOVE, LIFE_HOLD, LIFE_DELIVER_FIRST, LIFE_DELIVER_SECOND };

	life_batch(l, 0, changes, 4);
}

static void batch_of_postponements(struct life *l)
{
	static const enum life_change changes[] = { LIFE_DEFER, LIFE_DEFER };

	life_batch(l, 1, changes, 2);
}

/* Its envelope says that it is held: before any state, with one that is not synced, after its release. */
static void accept_held(struct life *l)
{
	life_accept_held(l, 0, SMALL);
}

static void release_and_deliver(struct life *l)
{
	life_defer(l, 0);
	life_release(l, 0);
	life_defer(l, 0);
	life_deliver(l, 0, 0);
	life_deliver(l, 0, 1);
	life_remove(l, 0);
}

static void accept_three_held(struct life *l)
{
	life_accept_held(l, 0, SMALL);
	life_accept_held(l, 1, 0);
	life_accept_held(l, 2, LARGE);
	life_accept(l, 3, SMALL);
}

static void batch_of_releases(struct life *l)
{
	static const enum life_change changes[] = { LIFE_RELEASE, LIFE_DEFER, LIFE_RELEASE, LIFE_HOLD };

	life_batch(l, 0, changes, 4);
	life_release(l, 1);
	life_hold(l, 0); /* by hand, this time */
	life_defer(l, 2);
}

static void damaged_message(struct life *l)
{
	life_accept(l, 0, SMALL);
	life_deliver(l, 0, 0);
	life_damage(l, 0);
}

static void quarantine_and_go_on(struct life *l)
{
	life_quarantine(l, 0);
	life_accept(l, 1, SMALL);
	life_deliver(l, 1, 1);
}

static void leftovers(struct life *l)
{
	life_accept(l, 0, SMALL);
	life_deliver(l, 0, 1);
	life_put_foreign(l, "incoming", "0m4x7f3q9zkab1cd");
	life_put_foreign(l, "incoming", "odd");
	life_put_foreign(l, "state", "0m4x7f3q9zkab1cd");
	life_put_foreign(l, "state", "0m4x7f3q9zkab1ce.new");
	life_put_foreign(l, "queue", "odd-1");
	life_put_foreign(l, "state", "odd-1");
	life_put_foreign(l, "corrupt", "odd-1");
	l->foreign = 3;
}

static void recover_and_go_on(struct life *l)
{
	(void)life_recover(l);
	life_deliver(l, 0, 0);
	life_accept(l, 1, SMALL);
}

static void first_start(struct life *l)
{
	if (life_start(l) && life_recover(l))
		life_accept(l, 0, SMALL);
}

/* What a relay does all day. */
static void whole_life(struct life *l)
{
	life_accept(l, 0, SMALL);
	life_accept(l, 1, SMALL);
	life_deliver(l, 0, 0);
	life_remove(l, 1);
	life_deliver(l, 0, 1);
	life_remove(l, 0);
}

static const struct scenario scenarios[] = {
	{ "first start", NULL, first_start },
	{ "accept a small message", NULL, accept_small },
	{ "accept a large message", NULL, accept_large },
	{ "accept three", NULL, accept_three },
	{ "abort", NULL, abort_both },
	{ "defer and hold", accept_small, defer_twice },
	{ "deliver in parts", accept_small, deliver_in_parts },
	{ "remove and go on", accept_three, remove_and_go_on },
	{ "batch of states", accept_and_deliver, batch_of_states },
	{ "batch of few", accept_and_deliver, batch_of_few },
	{ "batch of removals", accept_and_deliver, batch_of_removals },
	{ "batch of all kinds", accept_and_deliver, batch_of_all_kinds },
	{ "batch of postponements", accept_and_deliver, batch_of_postponements },
	{ "accept held", NULL, accept_held },
	{ "release and deliver", accept_held, release_and_deliver },
	{ "accept three held", NULL, accept_three_held },
	{ "batch of releases", accept_three_held, batch_of_releases },
	{ "quarantine", damaged_message, quarantine_and_go_on },
	{ "recovery", leftovers, recover_and_go_on },
	{ "whole life", NULL, whole_life },
};
#define SCENARIOS (sizeof(scenarios) / sizeof(*scenarios))

/* ---- on what ---------------------------------------------------------------------- */

struct setting {
	const char *name;
	enum disk_kind disk;
	enum spool_sync sync;
	long filesystem; /* what statfs says */
	bool blind_worker;
};

static const struct setting settings[] = {
	{ "journal, sync file", DISK_JOURNAL, SPOOL_SYNC_FILE, 0, false },
	{ "journal, sync auto on ext4", DISK_JOURNAL, SPOOL_SYNC_AUTO, EXT4_SUPER_MAGIC, true },
	{ "log tree, sync auto on btrfs", DISK_LOG_TREE, SPOOL_SYNC_AUTO, BTRFS_SUPER_MAGIC, false },
	{ "log tree, sync strict", DISK_LOG_TREE, SPOOL_SYNC_STRICT, 0, false },
	{ "posix, sync strict", DISK_POSIX, SPOOL_SYNC_STRICT, 0, false },
	{ "posix, sync auto on f2fs, workers may not list", DISK_POSIX, SPOOL_SYNC_AUTO, F2FS_SUPER_MAGIC,
	  true },
};
#define SETTINGS (sizeof(settings) / sizeof(*settings))

/* ---- and what goes wrong ---------------------------------------------------------- */

static const struct {
	const char *name;
	struct fault_plan plan;
} faults[] = {
	{ "the end", { 0, false, false } },
	{ "the end half way", { 0, true, false } },
	{ "EIO", { EIO, false, false } },
	{ "EIO ever after", { EIO, false, true } },
	{ "EIO half way", { EIO, true, false } },
	{ "ENOSPC", { ENOSPC, false, false } },
	{ "ENOSPC half way, ever after", { ENOSPC, true, true } },
	{ "EDQUOT", { EDQUOT, false, false } },
	{ "EFBIG half way", { EFBIG, true, false } },
	{ "EACCES", { EACCES, false, false } },
	{ "EROFS ever after", { EROFS, false, true } },
	{ "EMFILE", { EMFILE, false, false } },
};
#define FAULTS (sizeof(faults) / sizeof(*faults))

/* ---- one run ---------------------------------------------------------------------- */

#define AT_MAX 1000 /* no scenario makes so many calls */

/* A part of the product that is broken on purpose; all false: none. */
struct mutant {
	unsigned faults; /* enum fault_mutation */
	bool remove_backwards;
	unsigned skip_syncfs;
};
static const struct mutant sound;

static char dir[200], live[220], cut[220];
static struct life life;
static size_t runs, shapes, restarts;

static const char *temporary(void)
{
	const char *tmp = getenv("TMPDIR");

	if (tmp && *tmp)
		return tmp;
	/* the disk is a modelled one, memory does; on a real one this takes five times as long */
	return access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
}

static void setup(void)
{
	snprintf(dir, sizeof(dir), "%s/posthouse-crash-XXXXXX", temporary());
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(live, sizeof(live), "%s/live", dir);
	snprintf(cut, sizeof(cut), "%s/cut", dir);
	ck_assert_int_eq(mkdir(live, 0700), 0);
	ck_assert_int_eq(mkdir(cut, 0700), 0);
	clock_freeze(1795000000123456, 1000);
}

static void teardown(void)
{
	disk_empty_directory(dir);
	rmdir(dir);
}

/* A fresh spool with what the scenario wants in it. */
static void prepare(const struct scenario *sc, const struct setting *on, const struct mutant *mutant)
{
	memset(&life, 0, offsetof(struct life, violations));
	snprintf(life.path, sizeof(life.path), "%s/deep/spool", live);
	snprintf(life.context, sizeof(life.context), "%s; %s", sc->name, on->name);
	life.sync = on->sync;
	life.blind_worker = on->blind_worker;
	life.remove_backwards = mutant->remove_backwards;
	disk_empty_directory(live);
	disk_reset(on->disk);
	fault_model(live);
	fault_mutate(0);
	fault_skip_syncfs(0);
	fault_set_filesystem(on->filesystem);
	if (sc->run != first_start) {
		ck_assert(life_start(&life));
		if (sc->before)
			sc->before(&life);
		disk_settle();
	}
	fault_mutate(mutant->faults);
	fault_skip_syncfs(mutant->skip_syncfs);
}

static void check_cut(void *ctx)
{
	(void)ctx;
	restarts++;
	life.shape = disk_describe();
	life_check(&life, cut, LIFE_POWER_CUT);
	life.shape = NULL;
}

static void cut_power(const struct setting *on)
{
	const char *ids[LIFE_MAILS];

	for (size_t i = 0; i < LIFE_MAILS; i++)
		ids[i] = life.mail[i].id;
	disk_cut(cut, ids, LIFE_MAILS, life_ledger_hash(&life) + (uintptr_t)on, check_cut, NULL, &shapes);
}

/* Every end of a run: a power cut, a restart, and a power cut after the restart. */
static void end_run(const struct setting *on, enum life_crash crash)
{
	fault_disarm();
	life_stop(&life);
	cut_power(on);
	restarts++;
	life_check(&life, live, crash);
	cut_power(on);
	if (fault_open_descriptors() != 0)
		life_violation(&life, "%d descriptors are still open", fault_open_descriptors());
}

/* Runs the scenario with the fault at its at-th call; false when it was over before that. */
static bool run(const struct scenario *sc, const struct setting *on, const struct fault_plan *plan,
		unsigned at, const struct mutant *mutant)
{
	bool was_met;

	runs++;
	prepare(sc, on, mutant);
	life.plan = *plan;
	fault_arm(plan, at);
	sc->run(&life);
	was_met = fault_was_met();
	end_run(on, fault_is_dead() ? LIFE_PROCESS_ENDED : LIFE_NO_CRASH);
	return was_met;
}

/* The process ends at a call of the scenario, and its successor at a call of recovery; false as in run. */
static bool run_twice(const struct scenario *sc, const struct setting *on, const struct fault_plan *plan,
		      unsigned at, unsigned recovery_at, bool *recovery_was_met)
{
	bool was_met;

	runs++;
	prepare(sc, on, &sound);
	life.plan = *plan;
	fault_arm(plan, at);
	sc->run(&life);
	was_met = fault_was_met();
	fault_disarm();
	life_stop(&life);
	ck_assert(life_start(&life));
	fault_arm(plan, recovery_at);
	(void)life_recover(&life);
	*recovery_was_met = fault_was_met();
	end_run(on, LIFE_PROCESS_ENDED);
	return was_met;
}

/* Every fault at every call. */
static void run_all(const struct scenario *sc, const struct setting *on, const struct mutant *mutant)
{
	for (size_t k = 0; k < FAULTS; k++) {
		unsigned at = 1;

		snprintf(life.fault, sizeof(life.fault), "%s", faults[k].name);
		while (run(sc, on, &faults[k].plan, at, mutant))
			ck_assert_msg(++at < AT_MAX, "%s does not end", sc->name);
		ck_assert_uint_gt(at, 4);
	}
}

static size_t count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void expect_no_violation(void)
{
	ck_assert_msg(life.violations == 0, "%u violations, the first: %s", life.violations, life.first);
}

/* ---- tests ------------------------------------------------------------------------ */

START_TEST(promises_are_kept_by_every_fault)
{
	const struct scenario *sc = &scenarios[_i];
	size_t descriptors = count_descriptors();

	for (size_t s = 0; s < SETTINGS; s++)
		run_all(sc, &settings[s], &sound);
	expect_no_violation();
	ck_assert_uint_eq(count_descriptors(), descriptors);
	printf("# %s: %zu runs, %zu shapes of the disk, %zu restarts\n", sc->name, runs, shapes, restarts);
	/* no scenario has less than five calls; many leave a shape of the disk that was not there before */
	ck_assert_uint_ge(runs, FAULTS * SETTINGS * 5);
	ck_assert_uint_gt(restarts, runs);
	ck_assert_uint_gt(shapes, runs * 2);
}
END_TEST

START_TEST(recovery_can_be_cut_short_too)
{
	static const struct fault_plan plans[] = { { 0, false, false }, { 0, true, false } };
	const struct scenario *sc = &scenarios[_i];

	if (sc->run == first_start)
		return;
	/* the most orderly disk and the least */
	for (size_t s = 0; s < SETTINGS; s += 4) {
		for (size_t k = 0; k < sizeof(plans) / sizeof(*plans); k++) {
			bool scenario_met = true, recovery_met;

			for (unsigned at = 1; scenario_met; at++) {
				recovery_met = true;
				for (unsigned again = 1; recovery_met; again++)
					scenario_met = run_twice(sc, &settings[s], &plans[k], at, again,
								 &recovery_met);
			}
		}
	}
	expect_no_violation();
	printf("# %s: %zu runs, %zu shapes of the disk, %zu restarts\n", sc->name, runs, shapes, restarts);
	ck_assert_uint_gt(runs, 2 * 2 * 3 * 3);
}
END_TEST

/* The product broken in one way each, and what the tests above would say to it. */
static const struct {
	const char *scenario;
	struct setting on;
	struct mutant mutant;
	const char *verdict;
} mutants[] = {
	{ "accept a small message",
	  { "no fsync of the file", DISK_JOURNAL, SPOOL_SYNC_FILE, 0, false },
	  { FAULT_FILE_SYNC_DOES_NOTHING, false, 0 },
	  "LOST" },
	{ "accept a large message",
	  { "no fsync of the file", DISK_POSIX, SPOOL_SYNC_STRICT, 0, false },
	  { FAULT_FILE_SYNC_DOES_NOTHING, false, 0 },
	  "LOST" },
	{ "accept a small message",
	  { "no fsync of the directory", DISK_POSIX, SPOOL_SYNC_STRICT, 0, false },
	  { FAULT_DIRECTORY_SYNC_DOES_NOTHING, false, 0 },
	  "LOST" },
	{ "accept a small message",
	  { "not strict where it is needed", DISK_POSIX, SPOOL_SYNC_FILE, 0, false },
	  { 0, false, 0 },
	  "LOST" },
	{ "accept a small message",
	  { "no syncfs by a worker that may not list", DISK_POSIX, SPOOL_SYNC_AUTO, F2FS_SUPER_MAGIC, true },
	  { FAULT_DIRECTORY_SYNC_DOES_NOTHING, false, 0 },
	  "LOST" },
	{ "first start",
	  { "no fsync of the parents", DISK_POSIX, SPOOL_SYNC_STRICT, 0, false },
	  { FAULT_DIRECTORY_SYNC_DOES_NOTHING, false, 0 },
	  "LOST" },
	{ "deliver in parts",
	  { "no fsync of the state", DISK_JOURNAL, SPOOL_SYNC_FILE, 0, false },
	  { FAULT_FILE_SYNC_DOES_NOTHING, false, 0 },
	  "recorded as delivered" },
	{ "deliver in parts",
	  { "no fsync between the removals", DISK_POSIX, SPOOL_SYNC_STRICT, 0, false },
	  { FAULT_DIRECTORY_SYNC_DOES_NOTHING, false, 0 },
	  "recorded as delivered" },
	{ "deliver in parts",
	  { "state removed before the message", DISK_JOURNAL, SPOOL_SYNC_FILE, 0, false },
	  { 0, true, 0 },
	  "recorded as delivered" },
	{ "defer and hold",
	  { "no fsync of a hold", DISK_LOG_TREE, SPOOL_SYNC_FILE, 0, false },
	  { FAULT_FILE_SYNC_DOES_NOTHING, false, 0 },
	  "recorded as held" },
	{ "release and deliver",
	  { "no fsync of a release", DISK_JOURNAL, SPOOL_SYNC_FILE, 0, false },
	  { FAULT_FILE_SYNC_DOES_NOTHING, false, 0 },
	  "recorded as released" },
	{ "batch of releases",
	  { "no fsync of the states", DISK_LOG_TREE, SPOOL_SYNC_FILE, 0, false },
	  { FAULT_FILE_SYNC_DOES_NOTHING, false, 0 },
	  "recorded as " },
	{ "batch of states",
	  { "no sync of the content", DISK_JOURNAL, SPOOL_SYNC_FILE, 0, false },
	  { 0, false, 1 },
	  "recorded as delivered" },
	{ "batch of states",
	  { "no sync of the names", DISK_JOURNAL, SPOOL_SYNC_FILE, 0, false },
	  { 0, false, 2 },
	  "recorded as " },
	{ "batch of few",
	  { "no fsync of the states", DISK_LOG_TREE, SPOOL_SYNC_FILE, 0, false },
	  { FAULT_FILE_SYNC_DOES_NOTHING, false, 0 },
	  "recorded as " },
	{ "batch of few",
	  { "no fsync of the names", DISK_POSIX, SPOOL_SYNC_FILE, 0, false },
	  { 0, false, 0 },
	  "recorded as " },
	{ "batch of removals",
	  { "no fsync of the queue", DISK_JOURNAL, SPOOL_SYNC_FILE, 0, false },
	  { FAULT_DIRECTORY_SYNC_DOES_NOTHING, false, 0 },
	  "there again" },
	{ "batch of removals",
	  { "no fsync before the states go", DISK_POSIX, SPOOL_SYNC_STRICT, 0, false },
	  { FAULT_DIRECTORY_SYNC_DOES_NOTHING, false, 0 },
	  "recorded as delivered" },
	{ "quarantine",
	  { "no fsync of corrupt/", DISK_POSIX, SPOOL_SYNC_FILE, 0, false },
	  { 0, false, 0 },
	  "LOST" },
};
#define MUTANTS (sizeof(mutants) / sizeof(*mutants))

START_TEST(what_is_broken_is_seen)
{
	const struct scenario *sc = scenarios;

	while (strcmp(sc->name, mutants[_i].scenario) != 0)
		sc++;
	run_all(sc, &mutants[_i].on, &mutants[_i].mutant);
	ck_assert_msg(life.violations > 0, "%s: nobody saw it", mutants[_i].on.name);
	ck_assert_msg(strstr(life.first, mutants[_i].verdict), "%s: seen as: %s", mutants[_i].on.name,
		      life.first);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("crash");
	TCase *c = tcase_create("all");

	setvbuf(stdout, NULL, _IOLBF, 0);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, promises_are_kept_by_every_fault, 0, (int)SCENARIOS);
	tcase_add_loop_test(c, recovery_can_be_cut_short_too, 0, (int)SCENARIOS);
	tcase_add_loop_test(c, what_is_broken_is_seen, 0, (int)MUTANTS);
	suite_add_tcase(s, c);
	return unit_run(s);
}
