/* SPDX-License-Identifier: ISC */
/* See turn_away.h. */
#include "daemon/turn_away.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "daemon/service.h"

#define AT_ONCE 256 /* clients of one child */
#define EVERY_MS 1000 /* a child at most; it is gone by then */
#define LINGER_MS 500 /* for the client to read it: what it said itself would else make the kernel reset */

unsigned turn_away_waiting(void *ctx)
{
	const struct service *s = ctx;
	unsigned n = 0;

	for (size_t i = 0; i < s->listening.count; i++)
		n += listening_waiting(&s->listening.item[i]);
	return n;
}

/* ---- in the child --------------------------------------------------------------------- */

/* In front of a handshake nothing can be said that the client understands: there it is the end alone. */
static bool speaks_in_clear(const struct service *s, const struct listening *l)
{
	for (size_t i = 0; i < s->cfg->listener_count; i++)
		if (strcmp(s->cfg->listener[i].name, l->listener) == 0)
			return l->endpoint.kind == ENDPOINT_UNIX ||
			       s->cfg->listener[i].tls != SESSION_TLS_IMPLICIT;
	return false;
}

/* The next connection of any of the sockets, told. -1: there is none. */
static int refuse_one(const struct service *s, size_t *next)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "421 4.3.2 %s Error: too busy, try again later\r\n", s->cfg->hostname);

	for (size_t tried = 0; tried < s->listening.count; tried++) {
		const struct listening *l = &s->listening.item[(*next)++ % s->listening.count];
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		if (speaks_in_clear(s, l) && send(fd, text, (size_t)len, MSG_NOSIGNAL) != len) {
			/* it has room for a line, or nobody is there any more */
		}
		shutdown(fd, SHUT_WR);
		return fd;
	}
	return -1;
}

/* Until they all have hung up, or for as long as is worth while. What they say goes nowhere. */
static void linger(struct pollfd *clients, nfds_t count)
{
	int64_t until = clock_mono_ms() + LINGER_MS, left;
	nfds_t open = count;
	char drop[4096];

	while (open > 0 && (left = until - clock_mono_ms()) > 0) {
		if (poll(clients, count, (int)left) <= 0)
			continue;
		for (nfds_t i = 0; i < count; i++)
			if (clients[i].fd >= 0 && clients[i].revents &&
			    recv(clients[i].fd, drop, sizeof(drop), 0) <= 0) {
				close(clients[i].fd);
				clients[i].fd = -1;
				open--;
			}
	}
}

static _Noreturn void refuse(struct service *s, unsigned count)
{
	struct pollfd clients[AT_ONCE];
	nfds_t told = 0;
	size_t next = 0;
	struct err e;
	int fd;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	proctitle_set("turning clients away");
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	if (rights_drop(&s->worker_rights, &e) < 0) {
		log_msg(LOG_LEVEL_ERROR, "turn_away_failed", "%s", e.text);
		_exit(EXIT_FAILURE);
	}
	while (told < count && (fd = refuse_one(s, &next)) >= 0)
		clients[told++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	listening_release(&s->listening, false);
	linger(clients, told);
	_exit(EXIT_SUCCESS);
}

/* ---- in the master ------------------------------------------------------------------------ */

unsigned turn_away(void *ctx, unsigned count)
{
	struct service *s = ctx;
	int64_t now = clock_mono_ms();
	pid_t pid;

	if (now - s->turned_away_mono_ms < EVERY_MS)
		return 0;
	s->turned_away_mono_ms = now;
	if (count > AT_ONCE)
		count = AT_ONCE;
	pid = fork(); /* reaped with the others; nobody waits for it */
	if (pid == 0)
		refuse(s, count);
	return pid > 0 ? count : 0;
}
