/* SPDX-License-Identifier: ISC */
/* See gate.h. */
#include "auth/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int gate_open(struct gate *g, unsigned places, struct err *e)
{
	g->places = places;
	g->fd = memfd_create("posthouse-auth-gate", MFD_CLOEXEC);
	if (g->fd >= 0)
		return 0;
	err_set_os(e, errno, "cannot make the file for the locks of password hashings");
	return -1;
}

void gate_close(struct gate *g)
{
	close(g->fd);
	g->fd = -1;
}

/* Locks of a process (not of an open file, which is inherited): they end with it. */
static int change(const struct gate *g, int command, short type, unsigned place)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = place, .l_len = 1 };

	return fcntl(g->fd, command, &lock);
}

unsigned gate_enter(const struct gate *g)
{
	unsigned start = (unsigned)getpid() % g->places;

	for (unsigned i = 0; i < g->places; i++)
		if (change(g, F_SETLK, F_WRLCK, (start + i) % g->places) == 0)
			return (start + i) % g->places;
	while (change(g, F_SETLKW, F_WRLCK, start) < 0 && errno == EINTR)
		;
	return start;
}

void gate_leave(const struct gate *g, unsigned place)
{
	(void)change(g, F_SETLK, F_UNLCK, place);
}
