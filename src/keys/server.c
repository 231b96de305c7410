/* SPDX-License-Identifier: ISC */
/*
 * See server.h. Runs in the key process, as keys_user. This thread takes the
 * connections, and ends what is too much; the others answer (server_answer.c).
 */
#include "keys/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "keys/protocol.h"
#include "keys/server_internal.h"

#define SPARE_FDS 64
#define CONNECTIONS_AT_ONCE 64 /* taken before anything else is looked at */
#define TELL_MS 60000 /* between two lines about refused requests */

/* ---- connections -------------------------------------------------------------------------- */

static pid_t pid_of(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 ? who.pid : 0;
}

/*
 * Whether there is a free place. When there is none, who was quiet for longest makes room: it is shut down here,
 * closed by the thread that finds it so, and comes back when it has something to ask. Until then nobody is taken.
 */
static bool make_room(struct keys_server *s)
{
	struct keys_client *quiet = NULL;

	pthread_mutex_lock(&s->lock);
	s->full = s->clients == s->places;
	for (unsigned i = 0; i < s->places && s->full; i++)
		if (!quiet || atomic_load(&s->client[i].used_mono_us) < atomic_load(&quiet->used_mono_us))
			quiet = &s->client[i];
	if (quiet)
		shutdown(quiet->fd, SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
	return !s->full;
}

/* A free place. A process has one connection: with the next one it has no use for the first. */
static struct keys_client *find_place(struct keys_server *s, pid_t pid)
{
	struct keys_client *place = NULL;

	for (unsigned i = 0; i < s->places; i++) {
		struct keys_client *c = &s->client[i];

		if (c->fd < 0)
			place = place ? place : c;
		else if (c->pid == pid && pid != 0)
			shutdown(c->fd, SHUT_RDWR);
	}
	return place;
}

static void begin(struct keys_server *s, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT };
	pid_t pid = pid_of(fd);
	struct keys_client *c;

	pthread_mutex_lock(&s->lock);
	c = find_place(s, pid);
	if (c) {
		c->fd = fd;
		c->pid = pid;
		atomic_store(&c->used_mono_us, clock_mono_us());
		ev.data.ptr = c;
		s->clients++;
		if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
			c->fd = -1;
			s->clients--;
			c = NULL;
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (!c)
		close(fd); /* whoever it is asks again */
}

/* Returns false when there is none. */
static bool take(struct keys_server *s)
{
	struct keys_hello hello = { 0 };
	size_t len, count;
	int fd;

	if (!descriptors_receive(s->cfg->line_fd, &hello, sizeof(hello), &len, &fd, 1, &count))
		return false;
	if (len == 0 && count == 0) {
		s->line_ended = true;
		return false;
	}
	if (count != 1)
		return true;
	if (len != sizeof(hello) || hello.version != KEYS_VERSION || !descriptors_is_seqpacket(fd))
		close(fd);
	else
		begin(s, fd);
	return true;
}

/* ---- the loop --------------------------------------------------------------------------------- */

static unsigned clients(struct keys_server *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->clients;
	pthread_mutex_unlock(&s->lock);
	return n;
}

static bool is_over(struct keys_server *s)
{
	const struct control *control = s->cfg->control;

	if (control->stopping && clock_mono_ms() >= control->stop_by_mono_ms)
		return true;
	return (control->stopping || s->line_ended) && clients(s) == 0;
}

/* What nobody of ours would ask. Once a minute: a worker that was taken over asks as often as it likes. */
static void tell_refused(struct keys_server *s)
{
	unsigned long refused = atomic_load(&s->refused);
	struct log_line line;

	if (refused == s->refused_told || clock_mono_ms() < s->tell_mono_ms)
		return;
	log_begin(&line, LOG_LEVEL_ERROR, "keys_refused");
	log_int(&line, "requests", (int64_t)(refused - s->refused_told));
	log_str(&line, "msg",
		"a worker asked for what no TLS handshake of its listener needs: it may have been taken over");
	log_end(&line);
	s->refused_told = refused;
	s->tell_mono_ms = clock_mono_ms() + TELL_MS;
}

static int wait_ms(const struct keys_server *s)
{
	const struct control *control = s->cfg->control;
	int64_t left = 1000;

	if (control->stopping && control->stop_by_mono_ms - clock_mono_ms() < left)
		left = control->stop_by_mono_ms - clock_mono_ms();
	else if (!control->stopping && atomic_load(&s->refused) == s->refused_told)
		return -1;
	return left > 0 ? (int)left : 0;
}

static void loop(struct keys_server *s)
{
	struct control *control = s->cfg->control;
	uint64_t calls;

	while (!is_over(s)) {
		struct pollfd fds[3] = { { control->fd, POLLIN, 0 },
					 { s->line_ended || s->full ? -1 : s->cfg->line_fd, POLLIN, 0 },
					 { s->wake_fd, POLLIN, 0 } };

		/* told to stop, nothing more is said; the end of the file would be seen for ever */
		if (control->stopping)
			fds[0].fd = -1;
		poll(fds, 3, wait_ms(s));
		if (fds[0].revents)
			control_read(control);
		if (fds[2].revents) {
			(void)!read(s->wake_fd, &calls, sizeof(calls));
			s->full = false;
		}
		if (fds[1].revents)
			for (int i = 0; i < CONNECTIONS_AT_ONCE && make_room(s) && take(s); i++)
				;
		tell_refused(s);
	}
}

/* ---- start and end ------------------------------------------------------------------------------ */

/* As many connections as are wanted, or as there can be descriptors. */
static unsigned places(unsigned wanted)
{
	struct rlimit limit;
	rlim_t most;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return wanted;
	if (limit.rlim_cur < wanted + SPARE_FDS) {
		most = limit.rlim_max < wanted + SPARE_FDS ? limit.rlim_max : wanted + SPARE_FDS;
		if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){ most, limit.rlim_max }) == 0)
			limit.rlim_cur = most;
	}
	if (limit.rlim_cur >= wanted + SPARE_FDS)
		return wanted;
	return limit.rlim_cur > 2 * SPARE_FDS ? (unsigned)limit.rlim_cur - SPARE_FDS : SPARE_FDS;
}

static int open_all(struct keys_server *s, struct err *e)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };

	s->places = places(s->cfg->max_clients);
	s->client = mem_array(s->places, sizeof(*s->client));
	for (unsigned i = 0; i < s->places; i++)
		s->client[i].fd = -1;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->epoll_fd < 0 || s->wake_fd < 0 || s->end_fd < 0 ||
	    epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->end_fd, &ev) < 0) {
		err_set_os(e, errno, "cannot wait for requests");
		return -1;
	}
	return keys_threads_start(s, e);
}

static void close_all(struct keys_server *s)
{
	const int fds[] = { s->epoll_fd, s->wake_fd, s->end_fd };

	keys_threads_end(s);
	for (unsigned i = 0; i < s->places; i++)
		if (s->client[i].fd >= 0)
			close(s->client[i].fd);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(s->client);
}

int keys_server_run(const struct keys_server_config *cfg, struct err *e)
{
	struct keys_server s = { .cfg = cfg, .epoll_fd = -1, .wake_fd = -1, .end_fd = -1 };
	int result;

	pthread_mutex_init(&s.lock, NULL);
	result = open_all(&s, e);
	if (result == 0) {
		atomic_store(cfg->ready, true);
		loop(&s);
	}
	close_all(&s);
	pthread_mutex_destroy(&s.lock);
	if (result == 0 && s.line_ended && !cfg->control->old && !cfg->control->retiring) {
		/* only a worker that is no longer ours can shut it down; as the listening sockets, too */
		err_set(e,
			"the line from the workers is shut down: TLS fails until certificates are read again (HUP)");
		result = -1;
	}
	return result;
}
