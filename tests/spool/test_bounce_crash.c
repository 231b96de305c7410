/* SPDX-License-Identifier: ISC */
/*
 * Crash enumeration of a bounce: an upstream refuses a message, and at the
 * first, second, third ... system call between that and its end something
 * goes wrong. After each run the service starts again on what the crash left,
 * in every shape that a power cut could have given the disk, and does what is
 * left to do. Then there must be exactly one whole report, about all who
 * failed, and the message must be gone.
 */
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "disk.h"
#include "manage/bounce.h"
#include "spool/recover.h"
#include "spool/txn.h"
#include "sys_fault.h"
#include "unit.h"

#define WALL_US 1795000000123456
#define AT_MAX 300 /* no run makes so many calls */
#define LARGE 200000 /* a report of several writes */

static const struct bounce_settings settings = { "mx.example.org", NULL, 1 << 20, 0 };

static const struct setting {
	const char *name;
	enum disk_kind disk;
	enum spool_sync sync;
	long filesystem; /* what statfs says */
} on[] = {
	{ "ext4", DISK_JOURNAL, SPOOL_SYNC_AUTO, EXT4_SUPER_MAGIC },
	{ "btrfs", DISK_LOG_TREE, SPOOL_SYNC_AUTO, BTRFS_SUPER_MAGIC },
	{ "posix, strict", DISK_POSIX, SPOOL_SYNC_STRICT, 0 },
};
#define SETTINGS (sizeof(on) / sizeof(*on))

static const struct fault_plan plans[] = {
	{ 0, false, false },  { 0, true, false },     { EIO, false, false },  { EIO, false, true },
	{ EIO, true, false }, { ENOSPC, true, true }, { EROFS, false, true },
};
#define PLANS (sizeof(plans) / sizeof(*plans))

/* Broken on purpose. */
enum mutant { SOUND, REMOVE_FIRST, NO_FIRST_SAVE, NO_FSYNC };

static char dir[200], live[220], cut[220], original[ENVELOPE_ID_MAX], report_id[ENVELOPE_ID_MAX];
static const struct setting *now_on;
static enum mutant mutant;
static unsigned violations;
static size_t shapes, restarts, runs;
static char first[1000], context[200];

static void violation(const char *what, const char *detail)
{
	if (violations++ == 0)
		snprintf(first, sizeof(first), "%s: %s: %s", context, what, detail);
}

/* ---- what the relay does ---------------------------------------------------------------- */

/* The upstream refuses all who are pending. */
static void refuse(struct spool_state *st)
{
	for (size_t i = 0; i < st->rcpt_count; i++)
		if (st->rcpt[i].status == RCPT_PENDING)
			rcpt_state_set(&st->rcpt[i], RCPT_FAILED, WALL_US, "main", "mx:25",
				       "550 5.1.1 unknown");
}

/* The four steps of bounce.h, as far as they succeed. */
static void take_steps(struct spool *s, struct spool_message *m, struct spool_state *st)
{
	struct err e;

	refuse(st);
	if (!bounce_prepare(&settings, &m->env, st) && !spool_state_is_finished(st))
		return;
	if (st->report_id.text[0]) {
		strcpy(report_id, st->report_id.text);
		if (mutant == REMOVE_FIRST)
			(void)spool_remove(s, m->env.id, &e);
		if (mutant != NO_FIRST_SAVE && spool_state_save(st, s, m->env.id, &e) < 0)
			return;
		if (bounce_commit(&settings, s, m, st, NULL, &e) < 0)
			return;
	}
	ASSERT(spool_state_is_finished(st));
	(void)spool_remove(s, m->env.id, &e);
}

static void serve(struct spool *s, const char *id)
{
	struct spool_message m;
	struct spool_state st;
	struct err e;

	if (spool_message_open(&m, s, id, true, &e) != SPOOL_READ_OK)
		return;
	spool_state_init(&st, m.env.rcpt_count);
	if (spool_state_load(&st, s, id, &e) == SPOOL_READ_OK)
		take_steps(s, &m, &st);
	spool_message_close(&m);
	spool_state_release(&st);
}

/* ---- what is there in the end ------------------------------------------------------------- */

struct verdict {
	struct spool *s;
	unsigned reports;
	bool original;
};

static void look_at(void *ctx, const char *id)
{
	struct verdict *v = ctx;
	static char text[LARGE + 20000];
	struct spool_message m;
	struct err e;
	size_t got = 0;
	ssize_t n;

	if (spool_message_open(&m, v->s, id, true, &e) != SPOOL_READ_OK) {
		if (spool_quarantine(v->s, id, e.text, &e) < 0)
			violation("cannot quarantine", e.text);
		return;
	}
	if (strcmp(id, original) == 0) {
		v->original = true;
	} else {
		while ((n = spool_message_read(&m, got, text + got, sizeof(text) - 1 - got, &e)) > 0)
			got += (size_t)n;
		text[got] = '\0';
		v->reports++;
		if (m.env.sender[0] || strcmp(m.env.rcpt[0].address, "from@example.org") != 0 ||
		    !strstr(text, "rfc822; a@example.org\r\n") || !strstr(text, "rfc822; b@example.org\r\n"))
			violation("not the report", id);
	}
	spool_message_close(&m);
}

/* A start of the service on what is below base, and all that is left to do. */
static void check(const char *base)
{
	struct spool_recovery found;
	struct verdict v = { 0 };
	struct spool s;
	struct err e = { 0 };
	char path[300];

	restarts++;
	snprintf(path, sizeof(path), "%s/spool", base);
	if (spool_prepare(path, (uid_t)-1, (gid_t)-1, (gid_t)-1, &e) < 0 ||
	    spool_open(&s, path, SPOOL_MANAGE, now_on->sync, &e) < 0 ||
	    spool_recover(&s, WALL_US * 2, &found, &e) < 0) {
		violation("no start", e.text);
		return;
	}
	v.s = &s;
	/* torn ones go first, as when the relay opens them; the report may be served before the message or after it */
	(void)spool_scan(&s, look_at, NULL, &v, &e);
	serve(&s, original);
	v.reports = 0;
	v.original = false;
	(void)spool_scan(&s, look_at, NULL, &v, &e);
	if (v.original)
		violation("the message is still there", "");
	if (v.reports != 1)
		violation(v.reports ? "more than one report" : "LOST: no report", disk_describe());
	spool_close(&s);
}

static void check_cut(void *ctx)
{
	(void)ctx;
	check(cut);
}

static void cut_power(void)
{
	const char *ids[2] = { original, report_id };

	disk_cut(cut, ids, 2, (uintptr_t)now_on, check_cut, NULL, &shapes);
}

/* ---- one run --------------------------------------------------------------------------------- */

static void accept(struct spool *s)
{
	static char block[LARGE];
	struct envelope env;
	struct spool_txn *t;
	struct err e;

	memset(block, 'x', sizeof(block));
	envelope_init(&env);
	env.arrived_wall_us = WALL_US;
	envelope_set(&env.sender, "from@example.org", 16);
	envelope_add_rcpt(&env, "a@example.org", 13);
	envelope_add_rcpt(&env, "b@example.org", 13);
	t = spool_txn_begin(s, &env);
	(void)spool_txn_write(t, "Subject: x\r\n\r\n", 14, &e);
	(void)spool_txn_write(t, block, sizeof(block), &e);
	ASSERT(spool_txn_commit(t, &e) == SPOOL_OK);
	strcpy(original, env.id);
	envelope_release(&env);
}

/* With the plan at the at-th call; false when all was over before that. */
static bool run(const struct fault_plan *plan, unsigned at)
{
	char path[300];
	struct spool s;
	struct err e;
	bool met;

	runs++;
	snprintf(path, sizeof(path), "%s/spool", live);
	disk_empty_directory(live);
	disk_reset(now_on->disk);
	fault_model(live);
	fault_mutate(0);
	fault_set_filesystem(now_on->filesystem);
	ASSERT(spool_prepare(path, (uid_t)-1, (gid_t)-1, (gid_t)-1, &e) == 0);
	ASSERT(spool_open(&s, path, SPOOL_MANAGE, now_on->sync, &e) == 0);
	accept(&s);
	disk_settle();
	report_id[0] = '\0';
	fault_mutate(mutant == NO_FSYNC ? FAULT_FILE_SYNC_DOES_NOTHING : 0);
	fault_arm(plan, at);
	serve(&s, original);
	met = fault_was_met();
	fault_disarm();
	fault_mutate(0);
	cut_power();
	spool_close(&s);
	check(live);
	cut_power();
	ck_assert_int_eq(fault_open_descriptors(), 0);
	return met;
}

static void run_all(void)
{
	for (size_t k = 0; k < PLANS; k++) {
		unsigned at = 1;

		snprintf(context, sizeof(context), "%s, plan %zu", now_on->name, k);
		while (run(&plans[k], at))
			ck_assert_uint_lt(++at, AT_MAX);
		ck_assert_uint_gt(at, 8);
	}
}

static void setup(void)
{
	const char *top = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";

	snprintf(dir, sizeof(dir), "%s/posthouse-bounce-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : top);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(live, sizeof(live), "%s/live", dir);
	snprintf(cut, sizeof(cut), "%s/cut", dir);
	ck_assert_int_eq(mkdir(live, 0700), 0);
	ck_assert_int_eq(mkdir(cut, 0700), 0);
	clock_freeze(WALL_US, 1000);
}

static void teardown(void)
{
	disk_empty_directory(dir);
	rmdir(dir);
}

START_TEST(exactly_one_report_whatever_crashes)
{
	now_on = &on[_i];
	run_all();
	ck_assert_msg(violations == 0, "%u violations, the first: %s", violations, first);
	printf("# %s: %zu runs, %zu shapes of the disk, %zu restarts\n", now_on->name, runs, shapes,
	       restarts);
	ck_assert_uint_gt(restarts, runs * 2);
}
END_TEST

START_TEST(what_is_broken_is_seen)
{
	mutant = (enum mutant)(SOUND + 1 + _i);
	now_on = &on[0];
	run_all();
	ck_assert_msg(violations > 0, "mutant %d: nobody saw it", (int)mutant);
	printf("# mutant %d: %u violations, the first: %.160s\n", (int)mutant, violations, first);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bounce-crash");
	TCase *c = tcase_create("all");

	setvbuf(stdout, NULL, _IOLBF, 0);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, exactly_one_report_whatever_crashes, 0, (int)SETTINGS);
	tcase_add_loop_test(c, what_is_broken_is_seen, 0, 3);
	suite_add_tcase(s, c);
	return unit_run(s);
}
