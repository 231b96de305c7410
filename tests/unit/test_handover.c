/* SPDX-License-Identifier: ISC */
/* daemon/handover.c: what one executable leaves to the next, and what is refused of it; daemon/changes.c. */
#include "daemon/handover.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/changes.h"
#include "unit.h"

static int file_of(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

static void make(struct handover *h)
{
	const struct endpoint tcp = { .kind = ENDPOINT_TCP, .host = "::1", .port = 25 };
	const struct endpoint local = { .kind = ENDPOINT_UNIX, .path = "/run/a \"b\"\n/c" };
	const struct sandbox_subject subject = { ROLE_AUTH, SANDBOX_LOG, true };
	struct child c = { .pid = 4711, .role = ROLE_KEYS, .told = true, .old = true, .born_mono_ms = 5, .kill_at_mono_ms = 6 };
	int pair[2];

	handover_init(h);
	h->program = strdup("/usr/sbin/posthouse d");
	h->spool = strdup("/var/spool/\xc3\xa4");
	h->lock_fd = dup(0);
	h->unsaved_fd = dup(0);
	ck_assert_int_eq(pipe(h->notice_fd), 0);
	h->started_wall_us = INT64_C(1800000000000000);
	h->back = true;
	handover_add_socket(h, socket(AF_INET6, SOCK_STREAM, 0), "lan", &tcp);
	handover_add_socket(h, socket(AF_UNIX, SOCK_STREAM, 0), "", &local);
	handover_add_watch(h, dup(0), &subject);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	c.control_fd = pair[0];
	handover_add_child(h, &c);
	c.pid = 4712;
	c.control_fd = pair[1];
	c.role = ROLE_WORKER;
	handover_add_child(h, &c);
}

START_TEST(what_is_left_is_what_is_found)
{
	struct handover h, found;
	struct err e = { 0 };
	int fd;

	make(&h);
	handover_keep(&h, true);
	ck_assert_int_eq(fcntl(h.lock_fd, F_GETFD), 0);
	fd = handover_write(&h, &e);
	ck_assert_int_ge(fd, 0);
	ck_assert_msg(handover_read(&found, fd, &e) == 0, "%s", e.text);
	ck_assert_str_eq(found.program, h.program);
	ck_assert_str_eq(found.spool, h.spool);
	ck_assert_str_eq(found.release, PACKAGE_VERSION);
	ck_assert_ptr_null(found.pid_file);
	ck_assert_int_eq(found.lock_fd, h.lock_fd);
	ck_assert_int_eq(found.unsaved_fd, h.unsaved_fd);
	ck_assert_int_eq(found.notice_fd[1], h.notice_fd[1]);
	ck_assert_int_eq(found.event_fd[0], -1);
	ck_assert_int_eq(found.old_fd, -1);
	ck_assert(found.back);
	ck_assert_int_eq(found.started_wall_us, h.started_wall_us);
	ck_assert_uint_eq(found.socket_count, 2);
	ck_assert_str_eq(found.socket[0].listener, "lan");
	ck_assert_str_eq(found.socket[0].endpoint.host, "::1");
	ck_assert_str_eq(found.socket[1].listener, "");
	ck_assert_str_eq(found.socket[1].endpoint.path, h.socket[1].endpoint.path);
	ck_assert_uint_eq(found.watch_count, 1);
	ck_assert_int_eq(found.watch[0].subject.role, ROLE_AUTH);
	ck_assert_int_eq(found.watch[0].subject.mode, SANDBOX_LOG);
	ck_assert(found.watch[0].subject.lenient);
	ck_assert_uint_eq(found.child_count, 2);
	ck_assert_int_eq(found.child[0].pid, 4711);
	ck_assert_int_eq(found.child[0].role, ROLE_KEYS);
	ck_assert(found.child[0].told && found.child[0].old);
	ck_assert_int_eq(found.child[0].kill_at_mono_ms, 6);
	ck_assert_int_eq(found.child[1].role, ROLE_WORKER);
	/* nobody that is started from here on gets any of it */
	ck_assert_int_eq(fcntl(found.lock_fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(found.child[0].control_fd, F_GETFD), FD_CLOEXEC);
	fd = found.lock_fd;
	handover_close(&found);
	handover_close(&found);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_ge(fcntl(found.child[0].control_fd, F_GETFD), 0);
	handover_release(&found);
	handover_release(&h);
}
END_TEST

START_TEST(what_is_no_handover_is_refused)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "is not what" },
		{ "nonsense\n", "is not what" },
		{ "handover=", "is not what" },
		{ "handover=2 much=new\nthat=is unknown\n", "speaks version 2" },
		{ "handover=1 release=0.5.0", "cannot be read" },
		{ "handover=1 release=0.5.0\n", "cannot be read" }, /* no end: torn */
		{ "handover=1 future=1\nend=1\n", "cannot be read" },
		{ "handover=1 lock_fd=9999\nend=1\n", "cannot be read" }, /* not open */
		{ "handover=1 lock_fd=-1\nend=1\n", "cannot be read" },
		{ "handover=1\nsocket=0 listener=a endpoint=\":25\"\nend=1\n", "cannot be read" },
		{ "handover=1\nsocket=1 listener=a endpoint=nowhere\nend=1\n", "cannot be read" },
		{ "handover=1\nchild=1 role=worker control_fd=1\nend=1\n", "cannot be read" }, /* init is no child */
		{ "handover=1\nchild=4711 role=king control_fd=1\nend=1\n", "cannot be read" },
		{ "handover=1\nchild=4711 role=worker control_fd=0\nend=1\n", "cannot be read" },
		{ "handover=1\nwatch=1 mode=77\nend=1\n", "cannot be read" },
		{ "handover=1\nothers=1\nend=1\n", "cannot be read" },
	};
	struct handover h;
	struct err e;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		e.text[0] = '\0';
		ck_assert_msg(handover_read(&h, file_of(rows[i].text), &e) == -1, "row %zu is taken", i);
		ck_assert_msg(strstr(e.text, rows[i].why), "row %zu: %s", i, e.text);
	}
	ck_assert_int_eq(handover_read(&h, 9999, &e), -1);
	ck_assert_int_eq(handover_read(&h, file_of("handover=1\nend=1\n"), &e), 0);
	handover_release(&h);
}
END_TEST

/* Cut anywhere, it is refused, and nothing is left of it. */
START_TEST(a_torn_one_is_refused)
{
	struct handover h, found;
	struct err e;
	char text[4096];
	ssize_t len;
	int fd;

	make(&h);
	fd = handover_write(&h, &e);
	len = pread(fd, text, sizeof(text) - 1, 0);
	ck_assert_int_gt(len, 100);
	for (ssize_t cut = 0; cut < len; cut++) {
		char part[4096];

		memcpy(part, text, (size_t)cut);
		part[cut] = '\0';
		ck_assert_msg(handover_read(&found, file_of(part), &e) == -1, "cut at %zd", cut);
		ck_assert_uint_eq(found.child_count, 0);
	}
	close(fd);
	handover_release(&h);
}
END_TEST

static unsigned told;
static void count(void *ctx, const char *message)
{
	(void)ctx;
	(void)message;
	told++;
}

START_TEST(what_a_running_service_cannot_change)
{
	struct config old, fresh;

	config_init(&old);
	config_init(&fresh);
	ck_assert(changes_are_possible(&old, &fresh, count, NULL));
	free(fresh.spool);
	fresh.spool = strdup("/elsewhere");
	free(fresh.smtp_user);
	fresh.smtp_user = NULL;
	told = 0;
	ck_assert(!changes_are_possible(&old, &fresh, count, NULL));
	ck_assert_uint_eq(told, 2);
	/* where there is none, one may come, and not the other way round */
	free(old.handler);
	old.handler = strdup("debug");
	fresh.smtp_user = old.smtp_user ? strdup(old.smtp_user) : NULL;
	told = 0;
	ck_assert(changes_are_possible(&old, &fresh, count, NULL));
	free(fresh.spool);
	fresh.spool = strdup(old.spool);
	ck_assert(!changes_are_possible(&fresh, &old, count, NULL));
	ck_assert_uint_eq(told, 1);
	config_release(&old);
	config_release(&fresh);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("handover");

	UNIT_CASE(s, what_is_left_is_what_is_found, what_is_no_handover_is_refused, a_torn_one_is_refused,
		  what_a_running_service_cannot_change);
	return unit_run(s);
}
