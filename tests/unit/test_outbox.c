/* SPDX-License-Identifier: ISC */
/* daemon/outbox: what a system test cannot bring about. The rest is in tests/system/test_sendmail.py. */
#include "daemon/outbox.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "submit/outbox.h"
#include "unit.h"

static char folder[] = "/tmp/posthouse-test-outbox.XXXXXX";

static const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static bool is_there(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

/* With descriptors for the folders and a listing, and none for a message. */
static enum outbox_result drain_without_descriptors(const struct outbox_player *p)
{
	struct rlimit limit, few;
	enum outbox_result result;
	int fd[4];

	/* the lowest that are free: there may be holes among those that we were started with */
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_ge(fd[i] = open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	for (size_t i = 0; i < 4; i++)
		close(fd[i]);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = (struct rlimit){ (rlim_t)fd[3] + 1, limit.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	result = outbox_drain(p);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return result;
}

/* Its sender was told that it is mail: our shortage does not make it refused. */
START_TEST(want_of_descriptors_refuses_nothing)
{
	static const struct session_config session = { .data_size_limit_bytes = 1 << 20 };
	static const struct session_events events = { 0 };
	struct control control;
	char peer[64];
	const struct outbox_player player = { .folder = folder, .session = &session, .events = &events,
					      .control = &control, .expire_after_ms = 60000, .peer = peer,
					      .peer_cap = sizeof(peer) };
	int line[2], fd;
	struct err e;

	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR, "test");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(outbox_prepare(folder, (uid_t)-1, (gid_t)-1, &e), 0);
	ck_assert_int_eq(control_pair(line), 0);
	control_init(&control, line[0], 0);
	fd = open(path_of(OUTBOX_MESSAGE "1"), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	ck_assert_int_eq(write(fd, "QUIT\r\n", 6), 6);
	close(fd);
	ck_assert_int_eq(drain_without_descriptors(&player), OUTBOX_LATER);
	ck_assert(is_there(OUTBOX_TAKEN "/" OUTBOX_MESSAGE "1"));
	ck_assert(!is_there(OUTBOX_REFUSED "/" OUTBOX_MESSAGE "1"));
	/* what is wrong with the file is */
	ck_assert_int_eq(unlink(path_of(OUTBOX_TAKEN "/" OUTBOX_MESSAGE "1")), 0);
	ck_assert_int_eq(mkfifo(path_of(OUTBOX_TAKEN "/" OUTBOX_MESSAGE "1"), 0640), 0);
	ck_assert_int_eq(outbox_drain(&player), OUTBOX_EMPTY);
	ck_assert(is_there(OUTBOX_REFUSED "/" OUTBOX_MESSAGE "1"));
	unlink(path_of(OUTBOX_REFUSED "/" OUTBOX_MESSAGE "1"));
	unlink(path_of(OUTBOX_REFUSED "/" OUTBOX_MESSAGE "1.reason"));
	rmdir(path_of(OUTBOX_REFUSED));
	rmdir(path_of(OUTBOX_TAKEN));
	ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("outbox");

	UNIT_CASE(suite, want_of_descriptors_refuses_nothing);
	return unit_run(suite);
}
