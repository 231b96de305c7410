/* SPDX-License-Identifier: ISC */
/* See control.h. Runs in workers and the relay. */
#include "base/control.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"

int control_pair(int line[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, line);
}

void control_init(struct control *c, int fd, int64_t grace_ms)
{
	c->fd = fd;
	c->grace_ms = grace_ms;
	c->retiring = false;
	c->stopping = false;
	c->old = false;
	c->stop_by_mono_ms = CLOCK_NEVER;
	c->wait = NULL;
	c->retired = NULL;
	c->heard = NULL;
	c->ctx = NULL;
}

static void obey(struct control *c, char what, int fd)
{
	bool was_retiring = c->retiring;

	if (what == CONTROL_STOP && !c->stopping) {
		c->stopping = true;
		c->stop_by_mono_ms = clock_mono_ms() + c->grace_ms;
	}
	c->old = c->old || what == CONTROL_OLD;
	c->retiring = c->retiring || what == CONTROL_RETIRE || what == CONTROL_STOP;
	if (c->retiring && !was_retiring && c->retired)
		c->retired(c->ctx);
	if (what != CONTROL_STOP && what != CONTROL_RETIRE && what != CONTROL_OLD && what != CONTROL_SHED &&
	    c->heard)
		c->heard(c->ctx, what, fd);
	else if (fd >= 0)
		close(fd);
}

void control_read(struct control *c)
{
	size_t len, count;
	int fd = -1;
	char what;

	while (descriptors_receive(c->fd, &what, 1, &len, &fd, 1, &count)) {
		obey(c, len == 0 ? CONTROL_STOP : what, count == 1 ? fd : -1);
		if (len == 0)
			return; /* the master is gone, and the file ends here for good */
	}
	if (errno != EAGAIN)
		obey(c, CONTROL_STOP, -1);
}

int control_send(struct control *c, char what, int fd)
{
	return descriptors_send(c->fd, &what, 1, &fd, fd >= 0);
}
