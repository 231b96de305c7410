/* SPDX-License-Identifier: ISC */
/* See control.h. Runs in workers and the relay. */
#include "base/control.h"

#include <errno.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/clock.h"

void control_init(struct control *c, int fd, int64_t grace_ms)
{
	c->fd = fd;
	c->grace_ms = grace_ms;
	c->retiring = false;
	c->stopping = false;
	c->stop_by_mono_ms = CLOCK_NEVER;
	c->retired = NULL;
	c->ctx = NULL;
}

void control_read(struct control *c)
{
	char bytes[16];
	ssize_t n = read(c->fd, bytes, sizeof(bytes));
	bool stop = n == 0, was_retiring = c->retiring;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	for (ssize_t i = 0; i < n; i++) {
		stop = stop || bytes[i] == CONTROL_STOP;
		c->retiring = c->retiring || bytes[i] == CONTROL_RETIRE;
	}
	if ((stop || n < 0) && !c->stopping) {
		c->retiring = true;
		c->stopping = true;
		c->stop_by_mono_ms = clock_mono_ms() + c->grace_ms;
	}
	if (c->retiring && !was_retiring && c->retired)
		c->retired(c->ctx);
}
