/* SPDX-License-Identifier: ISC */
/* See stream.h. Runs in a worker. */
#include "listener/stream.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"

static bool must_stop(const struct stream *s)
{
	return s->control->stopping && (s->interruptible || clock_mono_ms() >= s->control->stop_by_mono_ms);
}

/*
 * Waits for events on the socket until the deadline. The control line is
 * watched until it has said "stop" (after that it stays readable).
 */
static enum io_result wait_for(struct stream *s, short events, int64_t deadline_mono_ms, bool stoppable)
{
	for (;;) {
		struct pollfd fds[2] = { { s->fd, events, 0 },
					 { s->control->stopping ? -1 : s->control->fd, POLLIN, 0 } };
		int64_t until = deadline_mono_ms, left;
		int n;

		if (stoppable && must_stop(s))
			return IO_STOP;
		if (stoppable && s->control->stop_by_mono_ms < until)
			until = s->control->stop_by_mono_ms;
		left = until == CLOCK_NEVER ? -1 : until - clock_mono_ms();
		if (until != CLOCK_NEVER && left < 0)
			left = 0;
		n = poll(fds, 2, left > INT_MAX ? INT_MAX : (int)left);
		if (n < 0 && errno != EINTR)
			return IO_ERROR;
		if (n > 0 && fds[1].revents)
			control_read(s->control);
		if (n > 0 && fds[0].revents)
			return IO_OK; /* also for POLLHUP and POLLERR: the call that follows says what it is */
		if (clock_mono_ms() >= deadline_mono_ms)
			return IO_TIMEOUT;
	}
}

static enum io_result stream_read(struct session_io *io, void *data, size_t cap, int64_t deadline_mono_ms,
				  size_t *got)
{
	struct stream *s = (struct stream *)io;

	for (;;) {
		enum io_result r;
		ssize_t n;

		/* before the data: a client that never lacks any must not outlive the service */
		if (must_stop(s))
			return IO_STOP;
		n = recv(s->fd, data, cap, 0);
		if (n > 0) {
			*got = (size_t)n;
			return IO_OK;
		}
		if (n == 0)
			return IO_EOF;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return IO_ERROR;
		r = wait_for(s, POLLIN, deadline_mono_ms, true);
		if (r != IO_OK)
			return r;
	}
}

static enum io_result stream_write(struct session_io *io, const void *data, size_t len, int64_t deadline_mono_ms)
{
	struct stream *s = (struct stream *)io;
	const char *p = data;

	while (len > 0) {
		ssize_t n = send(s->fd, p, len, MSG_NOSIGNAL);
		enum io_result r;

		if (n >= 0) {
			p += n;
			len -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return IO_ERROR;
		r = wait_for(s, POLLOUT, deadline_mono_ms, false);
		if (r != IO_OK)
			return r;
	}
	return IO_OK;
}

void stream_linger(struct stream *s, int64_t most_ms)
{
	int64_t deadline = clock_mono_ms() + most_ms;
	char drop[4096];
	ssize_t n;

	if (shutdown(s->fd, SHUT_WR) < 0)
		return;
	while (clock_mono_ms() < deadline) {
		n = recv(s->fd, drop, sizeof(drop), 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return;
		if (n < 0 && wait_for(s, POLLIN, deadline, false) != IO_OK)
			return;
	}
}

static void stream_interruptible(struct session_io *io, bool yes)
{
	((struct stream *)io)->interruptible = yes;
}

static const struct session_io_ops stream_ops = { .read = stream_read, .write = stream_write,
						 .interruptible = stream_interruptible };

void stream_init(struct stream *s, int fd, struct control *control)
{
	s->io.ops = &stream_ops;
	s->fd = fd;
	s->control = control;
	s->interruptible = true;
}
