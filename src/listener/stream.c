/* SPDX-License-Identifier: ISC */
/* See stream.h. Runs in a worker. */
#include "listener/stream.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/clock.h"
#include "listener/stream_internal.h"

bool stream_must_stop(const struct stream *s)
{
	return s->control->stopping && (s->interruptible || clock_mono_ms() >= s->control->stop_by_mono_ms);
}

/*
 * Waits for events on the socket until the deadline. The control line is
 * watched until it has said "stop" (after that it stays readable).
 */
static enum io_result wait_until(struct stream *s, short events, int64_t deadline_mono_ms, bool stoppable,
				 bool sheddable)
{
	for (;;) {
		struct pollfd fds[2] = { { s->fd, events, 0 },
					 { s->control->stopping ? -1 : s->control->fd, POLLIN, 0 } };
		int64_t until = deadline_mono_ms, left;
		int n;

		if (stoppable && stream_must_stop(s))
			return IO_STOP;
		if (sheddable && s->control->wait && client_wait_is_shed(s->control->wait))
			return IO_SHED;
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

/* The same, and the master may know of it. */
static enum io_result wait_for(struct stream *s, short events, int64_t deadline_mono_ms, bool stoppable,
			       bool sheddable)
{
	struct client_wait *wait = s->control->wait;
	enum io_result r;

	if (wait)
		client_wait_begins(wait, clock_mono_ms());
	r = wait_until(s, events, deadline_mono_ms, stoppable, sheddable);
	if (wait)
		client_wait_ends(wait, clock_mono_ms());
	return r;
}

enum io_result stream_receive(struct stream *s, void *data, size_t cap, int64_t deadline_mono_ms,
			      bool stoppable, size_t *got)
{
	for (;;) {
		enum io_result r;
		ssize_t n;

		/* before the data: a client that never lacks any must not outlive the service */
		if (stoppable && stream_must_stop(s))
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
		r = wait_for(s, POLLIN, deadline_mono_ms, stoppable, stoppable);
		if (r != IO_OK)
			return r;
	}
}

enum io_result stream_send(struct stream *s, const void *data, size_t len, int64_t deadline_mono_ms)
{
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
		/* an answer that is owed is waited for in any case: nobody is to count on this client's going */
		r = s->io.owes_answer ? wait_until(s, POLLOUT, deadline_mono_ms, false, false)
				      : wait_for(s, POLLOUT, deadline_mono_ms, false, true);
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
		if (n < 0 && wait_for(s, POLLIN, deadline, false, false) != IO_OK)
			return;
	}
}

static enum io_result stream_read(struct session_io *io, void *data, size_t cap, int64_t deadline_mono_ms,
				  size_t *got)
{
	struct stream *s = (struct stream *)io;

	if (s->tls)
		return stream_tls_read(s->tls, data, cap, deadline_mono_ms, got);
	return stream_receive(s, data, cap, deadline_mono_ms, true, got);
}

static enum io_result stream_write(struct session_io *io, const void *data, size_t len,
				   int64_t deadline_mono_ms)
{
	struct stream *s = (struct stream *)io;

	if (s->tls)
		return stream_tls_write(s->tls, data, len, deadline_mono_ms);
	return stream_send(s, data, len, deadline_mono_ms);
}

static enum io_result stream_start_tls(struct session_io *io, int64_t deadline_mono_ms, struct err *e)
{
	struct stream *s = (struct stream *)io;

	ASSERT(s->server && !s->tls);
	return stream_tls_start(s, deadline_mono_ms, e);
}

static const struct session_tls *stream_tls(struct session_io *io)
{
	return stream_tls_of((struct stream *)io);
}

static void stream_interruptible(struct session_io *io, bool yes)
{
	((struct stream *)io)->interruptible = yes;
}

static const struct session_io_ops clear_ops = { .read = stream_read,
						 .write = stream_write,
						 .interruptible = stream_interruptible };
static const struct session_io_ops tls_ops = { .read = stream_read,
					       .write = stream_write,
					       .interruptible = stream_interruptible,
					       .start_tls = stream_start_tls,
					       .tls = stream_tls };

void stream_init(struct stream *s, int fd, struct control *control)
{
	*s = (struct stream){ .io.ops = &clear_ops, .fd = fd, .control = control, .interruptible = true };
}

void stream_offer_tls(struct stream *s, const struct tls_server *server)
{
	s->io.ops = &tls_ops;
	s->server = server;
}

const struct session_tls *stream_tls_of(const struct stream *s)
{
	return s->tls ? stream_tls_info(s->tls) : NULL;
}

void stream_close(struct stream *s)
{
	if (s->tls)
		stream_tls_end(s->tls);
	s->tls = NULL;
}
