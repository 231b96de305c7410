/* SPDX-License-Identifier: ISC */
/*
 * Who may do what in a spool that workers and relay share as different users:
 * run as root, each part in a child that has become one of them. The owners and
 * modes are those of spool/spool.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spool/message.h"
#include "spool/recover.h"
#include "spool/state.h"
#include "spool/txn.h"
#include "unit.h"

/* They need no names. */
enum { RELAY = 64301, WORKER = 64302, STRANGER = 64303 };

static char top[64], dir[80];
static char id[ENVELOPE_ID_MAX]; /* of a message that a worker has committed */

/* ---- becoming somebody -------------------------------------------------------------- */

/* Runs part in a child that has the user and groups; what it asserts fails the test. */
static void as(uid_t uid, gid_t group, void (*part)(void))
{
	const gid_t relay_groups[] = { RELAY, WORKER };
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (setgroups(uid == RELAY ? 2 : 0, relay_groups) < 0 || setresgid(group, group, group) < 0 ||
		    setresuid(uid, uid, uid) < 0)
			_exit(99);
		umask(077); /* the strictest there is must do */
		part();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %04x", (unsigned)status);
}

/* In a child: libcheck's assertions are for the process that it forked. */
#define MUST(cond)                                                                                           \
	do {                                                                                                 \
		if (!(cond)) {                                                                               \
			printf("# line %d: %s: %s\n", __LINE__, #cond, strerror(errno));                     \
			fflush(stdout);                                                                      \
			_exit(1);                                                                            \
		}                                                                                            \
	} while (0)

#define MUST_NOT(call, os_error) MUST((call) < 0 && errno == (os_error))

static void setup(void)
{
	struct err e;

	strcpy(top, "/tmp/posthouse-rights-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	ck_assert_int_eq(chmod(top, 0711), 0);
	snprintf(dir, sizeof(dir), "%s/spool", top);
	ck_assert_msg(spool_prepare(dir, RELAY, RELAY, WORKER, &e) == 0, "%s", e.text);
}

static void teardown(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	ck_assert_int_eq(system(command), 0);
}

/* Good until it was called twice more. */
static const char *path_of(const char *folder, const char *name)
{
	static char paths[2][200];
	static unsigned turn;
	char *path = paths[turn++ % 2];

	snprintf(path, sizeof(paths[0]), "%s/%s/%s", dir, folder, name);
	return path;
}

/* ---- what they do ------------------------------------------------------------------- */

static void commit_with(enum spool_sync sync, size_t len)
{
	static char content[100000];
	struct envelope env;
	struct spool_txn *t;
	struct spool s;
	struct err e;

	MUST(spool_open(&s, dir, SPOOL_CREATE, sync, &e) == 0);
	envelope_init(&env);
	env.arrived_wall_us = 1795000000123456;
	envelope_set(&env.sender, "a", 1);
	envelope_add_rcpt(&env, "b", 1);
	t = spool_txn_begin(&s, &env);
	MUST(spool_txn_write(t, content, len, &e) == SPOOL_OK);
	MUST(spool_txn_commit(t, &e) == SPOOL_OK);
	strcpy(id, env.id);
	envelope_release(&env);
	spool_close(&s);
}

/* What the relay makes of its own accord: a report, and its state. */
static void make_report(void)
{
	struct spool_id chosen;
	struct spool_state st;
	struct envelope env;
	struct spool_txn *t;
	struct spool s;
	struct err e;

	MUST(spool_open(&s, dir, SPOOL_MANAGE, SPOOL_SYNC_STRICT, &e) == 0);
	envelope_init(&env);
	env.arrived_wall_us = 1795000000123456;
	envelope_set(&env.sender, "", 0);
	envelope_add_rcpt(&env, "b", 1);
	spool_id_new(&chosen);
	/* twice: the second one takes the place of the first */
	for (int i = 0; i < 2; i++) {
		t = spool_txn_begin_as(&s, &env, &chosen);
		MUST(spool_txn_write(t, "x\r\n", 3, &e) == SPOOL_OK);
		MUST(spool_txn_commit(t, &e) == SPOOL_OK);
	}
	spool_state_init(&st, 1);
	rcpt_state_set(&st.rcpt[0], RCPT_PENDING, 1795000000123456, "main", NULL, "451 later");
	MUST(spool_state_save(&st, &s, chosen.text, &e) == 0);
	spool_state_release(&st);
	envelope_release(&env);
	spool_close(&s);
}

static void read_nothing(void)
{
	MUST_NOT(open(path_of("queue", id), O_RDONLY), EACCES);
	MUST_NOT(open(path_of("queue", id), O_WRONLY), EACCES);
	MUST_NOT(unlink(path_of("queue", id)), EPERM);
}

static void commit_all_sorts(void)
{
	commit_with(SPOOL_SYNC_AUTO, 100);
	commit_with(SPOOL_SYNC_STRICT, 100);
	commit_with(SPOOL_SYNC_STRICT, 100000);
}

static void abort_one(void)
{
	static char content[100000];
	struct envelope env;
	struct spool_txn *t;
	struct spool s;
	struct err e;

	MUST(spool_open(&s, dir, SPOOL_CREATE, SPOOL_SYNC_AUTO, &e) == 0);
	envelope_init(&env);
	env.arrived_wall_us = 1795000000123456;
	envelope_set(&env.sender, "a", 1);
	envelope_add_rcpt(&env, "b", 1);
	t = spool_txn_begin(&s, &env);
	MUST(spool_txn_write(t, content, sizeof(content), &e) == SPOOL_OK);
	MUST(access(path_of("incoming", env.id), F_OK) == 0);
	spool_txn_abort(t);
	MUST(access(path_of("incoming", env.id), F_OK) < 0);
	envelope_release(&env);
	spool_close(&s);
}

static void see_nothing(void)
{
	static const char *const folders[] = { "incoming", "queue", "state", "corrupt" };
	char lock[100];

	for (size_t i = 0; i < 4; i++)
		MUST_NOT(open(path_of(folders[i], "."), O_RDONLY | O_DIRECTORY), EACCES);
	MUST_NOT(open(dir, O_RDONLY | O_DIRECTORY), EACCES);
	MUST_NOT(open(path_of("state", "x"), O_WRONLY | O_CREAT, 0600), EACCES);
	MUST_NOT(open(path_of("corrupt", "x"), O_WRONLY | O_CREAT, 0600), EACCES);
	snprintf(lock, sizeof(lock), "%s/lock", dir);
	MUST_NOT(open(lock, O_RDONLY), EACCES);
	MUST_NOT(unlink(lock), EACCES);
}

static void read_nothing_and_spoil_nothing(void)
{
	see_nothing();
	MUST_NOT(open(path_of("queue", id), O_RDONLY), EACCES);
	MUST_NOT(open(path_of("queue", id), O_WRONLY), EACCES);
	/* not its own */
	MUST_NOT(open(path_of("queue", "of-root"), O_RDONLY), EACCES);
	MUST_NOT(unlink(path_of("queue", "of-root")), EPERM);
	MUST_NOT(rename(path_of("queue", "of-root"), path_of("queue", "mine")), EPERM);
}

static void not_even_get_in(void)
{
	see_nothing();
	MUST_NOT(open(path_of("queue", id), O_RDONLY), EACCES);
	MUST_NOT(open(path_of("incoming", "x"), O_WRONLY | O_CREAT, 0600), EACCES);
	MUST_NOT(open(path_of("queue", "x"), O_WRONLY | O_CREAT, 0600), EACCES);
}

static void count(void *ctx, const char *name)
{
	(void)name;
	++*(unsigned *)ctx;
}

/* Everything that a relay does, with each message in the queue. */
static unsigned manage(void)
{
	struct spool_recovery found;
	struct spool_message m;
	struct spool_state st;
	struct spool s;
	unsigned n = 0;
	struct err e;

	MUST(spool_open(&s, dir, SPOOL_MANAGE, SPOOL_SYNC_STRICT, &e) == 0);
	MUST(spool_recover(&s, INT64_MAX, &found, &e) == 0);
	MUST(spool_scan(&s, count, NULL, &n, &e) == 0);
	MUST(spool_message_open(&m, &s, id, true, &e) == SPOOL_READ_OK);
	spool_message_close(&m);
	spool_state_init(&st, 1);
	MUST(spool_state_load(&st, &s, id, &e) == SPOOL_READ_OK);
	rcpt_state_set(&st.rcpt[0], RCPT_DELIVERED, 1795000000123456, "main", NULL, "250 OK");
	MUST(spool_state_save(&st, &s, id, &e) == 0);
	MUST(spool_state_save(&st, &s, id, &e) == 0);
	MUST(spool_state_load(&st, &s, id, &e) == SPOOL_READ_OK);
	spool_state_release(&st);
	MUST(access(path_of("state", id), F_OK) == 0);
	MUST(spool_remove(&s, id, &e) == 0);
	MUST(access(path_of("queue", id), F_OK) < 0);
	MUST(access(path_of("state", id), F_OK) < 0);
	spool_close(&s);
	return n;
}

static void manage_three(void)
{
	MUST(manage() == 3);
}

static void manage_one(void)
{
	MUST(manage() == 1);
}

static void quarantine_it(void)
{
	struct spool s;
	struct err e;

	MUST(spool_open(&s, dir, SPOOL_MANAGE, SPOOL_SYNC_STRICT, &e) == 0);
	MUST(spool_quarantine(&s, id, "a test", &e) == 0);
	MUST(access(path_of("corrupt", id), F_OK) == 0);
	spool_close(&s);
}

static void leave_odd_things(void)
{
	MUST(mkdir(path_of("queue", "folder"), 0755) == 0);
	MUST(mkdir(path_of("queue", "0m4x7f3q9zkab1cd"), 0700) == 0);
	MUST(mkdir(path_of("incoming", "folder"), 0755) == 0);
	MUST(symlink("/etc/shadow", path_of("queue", "0m4x7f3q9zkab1ce")) == 0);
	MUST(creat(path_of("queue", "notes"), 0) >= 0);
}

static void live_with_odd_things(void)
{
	struct spool_recovery found;
	struct spool_message m;
	struct spool s;
	unsigned n = 0;
	struct err e;

	MUST(spool_open(&s, dir, SPOOL_MANAGE, SPOOL_SYNC_AUTO, &e) == 0);
	MUST(spool_recover(&s, INT64_MAX, &found, &e) == 0);
	MUST(spool_scan(&s, count, NULL, &n, &e) == 0);
	MUST(n == 2);
	MUST(spool_message_open(&m, &s, "0m4x7f3q9zkab1cd", true, &e) != SPOOL_READ_OK);
	MUST(spool_message_open(&m, &s, "0m4x7f3q9zkab1ce", true, &e) == SPOOL_READ_CORRUPT);
	MUST(spool_quarantine(&s, "0m4x7f3q9zkab1ce", e.text, &e) == 0);
	MUST(access(path_of("corrupt", "notes"), F_OK) == 0);
	spool_close(&s);
}

/* Ids were chosen in a child: finds the one message, or any of several. */
static void find_id(void *ctx, const char *name)
{
	(void)ctx;
	strcpy(id, name);
}

static void look_up_id(void)
{
	struct spool s;
	struct err e;

	ck_assert_int_eq(spool_open(&s, dir, SPOOL_READ, SPOOL_SYNC_AUTO, &e), 0);
	ck_assert_int_eq(spool_scan(&s, find_id, NULL, NULL, &e), 0);
	spool_close(&s);
	ck_assert_uint_eq(strlen(id), SPOOL_ID_LEN);
}

/* ---- tests -------------------------------------------------------------------------- */

START_TEST(a_worker_commits_and_the_relay_does_the_rest)
{
	as(WORKER, WORKER, commit_all_sorts);
	look_up_id();
	as(RELAY, RELAY, manage_three);
	look_up_id();
	as(RELAY, RELAY, quarantine_it);
}
END_TEST

START_TEST(a_worker_aborts)
{
	as(WORKER, WORKER, abort_one);
}
END_TEST

START_TEST(a_worker_lists_and_reads_nothing)
{
	struct err e;
	int lock = spool_lock(dir, &e);

	ck_assert_msg(lock >= 0, "%s", e.text);
	ck_assert_int_ge(creat(path_of("queue", "of-root"), 0640), 0);
	as(WORKER, WORKER, commit_all_sorts);
	ck_assert_int_eq(unlink(path_of("queue", "of-root")), 0);
	look_up_id();
	ck_assert_int_ge(creat(path_of("queue", "of-root"), 0600), 0);
	as(WORKER, WORKER, read_nothing_and_spoil_nothing);
	close(lock);
}
END_TEST

START_TEST(a_stranger_gets_nowhere)
{
	struct err e;
	int lock = spool_lock(dir, &e);

	as(WORKER, WORKER, commit_all_sorts);
	look_up_id();
	as(STRANGER, STRANGER, not_even_get_in);
	close(lock);
}
END_TEST

START_TEST(what_root_commits_is_for_the_relay_too)
{
	umask(077);
	commit_with(SPOOL_SYNC_AUTO, 100);
	as(RELAY, RELAY, manage_one);
}
END_TEST

/* As a command of the operator does it: a state, and what goes to corrupt/. */
static void change_as_root(void)
{
	struct spool_state st;
	struct spool s;
	struct err e;

	MUST(spool_open(&s, dir, SPOOL_READ, SPOOL_SYNC_AUTO, &e) == 0);
	spool_state_init(&st, 1);
	st.held = true;
	/* whatever the relay left there is not written through */
	MUST(symlink("/dev/null", path_of("state", "of-relay")) == 0);
	MUST(rename(path_of("state", "of-relay"), path_of("state", "0m4x7f3q9zkab1cd.new")) == 0);
	MUST(spool_state_save(&st, &s, "0m4x7f3q9zkab1cd", &e) == 0);
	MUST(spool_state_save(&st, &s, id, &e) == 0);
	MUST(spool_write_reason(&s, "x", "a test", &e) == 0);
	spool_state_release(&st);
	spool_close(&s);
}

static void read_it(void)
{
	struct spool_message m;
	struct spool_state st;
	struct spool s;
	struct err e;
	int fd;

	MUST(spool_open(&s, dir, SPOOL_MANAGE, SPOOL_SYNC_AUTO, &e) == 0);
	spool_state_init(&st, 1);
	MUST(spool_message_open(&m, &s, id, true, &e) == SPOOL_READ_OK);
	MUST(spool_state_load(&st, &s, id, &e) == SPOOL_READ_OK && st.held);
	spool_state_release(&st);
	spool_state_init(&st, 1);
	MUST(spool_state_load(&st, &s, "0m4x7f3q9zkab1cd", &e) == SPOOL_READ_OK && st.held);
	MUST((fd = open(path_of("corrupt", "x.reason"), O_RDWR)) >= 0);
	close(fd);
	spool_message_close(&m);
	spool_state_release(&st);
	spool_close(&s);
}

START_TEST(what_root_changes_the_relay_can_read)
{
	as(WORKER, WORKER, commit_all_sorts);
	look_up_id();
	as(0, 0, change_as_root);
	as(RELAY, RELAY, read_it);
}
END_TEST

/* One user for all: there it is not the directory's group that lets it in. */
START_TEST(what_root_commits_is_for_the_one_user_too)
{
	struct err e;

	teardown();
	ck_assert_int_eq(mkdir(top, 0711), 0);
	ck_assert_msg(spool_prepare(dir, RELAY, RELAY, RELAY, &e) == 0, "%s", e.text);
	umask(077);
	commit_with(SPOOL_SYNC_AUTO, 100);
	as(0, 0, change_as_root);
	as(RELAY, RELAY, read_it);
}
END_TEST

START_TEST(what_the_relay_makes_is_its_own)
{
	as(RELAY, RELAY, make_report);
	look_up_id();
	as(WORKER, WORKER, read_nothing);
	as(RELAY, RELAY, manage_one);
}
END_TEST

/* A command of root's, with the lock, while the service does not run. */
START_TEST(what_root_makes_for_the_relay_is_the_relays)
{
	umask(077);
	make_report();
	look_up_id();
	as(WORKER, WORKER, read_nothing);
	as(RELAY, RELAY, manage_one);
}
END_TEST

START_TEST(a_second_start_puts_owners_right)
{
	struct stat st;
	struct err e;

	as(WORKER, WORKER, commit_all_sorts);
	ck_assert_int_eq(chown(path_of("queue", "."), 0, 0), 0);
	ck_assert_int_eq(chmod(path_of("queue", "."), 0700), 0);
	ck_assert_msg(spool_prepare(dir, RELAY, RELAY, WORKER, &e) == 0, "%s", e.text);
	ck_assert_int_eq(stat(path_of("queue", "."), &st), 0);
	ck_assert(st.st_uid == RELAY && st.st_gid == WORKER && (st.st_mode & 07777) == 03730);
	look_up_id();
	as(RELAY, RELAY, manage_three);
}
END_TEST

START_TEST(a_directory_of_somebody_else_is_refused)
{
	struct err e;

	ck_assert_int_eq(chown(path_of("queue", "."), STRANGER, STRANGER), 0);
	ck_assert_int_eq(spool_prepare(dir, RELAY, RELAY, WORKER, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "/queue"));
	ck_assert_int_eq(chown(path_of("queue", "."), RELAY, WORKER), 0);
	ck_assert_int_eq(chmod(path_of("state", "."), 0777), 0);
	ck_assert_int_eq(spool_prepare(dir, RELAY, RELAY, WORKER, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "/state"));
}
END_TEST

START_TEST(odd_things_of_a_hostile_worker_are_not_fatal)
{
	as(WORKER, WORKER, leave_odd_things);
	as(RELAY, RELAY, live_with_odd_things);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rights");
	TCase *c = tcase_create("all");
	const TTest *const tests[] = {
		a_worker_commits_and_the_relay_does_the_rest,
		a_worker_aborts,
		a_worker_lists_and_reads_nothing,
		a_stranger_gets_nowhere,
		what_root_commits_is_for_the_relay_too,
		what_the_relay_makes_is_its_own,
		what_root_makes_for_the_relay_is_the_relays,
		what_root_changes_the_relay_can_read,
		what_root_commits_is_for_the_one_user_too,
		a_second_start_puts_owners_right,
		a_directory_of_somebody_else_is_refused,
		odd_things_of_a_hostile_worker_are_not_fatal,
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root, to become the users of relay and worker\n");
		return 0;
	}
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
