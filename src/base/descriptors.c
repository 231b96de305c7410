/* SPDX-License-Identifier: ISC */
/* See descriptors.h. */
#include "base/descriptors.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"

/* What a packet may bring in all: more than anybody sends, so that what is too much is seen and closed. */
#define ROOM (2 * DESCRIPTORS_MAX)

#define REQUEST_LINE_BYTES (1 << 20)

int descriptors_pair(int line[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, line);
}

int descriptors_request_line(int line[2])
{
	const int size = REQUEST_LINE_BYTES;

	if (descriptors_pair(line) < 0)
		return -1;
	/* the kernel gives as much as net.core.wmem_max lets it */
	(void)setsockopt(line[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

int descriptors_send(int fd, const void *data, size_t len, const int *pass, size_t pass_count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	ASSERT(pass_count <= DESCRIPTORS_MAX);
	if (pass_count > 0) {
		struct cmsghdr *c = &control.header;

		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(pass_count * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(pass_count * sizeof(int));
		memcpy(CMSG_DATA(c), pass, pass_count * sizeof(int));
	}
	do
		n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? 0 : -1;
}

static void take(struct msghdr *msg, int *all, size_t *count)
{
	*count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + CMSG_LEN(sizeof(int)) <= c->cmsg_len && *count < ROOM;
		     at += sizeof(int))
			memcpy(&all[(*count)++], CMSG_DATA(c) + at, sizeof(int));
	}
}

bool descriptors_receive(int fd, void *data, size_t cap, size_t *data_len, int *taken, size_t most,
			 size_t *count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(ROOM * sizeof(int))];
	} control;
	/* cppcheck-suppress ctuuninitvar ; it is written to */
	struct iovec iov = { data, cap };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.room,
			      .msg_controllen = sizeof(control.room) };
	int all[ROOM];
	ssize_t n;

	do /* MSG_TRUNC: the true length, also of what is too long */
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return false;
	take(&msg, all, count);
	*data_len = (size_t)n;
	if (*count > most || (msg.msg_flags & MSG_CTRUNC)) {
		for (size_t i = 0; i < *count; i++)
			close(all[i]);
		*count = SIZE_MAX;
		return true;
	}
	memcpy(taken, all, *count * sizeof(int));
	return true;
}

bool descriptors_is_seqpacket(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

void descriptors_close(int *fd)
{
	if (*fd < 0)
		return; /* nor written: a page that a child shares with its parent stays shared */
	close(*fd);
	*fd = -1;
}

static void close_one_by_one(unsigned from, unsigned end)
{
	long most = sysconf(_SC_OPEN_MAX);

	for (unsigned fd = from; fd < end && (most < 0 || fd < (unsigned long)most); fd++)
		close((int)fd);
}

void descriptors_close_others(const int *keep, size_t count)
{
	unsigned from = STDERR_FILENO + 1;

	for (;;) {
		unsigned next = UINT_MAX;

		for (size_t i = 0; i < count; i++)
			if (keep[i] >= 0 && (unsigned)keep[i] >= from && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		if (next > from && close_range(from, next == UINT_MAX ? UINT_MAX : next - 1, 0) < 0)
			close_one_by_one(from, next); /* before Linux 5.9 */
		if (next == UINT_MAX)
			return;
		from = next + 1;
	}
}
