/* SPDX-License-Identifier: ISC */
/*
 * sendmail -bs: what comes on standard input goes to the daemon, what it
 * answers to standard output, octet for octet. It ends when the daemon has
 * said all; our input's end is passed on first. Blocking writes: one side
 * that does not read holds up the other, as a pipe would.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "sendmail/deliver.h"

#define BLOCK (16u << 10)

/* What waits to be written in one direction. */
struct flow {
	int from, to;
	char data[BLOCK];
	size_t at, len;
	bool ended; /* from has no more */
};

static int flow_read(struct flow *f)
{
	ssize_t n = read(f->from, f->data, sizeof(f->data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	f->at = 0;
	f->len = n > 0 ? (size_t)n : 0;
	f->ended = n <= 0;
	return n < 0 ? -1 : 0;
}

static int flow_write(struct flow *f, bool is_socket)
{
	ssize_t n = is_socket ? send(f->to, f->data + f->at, f->len - f->at, MSG_NOSIGNAL | MSG_DONTWAIT)
			      : write(f->to, f->data + f->at, f->len - f->at);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -1;
	f->at += (size_t)n;
	return 0;
}

static bool is_pending(const struct flow *f)
{
	return f->at < f->len;
}

/* Both directions at once. 0: the daemon said all it had to say. */
static int pump(struct flow *up, struct flow *down)
{
	bool shut = false;

	for (;;) {
		struct pollfd fds[4] = {
			{ up->ended || is_pending(up) ? -1 : up->from, POLLIN, 0 },
			{ is_pending(up) ? up->to : -1, POLLOUT, 0 },
			{ down->ended || is_pending(down) ? -1 : down->from, POLLIN, 0 },
			{ is_pending(down) ? down->to : -1, POLLOUT, 0 },
		};

		if (down->ended && !is_pending(down))
			return 0;
		if (up->ended && !is_pending(up) && !shut) {
			shutdown(up->to, SHUT_WR);
			shut = true;
		}
		if (poll(fds, 4, -1) < 0 && errno != EINTR)
			return -1;
		if (fds[0].revents && flow_read(up) < 0)
			up->ended = true;
		/* a daemon that takes no more may still have something to say */
		if (fds[1].revents && flow_write(up, true) < 0) {
			up->len = up->at = 0;
			up->ended = shut = true;
		}
		if (fds[2].revents && flow_read(down) < 0)
			return -1;
		if (fds[3].revents && flow_write(down, false) < 0)
			return -1;
	}
}

int sendmail_converse(const struct target *t)
{
	struct err e;
	int fd = target_connect(t, &e), r;
	struct flow up = { .from = STDIN_FILENO, .to = fd }, down = { .from = fd, .to = STDOUT_FILENO };

	if (fd < 0) {
		sendmail_say("%s", e.text);
		return EX_TEMPFAIL;
	}
	r = pump(&up, &down);
	close(fd);
	return r < 0 ? EX_IOERR : EX_OK;
}
