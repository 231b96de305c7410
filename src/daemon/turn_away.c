/* SPDX-License-Identifier: ISC */
/* See turn_away.h. */
#include "daemon/turn_away.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "daemon/confine.h"
#include "daemon/inherit.h"
#include "daemon/listener_tls.h"
#include "daemon/service.h"

#define AT_ONCE 128 /* clients of one child; a worker's limits (confine.h) may make it less */
#define TRIES 100
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

/*
 * Where most wait: the first of them has probably waited for longest. Clients of this machine come last here, too.
 * NULL: nobody waits.
 */
static const struct listening *longest_queue(const struct service *s)
{
	const struct listening *longest = NULL;
	unsigned most = 0;

	for (int local = 0; local < 2 && !longest; local++)
		for (size_t i = 0; i < s->listening.count; i++) {
			const struct listening *l = &s->listening.item[i];
			unsigned n = (l->endpoint.kind == ENDPOINT_UNIX) == local ? listening_waiting(l) : 0;

			if (n > most) {
				most = n;
				longest = l;
			}
		}
	return longest;
}

/* The next connection, told. -1: there is none. */
static int refuse_one(const struct service *s)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "421 4.3.2 %s Error: too busy, try again later\r\n",
			   s->cfg->hostname);
	const struct listening *l;

	/* again: a worker took it, or it went by itself */
	for (int tries = 0; tries < TRIES && (l = longest_queue(s)); tries++) {
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

/* Since the master counted: then those in front were not overdue any more, or are being served. */
static bool somebody_is_free(const struct service *s)
{
	struct scoreboard_count count;

	scoreboard_count(s->board, &count);
	return count.idle > 0;
}

static _Noreturn void fail(const struct err *e)
{
	log_msg(LOG_LEVEL_ERROR, "turn_away_failed", "%s", e->text);
	_exit(EXIT_FAILURE);
}

static _Noreturn void refuse(struct service *s, unsigned count)
{
	struct pollfd clients[AT_ONCE];
	nfds_t told = 0;
	struct err e;
	int fd;

	proctitle_set("turning clients away");
	inherit_as(s, ROLE_WORKER);
	listener_tls_forget_keys(s->tls);
	if (rights_drop(&s->worker_rights, &e) < 0)
		fail(&e);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* after the change of user, which clears it */
	if (confine_enter(&s->confine, ROLE_WORKER, &e) < 0)
		fail(&e);
	while (told < count && !somebody_is_free(s) && (fd = refuse_one(s)) >= 0)
		clients[told++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	atomic_fetch_add(&s->board->shared->turned_away, (unsigned)told);
	listening_release(&s->listening, false);
	linger(clients, told);
	_exit(EXIT_SUCCESS);
}

/* ---- in the master ------------------------------------------------------------------------ */

void turn_away(void *ctx, unsigned count)
{
	struct service *s = ctx;
	int64_t now = clock_mono_ms();
	pid_t pid;

	if (now - s->turned_away_mono_ms < EVERY_MS)
		return;
	s->turned_away_mono_ms = now;
	if (count > AT_ONCE)
		count = AT_ONCE;
	pid = fork(); /* reaped with the others; nobody waits for it */
	if (pid == 0)
		refuse(s, count);
	if (pid < 0)
		log_msg(LOG_LEVEL_ERROR, "turn_away_failed", "cannot start a process for it: %s",
			strerror(errno));
}
