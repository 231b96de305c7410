/* SPDX-License-Identifier: ISC */
/* The checks of this machine (doctor/local*.c), each in worlds where something is wrong. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config/options.h"
#include "doctor/proc.h"
#include "doctor_world.h"
#include "unit.h"

static char folder[64];
static struct fake_world w;
static struct config cfg;
static struct doctor_local d;
static struct findings f;

static void enter(void)
{
	strcpy(folder, "/tmp/posthouse-doctor-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	fake_world_init(&w);
	w.world.euid = geteuid();
	config_init(&cfg);
	free(cfg.user);
	free(cfg.smtp_user);
	cfg.user = mem_strdup("nobody");
	cfg.smtp_user = mem_strdup("daemon");
	d = (struct doctor_local){ .world = &w.world, .timeout_ms = 1000, .cfg = &cfg, .spool = cfg.spool };
	findings_init(&f);
}

static void leave(void)
{
	char *command = mem_printf("rm -rf %s", folder);

	ck_assert_int_eq(system(command), 0);
	free(command);
	findings_release(&f);
	config_release(&cfg);
}

static void run(const char *check)
{
	findings_release(&f);
	for (size_t i = 0; i < doctor_local_check_count; i++) {
		if (strcmp(doctor_local_checks[i].name, check) != 0)
			continue;
		f.check = check;
		doctor_local_checks[i].run(&d, &f);
		return;
	}
	ck_abort_msg("no check %s", check);
}

static char *put(const char *name, const char *text, mode_t mode)
{
	char *path = mem_printf("%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	ck_assert_int_eq(chmod(path, mode), 0);
	return path;
}

/* ---- the driver ---------------------------------------------------------------------- */

static void run_bad(void *subject, struct findings *out)
{
	(void)subject;
	finding_add(out, FINDING_FAILED, "bad");
}

static void run_good(void *subject, struct findings *out)
{
	++*(int *)subject;
	finding_add(out, FINDING_OK, "good");
}

static bool never(const void *subject)
{
	(void)subject;
	return false;
}

START_TEST(test_driver)
{
	static const struct doctor_check table[] = {
		{ "a", NULL, NULL, run_good }, { "b", "a", NULL, run_bad },   { "c", "b", NULL, run_good },
		{ "d", "c", NULL, run_good },  { "e", "a", NULL, run_good }, { "f", NULL, never, run_bad },
	};
	size_t count[FINDING_LEVEL_COUNT];
	int ran = 0;

	doctor_run(table, 6, &ran, &f, NULL, NULL);
	ck_assert_int_eq(ran, 2);
	expect(&f, "c", FINDING_SKIPPED, "not reached: b failed");
	expect(&f, "d", FINDING_SKIPPED, "not reached: b failed"); /* what it comes from, not what lies between */
	expect(&f, "e", FINDING_OK, "good");
	findings_count(&f, count);
	ck_assert_uint_eq(count[FINDING_OK], 2);
	ck_assert_uint_eq(count[FINDING_FAILED], 1);
	ck_assert_uint_eq(count[FINDING_SKIPPED], 2);
	/* a stranger cannot make it grow */
	for (int i = 0; i < 2 * FINDINGS_MAX; i++)
		finding_add(&f, FINDING_OK, "%*s", 2 * FINDING_TEXT_MAX, "x");
	ck_assert_uint_eq(f.count, FINDINGS_MAX);
	ck_assert_uint_lt(strlen(f.item[10].what), FINDING_TEXT_MAX);
}
END_TEST

/* Each need stands above, or the driver would never find it. */
static void check_needs(const struct doctor_check *table, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t k = 0;

		while (table[i].needs && k < i && strcmp(table[k].name, table[i].needs) != 0)
			k++;
		ck_assert_msg(!table[i].needs || k < i, "%s needs %s", table[i].name, table[i].needs);
	}
}

START_TEST(test_tables)
{
	check_needs(doctor_local_checks, doctor_local_check_count);
	check_needs(doctor_remote_checks, doctor_remote_check_count);
}
END_TEST

/* ---- configuration, users, files -------------------------------------------------------- */

START_TEST(test_configuration)
{
	char *const errors[] = { (char *)(uintptr_t)"a:1: one", (char *)(uintptr_t)"a:2: two" };
	char *file = put("a.conf", "x", 0600);

	run("configuration");
	expect_advice(&f, "configuration", FINDING_WARNING, "no configuration file", "--config");
	d.config_file = file;
	run("configuration");
	expect(&f, "configuration", FINDING_OK, "0 listeners");
	ck_assert_uint_eq(f.count, 1);
	chmod(file, 0664);
	run("configuration");
	expect_advice(&f, "configuration", FINDING_WARNING, "mode 0664", "chmod go-w");
	d.config_error = errors;
	d.config_error_count = 2;
	run("configuration");
	expect(&f, "configuration", FINDING_FAILED, "a:1: one");
	expect_advice(&f, "configuration", FINDING_FAILED, "a:2: two", "will not start");
	free(file);
}
END_TEST

START_TEST(test_users)
{
	run("users");
	expect(&f, "users", FINDING_OK, "user \"nobody\" exists");
	free(cfg.user);
	cfg.user = mem_strdup("posthouse-nobody-has-this");
	free(cfg.smtp_user);
	cfg.smtp_user = mem_strdup("root");
	cfg.view_group = mem_strdup("posthouse-nobody-has-this");
	w.world.euid = 0;
	run("users");
	expect_advice(&f, "users", FINDING_FAILED, "user: there is no user", "useradd");
	expect(&f, "users", FINDING_FAILED, "smtp_user: \"root\" is root");
	expect_advice(&f, "users", FINDING_FAILED, "view_group: there is no group", "groupadd");
	w.world.euid = 1000;
	run("users");
	expect(&f, "users", FINDING_WARNING, "user: there is no user");
}
END_TEST

START_TEST(test_secrets)
{
	static const struct {
		const char *text;
		mode_t mode;
		enum finding_level level;
		const char *what, *advice;
	} cases[] = {
		{ "hush\n", 0600, FINDING_OK, "can be read", NULL },
		{ "hush", 0640, FINDING_OK, "can be read", NULL },
		{ "hush\n", 0644, FINDING_FAILED, "read by everyone", "not start" },
		{ "hush\n", 0660, FINDING_FAILED, "written by others", NULL },
		{ "", 0600, FINDING_FAILED, "is empty", NULL },
		{ "\n", 0600, FINDING_FAILED, "is empty", NULL },
		{ "one\ntwo\n", 0600, FINDING_FAILED, "more than one line", NULL },
		{ "hush \n", 0600, FINDING_WARNING, "begins or ends with a blank", "mistake" },
	};
	struct config_upstream *u = config_add_upstream(&cfg, "main");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		free(u->password_file);
		u->password_file = put("secret", cases[i].text, cases[i].mode);
		run("secrets");
		expect_advice(&f, "secrets", cases[i].level, cases[i].what, cases[i].advice);
		expect(&f, "secrets", cases[i].level, "upstream \"main\"");
		for (size_t k = 0; k < f.count; k++)
			ck_assert_ptr_null(strstr(f.item[k].what, "hush"));
	}
	ck_assert_int_eq(unlink(u->password_file), 0);
	run("secrets");
	expect_advice(&f, "secrets", FINDING_FAILED, "No such file", "install -m 600");
	free(u->password_file);
	u->password_file = mem_strdup("credential:smtp");
	run("secrets");
	expect(&f, "secrets", FINDING_SKIPPED, "credential:smtp");
}
END_TEST

START_TEST(test_files)
{
	struct config_upstream *u = config_add_upstream(&cfg, "main");

	u->tls_ca_file = put("ca", "x", 0644);
	run("files");
	expect(&f, "files", FINDING_OK, "tls_ca_file");
	chmod(u->tls_ca_file, 0666);
	run("files");
	expect_advice(&f, "files", FINDING_FAILED, "written by everyone", "chmod o-w");
	free(put("ca", "", 0644));
	run("files");
	expect(&f, "files", FINDING_WARNING, "empty");
	unlink(u->tls_ca_file);
	run("files");
	expect_advice(&f, "files", FINDING_FAILED, "No such file", "no upstream certificate");
	free(u->tls_ca_file);
	u->tls_ca_file = mem_strdup(folder);
	run("files");
	expect(&f, "files", FINDING_FAILED, "not a regular file");
}
END_TEST

/* ---- the spool ------------------------------------------------------------------------- */

static void make_spool(void)
{
	static const char *const names[] = { "", "/incoming", "/queue", "/state", "/corrupt" };

	d.spool = folder;
	for (size_t i = 1; i < 5; i++) {
		char *path = mem_printf("%s%s", folder, names[i]);

		ck_assert(mkdir(path, 0700) == 0);
		free(path);
	}
}

START_TEST(test_spool)
{
	char *path = mem_printf("%s/queue", folder), *left;

	d.spool = "/nonexistent/spool";
	run("spool");
	expect(&f, "spool", FINDING_SKIPPED, "does not exist yet");
	make_spool();
	run("spool");
	expect(&f, "spool", FINDING_OK, "as they should be");
	ck_assert_uint_eq(f.count, 1);
	chmod(path, 0777);
	run("spool");
	expect_advice(&f, "spool", FINDING_FAILED, "written by everyone (mode 0777)", "chmod o-w");
	ck_assert_int_eq(rmdir(path), 0);
	run("spool");
	expect(&f, "spool", FINDING_FAILED, "No such file");
	ck_assert_int_eq(symlink("/tmp", path), 0);
	run("spool");
	expect(&f, "spool", FINDING_FAILED, "not a directory");
	unlink(path);
	mkdir(path, 0700);
	free(put("corrupt/0123456789ABCDEF", "x", 0600));
	free(put("corrupt/0123456789ABCDEF.reason", "x", 0600));
	run("spool");
	expect_advice(&f, "spool", FINDING_WARNING, "1 message is put aside", "--state corrupt");
	free(cfg.handler);
	cfg.handler = mem_strdup("debug");
	run("spool");
	expect(&f, "spool", FINDING_SKIPPED, "has no spool");
	left = put("queue/0123456789ABCDEF", "x", 0600);
	run("spool");
	expect_advice(&f, "spool", FINDING_WARNING, "1 message waits in ", "handler = \"spool\"");
	unlink(left);
	free(left);
	free(path);
	if (geteuid() == 0) { /* a stranger's */
		free(cfg.handler);
		cfg.handler = mem_strdup("spool");
		ck_assert_int_eq(chown(folder, 4711, 4711), 0);
		run("spool");
		expect_advice(&f, "spool", FINDING_FAILED, "belongs to user id 4711", "chown");
	}
}
END_TEST

START_TEST(test_mailman)
{
	char *map = put("postfix_lmtp", "a@lists.example.org lmtp:x\n", 0644);

	run("mailman");
	ck_assert_uint_eq(f.count, 0); /* another handler */
	free(cfg.handler);
	cfg.handler = mem_strdup("mailman");
	run("mailman");
	expect_advice(&f, "mailman", FINDING_FAILED, "lists?count=100&page=1: refused", "does Mailman run");
	w.http_status = 401;
	w.http_body = "{}";
	run("mailman");
	expect(&f, "mailman", FINDING_FAILED, "mailman_password_file");
	w.http_status = 200;
	w.http_body = "<html>";
	run("mailman");
	expect(&f, "mailman", FINDING_FAILED, "no listing");
	w.http_body = "{\"total_size\": 12}";
	run("mailman");
	expect(&f, "mailman", FINDING_OK, "12 lists");
	expect_advice(&f, "mailman", FINDING_WARNING, "default password", "admin_pass");
	cfg.mailman_password_file = put("secret", "x\n", 0600);
	run("mailman");
	ck_assert_uint_eq(f.count, 1);
	free(cfg.mailman_password_file);
	cfg.mailman_password_file = mem_printf("%s/none", folder);
	run("mailman");
	expect(&f, "mailman", FINDING_SKIPPED, "without its password");
	cfg.mailman_maps = mem_array(2, sizeof(*cfg.mailman_maps));
	cfg.mailman_maps[cfg.mailman_maps_count++] = map;
	cfg.mailman_maps[cfg.mailman_maps_count++] = put("bad", "what?\n", 0644);
	ck_assert_int_eq(chmod(folder, 0755), 0);
	run("mailman");
	expect(&f, "mailman", FINDING_OK, "has 1 addresses");
	expect(&f, "mailman", FINDING_FAILED, "line 1 is neither");
	unlink(map);
	run("mailman");
	expect_advice(&f, "mailman", FINDING_FAILED, "No such file", "the relay reads it");
}
END_TEST

START_TEST(test_filesystem)
{
	make_spool();
	run("filesystem");
	expect(&f, "filesystem", FINDING_OK, "is on ext4");
	w.has_journal = false;
	run("filesystem");
	expect(&f, "filesystem", FINDING_OK, "two syncs");
	w.filesystem = "tmpfs";
	w.is_volatile = true;
	run("filesystem");
	expect_advice(&f, "filesystem", FINDING_WARNING, "is on tmpfs: queued mail is lost", "disk");
	w.filesystem = "nfs";
	w.is_volatile = false;
	run("filesystem");
	expect(&f, "filesystem", FINDING_WARNING, "nfs");
	w.filesystem = NULL;
	run("filesystem");
	expect_advice(&f, "filesystem", FINDING_WARNING, "Permission denied", "as root");
}
END_TEST

START_TEST(test_space)
{
	run("space");
	expect(&f, "space", FINDING_OK, "4.0G free; 64M are kept");
	ck_assert_uint_eq(f.count, 1);
	w.statvfs.f_bavail = (64 << 20) / 4096 - 1;
	run("space");
	expect_advice(&f, "space", FINDING_FAILED, "less than min_free (64M)", "make room");
	w.statvfs.f_bavail = (100 << 20) / 4096;
	run("space");
	expect(&f, "space", FINDING_WARNING, "100M free");
	w.statvfs.f_bavail = 1 << 20;
	w.statvfs.f_favail = 5000;
	run("space");
	expect(&f, "space", FINDING_WARNING, "only 5000 files");
	w.statvfs.f_favail = 3;
	run("space");
	expect(&f, "space", FINDING_FAILED, "3 files");
	w.statvfs.f_files = w.statvfs.f_favail = 0; /* btrfs */
	run("space");
	ck_assert_uint_eq(f.count, 1);
	w.statvfs.f_flag = ST_RDONLY;
	run("space");
	expect_advice(&f, "space", FINDING_FAILED, "read-only", "dmesg");
}
END_TEST

START_TEST(test_daemon)
{
	run("daemon");
	expect_advice(&f, "daemon", FINDING_WARNING, "does not run", "start");
	w.daemon = DOCTOR_DAEMON_DENIED;
	run("daemon");
	expect(&f, "daemon", FINDING_SKIPPED, "the daemon's words");
	w.daemon = DOCTOR_DAEMON_FAILED;
	run("daemon");
	expect(&f, "daemon", FINDING_FAILED, "the daemon's words");
	w.daemon = DOCTOR_DAEMON_RUNS;
	w.master = 42;
	run("daemon");
	expect(&f, "daemon", FINDING_OK, "pid 42");
	ck_assert_int_eq(d.master, 42);
}
END_TEST

/* ---- listeners ------------------------------------------------------------------------- */

static void listen_on(const char *text)
{
	struct config_listener *l = cfg.listener_count ? &cfg.listener[0] : config_add_listener(&cfg, "a");
	struct err e;

	free(l->localaddr);
	l->localaddr = mem_array(1, sizeof(*l->localaddr));
	l->localaddr_count = 1;
	ck_assert_msg(endpoint_parse(text, 25, l->localaddr, &e) == 0, "%s", text);
}

START_TEST(test_listeners)
{
	listen_on("127.0.0.1:2525");
	run("listeners");
	expect(&f, "listeners", FINDING_OK, "listener \"a\", 127.0.0.1:2525: free");
	w.listening[0] = "127.0.0.2:2525"; /* another address */
	w.listening[1] = "127.0.0.1:25";
	run("listeners");
	expect(&f, "listeners", FINDING_OK, "free");
	w.listening[0] = "0.0.0.0:2525";
	run("listeners");
	expect_advice(&f, "listeners", FINDING_FAILED, "another program listens", "ss -ltnp");
	w.owner = 77;
	run("listeners");
	expect_advice(&f, "listeners", FINDING_FAILED, "taken by process 77 (other)", "localaddr");
	d.daemon = DOCTOR_DAEMON_RUNS;
	d.master = 42;
	run("listeners");
	expect(&f, "listeners", FINDING_FAILED, "process 77 (other) listens there, and not posthoused");
	w.owner = 42;
	run("listeners");
	expect(&f, "listeners", FINDING_OK, "answers \"220 relay.test ESMTP\"");
	w.line = "";
	run("listeners");
	expect_advice(&f, "listeners", FINDING_FAILED, "does not greet", "max_workers");
	cfg.listener[0].tls = SESSION_TLS_IMPLICIT;
	run("listeners");
	expect(&f, "listeners", FINDING_OK, "is not to greet first");
	cfg.listener[0].tls = SESSION_TLS_NONE;
	w.line = "421 4.3.2 busy";
	run("listeners");
	expect(&f, "listeners", FINDING_WARNING, "421 4.3.2 busy");
	for (int i = 0; i < 4; i++)
		w.connect_error[i] = ETIMEDOUT;
	run("listeners");
	expect_advice(&f, "listeners", FINDING_FAILED, "cannot connect", "firewall");
	memset(w.listening, 0, sizeof(w.listening));
	run("listeners");
	expect_advice(&f, "listeners", FINDING_FAILED, "nobody listens, though posthoused runs", "restart");
	w.listening_result = -1;
	run("listeners");
	expect(&f, "listeners", FINDING_SKIPPED, "/proc/net/tcp");
	w.is_elsewhere = true;
	run("listeners");
	expect_advice(&f, "listeners", FINDING_FAILED, "no interface", "ip address");
	listen_on("nix.example:25");
	w.resolve_error = "Name or service not known";
	run("listeners");
	expect(&f, "listeners", FINDING_FAILED, "Name or service not known");
	listen_on("127.0.0.1:0");
	run("listeners");
	expect(&f, "listeners", FINDING_OK, "any free port");
}
END_TEST

START_TEST(test_unix_listener)
{
	char *text = mem_printf("unix:%s/submit", folder);

	listen_on(text);
	run("listeners");
	expect(&f, "listeners", FINDING_OK, "can be made");
	d.daemon = DOCTOR_DAEMON_RUNS;
	run("listeners");
	expect(&f, "listeners", FINDING_OK, "answers");
	chmod(folder, 0777);
	run("listeners");
	expect_advice(&f, "listeners", FINDING_WARNING, "others may put files", "chmod go-w");
	listen_on("unix:/nonexistent/submit");
	run("listeners");
	expect(&f, "listeners", FINDING_FAILED, "No such file");
	free(text);
}
END_TEST

START_TEST(test_proc)
{
	static const char line4[] = "   0: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000 100 0 0 10 0";
	static const char line6[] = "   1: 00000000000000000000000001000000:01D1 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4712 1";
	char text[DOCTOR_ADDRESS_TEXT_MAX];
	struct doctor_listening l;

	ck_assert(proc_parse_tcp(line4, &l));
	ck_assert_str_eq(doctor_address_format(&l.at, text), "127.0.0.1:25");
	ck_assert_uint_eq(l.inode, 4711);
	ck_assert(proc_parse_tcp(line6, &l));
	ck_assert_str_eq(doctor_address_format(&l.at, text), "[::1]:465");
	/* the heading, a connection, rubbish */
	ck_assert(!proc_parse_tcp("  sl  local_address rem_address   st tx_queue", &l));
	ck_assert(!proc_parse_tcp("   0: 0100007F:0019 0100007F:8000 01 00000000:00000000 00:00000000 00000000 0 0 4711 1", &l));
	ck_assert(!proc_parse_tcp("", &l));
	ck_assert(!proc_parse_tcp("   0: 0100:0019 00000000:0000 0A 0:0 0:0 0 0 0 1", &l));
}
END_TEST

/* ---- the machine ------------------------------------------------------------------------ */

static void set_hostname(const char *name)
{
	free(cfg.hostname);
	cfg.hostname = mem_strdup(name);
}

START_TEST(test_programs)
{
	char *word[1] = { put("filter", "#!/bin/sh\n", 0644) };

	run("users");
	expect(&f, "users", FINDING_OK, "user \"nobody\" exists");
	run("programs");
	ck_assert_uint_eq(f.count, 0);
	cfg.filter_command = word;
	cfg.filter_command_count = 1;
	w.world.euid = 0;
	/* whoever has programs needs the user that runs them */
	free(cfg.program_user);
	cfg.program_user = mem_strdup("posthouse-nobody-has-this");
	run("users");
	expect_advice(&f, "users", FINDING_FAILED, "program_user: there is no user", "useradd");
	w.world.euid = geteuid();
	run("programs");
	expect_advice(&f, "programs", FINDING_FAILED, "filter_command: ", "chmod a+x");
	chmod(word[0], 0755);
	run("programs");
	expect(&f, "programs", FINDING_OK, "can be executed");
	if (geteuid() == 0) {
		/* the folder keeps others out */
		free(cfg.program_user);
		cfg.program_user = mem_strdup("nobody");
		run("programs");
		expect_advice(&f, "programs", FINDING_FAILED, "by user nobody: Permission denied", "namei");
	}
	free(word[0]);
	cfg.filter_command = NULL;
	cfg.filter_command_count = 0;
}
END_TEST

START_TEST(test_hostname)
{
	set_hostname("relay.example.org");
	run("hostname");
	expect(&f, "hostname", FINDING_OK, "relay.example.org is 192.0.2.1");
	w.resolve_error = "no answer";
	run("hostname");
	expect(&f, "hostname", FINDING_WARNING, "does not resolve here");
	set_hostname("vm");
	run("hostname");
	expect_advice(&f, "hostname", FINDING_WARNING, "no domain", "vm.example.org");
	set_hostname("[192.0.2.1]");
	run("hostname");
	expect(&f, "hostname", FINDING_OK, "an address");
}
END_TEST

START_TEST(test_clock)
{
	run("clock");
	expect(&f, "clock", FINDING_OK, "Z, synchronised");
	w.synchronised = 0;
	run("clock");
	expect_advice(&f, "clock", FINDING_WARNING, "nobody synchronises it", "NTP");
	w.synchronised = -1;
	run("clock");
	expect(&f, "clock", FINDING_OK, "cannot be seen");
	w.now_wall_us = 12 * INT64_C(1000000);
	run("clock");
	expect_advice(&f, "clock", FINDING_FAILED, "1970-01-01", "NTP");
	/* this folder was made later than then */
	w.now_wall_us = INT64_C(1740000000000000);
	d.spool = folder;
	run("clock");
	expect(&f, "clock", FINDING_WARNING, "was written in the future");
}
END_TEST

START_TEST(test_limits)
{
	struct config_upstream *u = config_add_upstream(&cfg, "main");

	run("limits");
	expect(&f, "limits", FINDING_OK, "114");
	u->max_connections = 1000;
	w.open_files = 1024;
	run("limits");
	expect_advice(&f, "limits", FINDING_FAILED, "1024 open files", "LimitNOFILE");
	w.open_files = 0;
	run("limits");
	expect(&f, "limits", FINDING_SKIPPED, "cannot be seen");
}
END_TEST

START_TEST(test_sandbox)
{
	cfg.landlock = true;
	run("sandbox");
	expect(&f, "sandbox", FINDING_OK, "ABI 6");
	w.sandbox.landlock_abi = 3; /* what a kernel is too old for is no reason to worry */
	run("sandbox");
	expect(&f, "sandbox", FINDING_OK, "Linux 6.7");
	w.sandbox.seccomp = SECCOMP_NONE;
	run("sandbox");
	expect_advice(&f, "sandbox", FINDING_WARNING, "no seccomp", "container");
	cfg.seccomp = SANDBOX_LOG;
	run("sandbox");
	expect_advice(&f, "sandbox", FINDING_WARNING, "seccomp = log", "enforce");
	cfg.seccomp = SANDBOX_OFF;
	cfg.landlock = false;
	run("sandbox");
	expect_advice(&f, "sandbox", FINDING_WARNING, "seccomp = off, landlock = no", "take it out");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("doctor_local");
	TCase *c = tcase_create("checks");
	const TTest *const tests[] = { test_driver, test_tables,     test_configuration, test_users,   test_secrets,
				       test_files,  test_spool,	     test_mailman, test_filesystem,	 test_space,   test_daemon,
				       test_listeners, test_unix_listener, test_proc,	 test_hostname, test_clock,
				       test_limits, test_sandbox, test_programs };

	tcase_add_checked_fixture(c, enter, leave);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
