/* SPDX-License-Identifier: ISC */
/*
 * Another build of posthoused, for the tests of USR2 (tests/system/test_reload.py): the same objects, and two of
 * their functions wrapped (ld --wrap), so that it can be made to fail where only a new executable can be at
 * fault. The environment variable PH_OTHER says where: "start", "worker", "crash", "exit"; the way back clears nothing, but
 * the real executable does not look at it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "daemon/generation.h"
#include "listener/acceptor.h"

int __real_generation_open(struct service *s, struct house *h, struct listening_set *open, struct err *e);
int __wrap_generation_open(struct service *s, struct house *h, struct listening_set *open, struct err *e);
int __real_acceptor_open(struct acceptor *a, const struct listening_set *set, struct control *control,
			 int probe_fd, struct err *e);
int __wrap_acceptor_open(struct acceptor *a, const struct listening_set *set, struct control *control,
			 int probe_fd, struct err *e);

static int is_asked_for(const char *what)
{
	const char *said = getenv("PH_OTHER");

	return said && strcmp(said, what) == 0;
}

int __wrap_generation_open(struct service *s, struct house *h, struct listening_set *open, struct err *e)
{
	if (is_asked_for("exit"))
		_exit(3);
	if (!is_asked_for("start"))
		return __real_generation_open(s, h, open, e);
	err_set(e, "this build cannot start");
	return -1;
}

int __wrap_acceptor_open(struct acceptor *a, const struct listening_set *set, struct control *control,
			 int probe_fd, struct err *e)
{
	if (is_asked_for("crash"))
		abort();
	if (!is_asked_for("worker"))
		return __real_acceptor_open(a, set, control, probe_fd, e);
	err_set(e, "this build's workers cannot start");
	return -1;
}
