/* SPDX-License-Identifier: ISC */
/* See control.h. Runs in workers and the relay. */
#include "base/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/clock.h"

int control_pair(int line[2])
{
	return pipe2(line, O_CLOEXEC | O_NONBLOCK);
}

void control_init(struct control *c, int fd, int64_t grace_ms)
{
	*c = (struct control){ .fd = fd, .grace_ms = grace_ms, .stop_by_mono_ms = CLOCK_NEVER };
}

void control_read(struct control *c)
{
	char bytes[16];
	ssize_t n = read(c->fd, bytes, sizeof(bytes));
	bool stop = n == 0, was_retiring = c->retiring, crowded = false;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	for (ssize_t i = 0; i < n; i++) {
		stop = stop || bytes[i] == CONTROL_STOP;
		c->retiring = c->retiring || bytes[i] == CONTROL_RETIRE;
		c->old = c->old || bytes[i] == CONTROL_OLD;
		crowded = crowded || bytes[i] == CONTROL_CROWDED;
	}
	if ((stop || n < 0) && !c->stopping) {
		c->retiring = true;
		c->stopping = true;
		c->stop_by_mono_ms = clock_mono_ms() + c->grace_ms;
	}
	if (c->retiring && !was_retiring && c->retired)
		c->retired(c->ctx);
	if (crowded && c->crowded)
		c->crowded(c->ctx);
}
