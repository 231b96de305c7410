/* SPDX-License-Identifier: ISC */
/* See log_out.h. In every process. */
#include "base/log_out.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum log_out_kind kind_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return LOG_OUT_STREAM;
	if (S_ISSOCK(st.st_mode))
		return LOG_OUT_SOCKET;
	return S_ISFIFO(st.st_mode) ? LOG_OUT_STREAM : LOG_OUT_FILE;
}

/* A terminal that somebody stopped (^S) holds the service up: -F there is for looking on. */
void log_out_stderr(struct log_out *o)
{
	*o = (struct log_out){ .fd = STDERR_FILENO, .kind = kind_of(STDERR_FILENO) };
	if (o->kind == LOG_OUT_STREAM) {
		int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

		if (fd >= 0)
			*o = (struct log_out){ .fd = fd, .kind = LOG_OUT_PIPE, .owned = true };
	}
}

void log_out_fd(struct log_out *o, int fd)
{
	*o = (struct log_out){ .fd = fd, .kind = kind_of(fd) };
	if (o->kind == LOG_OUT_STREAM)
		o->kind = LOG_OUT_PIPE;
}

void log_out_socket(struct log_out *o, const char *path)
{
	*o = (struct log_out){ .kind = LOG_OUT_DATAGRAM, .owned = true, .to = { .sun_family = AF_UNIX } };
	snprintf(o->to.sun_path, sizeof(o->to.sun_path), "%s", path);
	o->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void log_out_close(struct log_out *o)
{
	if (o->owned && o->fd >= 0)
		close(o->fd);
	o->owned = false;
	o->fd = -1;
}

static ssize_t put(struct log_out *o, const char *data, size_t len)
{
	struct pollfd p = { .fd = o->fd, .events = POLLOUT };

	switch (o->kind) {
	case LOG_OUT_STREAM:
		if (poll(&p, 1, 0) == 0) {
			errno = EAGAIN;
			return -1;
		}
		return write(o->fd, data, len);
	case LOG_OUT_FILE:
	case LOG_OUT_PIPE:
		return write(o->fd, data, len);
	case LOG_OUT_SOCKET:
		return send(o->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	case LOG_OUT_DATAGRAM:
		return sendto(o->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&o->to,
			      sizeof(o->to));
	}
	return -1;
}

/*
 * Once for a moment. A datagram socket that is not connected is always writable, whoever is to read: there it is
 * asked again every few milliseconds.
 */
static bool wait_for_room(const struct log_out *o, int *patience_ms)
{
	bool asks = o->kind == LOG_OUT_DATAGRAM;
	struct pollfd p = { .fd = o->fd, .events = asks ? 0 : POLLOUT };
	int wait = asks ? 5 : *patience_ms;

	if (*patience_ms <= 0)
		return false;
	*patience_ms -= wait;
	return poll(&p, 1, wait) > 0 || asks;
}

bool log_out_write(struct log_out *o, const char *data, size_t len)
{
	int patience_ms = o->dull ? 0 : LOG_OUT_PATIENCE_MS;
	size_t done = 0;

	if (o->fd < 0)
		return false;
	if (o->torn && put(o, "\n", 1) != 1)
		return false;
	o->torn = false;
	while (done < len) {
		ssize_t n = put(o, data + done, len - done);

		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS)
			break;
		if (!wait_for_room(o, &patience_ms)) {
			o->dull = true;
			break;
		}
	}
	o->torn = done > 0 && done < len;
	if (done == len)
		o->dull = false;
	return done == len;
}
