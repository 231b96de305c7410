/* SPDX-License-Identifier: ISC */
/* See acceptor.h. Runs in a worker. */
#include "listener/acceptor.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"

#define CONTROL_MARK UINT64_MAX
#define PROBE_MARK (UINT64_MAX - 1)

int acceptor_open(struct acceptor *a, const struct listening_set *set, struct control *control, int probe_fd,
		  struct err *e)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = CONTROL_MARK };

	a->set = set;
	a->control = control;
	a->probe_fd = probe_fd;
	a->wake_mono_ms = CLOCK_NEVER;
	a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (a->epoll_fd < 0 || epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, control->fd, &ev) < 0) {
		err_set_os(e, errno, "cannot wait on the master's control line");
		return -1;
	}
	for (size_t i = 0; i < set->count; i++) {
		ev.events = EPOLLIN | EPOLLEXCLUSIVE;
		ev.data.u64 = i;
		if (epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, set->item[i].fd, &ev) < 0) {
			err_set_os(e, errno, "%s: cannot wait for clients", set->item[i].address);
			return -1;
		}
	}
	ev.events = EPOLLIN | EPOLLEXCLUSIVE;
	ev.data.u64 = PROBE_MARK;
	if (probe_fd >= 0 && epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, probe_fd, &ev) < 0) {
		err_set_os(e, errno, "cannot wait for health checks");
		return -1;
	}
	return 0;
}

void acceptor_close(struct acceptor *a)
{
	descriptors_close(&a->epoll_fd);
}

static int take(const struct listening *l)
{
	int one = 1;
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0 && l->endpoint.kind == ENDPOINT_TCP) {
		/* replies are written whole: waiting for more would only delay them */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	}
	return fd;
}

/* -1: another worker was faster, or the line is shut. */
static int take_probe(struct acceptor *a)
{
	size_t len, count;
	int fd = -1;
	char byte;

	if (descriptors_receive(a->probe_fd, &byte, 1, &len, &fd, 1, &count)) {
		if (count == 1)
			return fd;
		if (len == 0) { /* for good: it would be readable for ever */
			(void)epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, a->probe_fd, NULL);
			a->probe_fd = -1;
		}
	}
	errno = EAGAIN;
	return -1;
}

/* Milliseconds until a->wake_mono_ms as epoll_wait wants them. */
static int time_left(const struct acceptor *a)
{
	int64_t left = a->wake_mono_ms == CLOCK_NEVER ? -1 : a->wake_mono_ms - clock_mono_ms();

	if (a->wake_mono_ms != CLOCK_NEVER && left < 0)
		left = 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

int acceptor_next(struct acceptor *a, const struct listening **from)
{
	while (!a->control->stopping) {
		struct epoll_event ev;
		/*
		 * Told to retire, this worker may have been woken for a client at the same time, and then
		 * nobody else was (EPOLLEXCLUSIVE): the client would wait until the next one comes.
		 */
		int n = epoll_wait(a->epoll_fd, &ev, 1, a->control->retiring ? 0 : time_left(a));
		int fd;

		if ((n < 0 && errno != EINTR) || (n == 0 && a->control->retiring))
			return -1;
		if (n == 0 && clock_mono_ms() >= a->wake_mono_ms)
			return ACCEPTOR_WAKE;
		if (n <= 0)
			continue;
		if (ev.data.u64 == CONTROL_MARK) {
			control_read(a->control);
			continue;
		}
		*from = ev.data.u64 == PROBE_MARK ? NULL : &a->set->item[ev.data.u64];
		fd = *from ? take(*from) : take_probe(a);
		if (fd >= 0)
			return fd;
		/*
		 * EAGAIN: another worker was faster. Out of descriptors or memory: the client stays in
		 * the backlog; do not spin on it.
		 */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			if (a->control->retiring)
				return -1;
			poll(NULL, 0, 100);
		}
	}
	return -1;
}
