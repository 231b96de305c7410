/* SPDX-License-Identifier: ISC */
/*
 * A long way to the upstream: a TCP proxy that holds every byte back for a
 * fixed time in each direction and otherwise lets it stream. Any number of
 * connections, any number of bytes on their way at once (up to a ceiling far
 * above what a mail uses), so it delays but does not limit. A connection
 * costs what it costs at that distance: the far end is reached one and a half
 * round trips after connect(2), so that its greeting is seen after two.
 *
 *   delayproxy [-d ONE_WAY_MS] [-f FD] PORT
 *
 * Forwards to 127.0.0.1:PORT. Prints `{"port": N}` when it listens. Ends when
 * standard input is closed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tool.h"

#define ON_THE_WAY_MAX (16u << 20) /* bytes held in one direction before we stop reading */

struct link;

/* Something that happens later: bytes that come out, an end of file, or the far connection. */
struct event {
	struct event *next;
	struct link *link;
	int64_t due_ns;
	unsigned to; /* the side it comes out of */
	size_t len, sent; /* len 0: end of file, or for a `connects` event nothing */
	char data[];
};

struct queue {
	struct event *first, **last;
};

/* One client and its far end; side 0 is the client's, 1 the upstream's. */
struct link {
	struct end {
		struct link *link;
		int fd;
		bool ended; /* no more is read here */
		bool stalled; /* readable, but too much is on its way */
		bool shut; /* an end of file went out here */
		size_t held; /* bytes read on the other side that did not come out here yet */
		struct queue out; /* due, but the socket was full */
	} end[2];
	unsigned pending; /* events on their way that point here */
	bool dead;
	struct link *next_dead;
};

static struct {
	int epoll, timer;
	uint16_t target;
	int64_t delay_ns;
	/* each has one delay for all, so it is sorted by itself */
	struct queue bytes, connects;
	struct link *dead; /* freed at the end of a round, when nothing points at them */
} proxy;

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_add(struct queue *q, struct event *ev)
{
	ev->next = NULL;
	*q->last = ev;
	q->last = &ev->next;
}

static struct event *queue_take(struct queue *q)
{
	struct event *ev = q->first;

	q->first = ev->next;
	if (!q->first)
		q->last = &q->first;
	return ev;
}

static struct event *event_new(struct link *l, unsigned to, size_t room, int64_t delay_ns)
{
	struct event *ev = malloc(sizeof(*ev) + room);

	if (!ev)
		tool_die("out of memory");
	*ev = (struct event){ .link = l, .to = to, .due_ns = tool_now_ns() + delay_ns };
	l->pending++;
	return ev;
}

static void event_free(struct event *ev)
{
	ev->link->pending--;
	free(ev);
}

static void link_kill(struct link *l)
{
	l->dead = true;
	l->next_dead = proxy.dead;
	proxy.dead = l;
	for (unsigned side = 0; side < 2; side++) {
		struct end *e = &l->end[side];

		if (e->fd >= 0)
			close(e->fd);
		e->fd = -1;
		while (e->out.first)
			event_free(queue_take(&e->out));
	}
}

static void reap_links(void)
{
	struct link **at = &proxy.dead;

	while (*at) {
		struct link *l = *at;

		if (l->pending > 0) {
			at = &l->next_dead;
			continue;
		}
		*at = l->next_dead;
		free(l);
	}
}

static void watch(struct end *e)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = e };

	if (epoll_ctl(proxy.epoll, EPOLL_CTL_ADD, e->fd, &ev) < 0)
		tool_die("epoll_ctl: %s", strerror(errno));
}

/* Reads what is there and sends it on its way. False: the connection broke. */
static bool take_in(struct link *l, unsigned side)
{
	static char in[1 << 17];
	struct end *e = &l->end[side], *other = &l->end[!side];

	while (e->fd >= 0 && !e->ended) {
		struct event *ev;
		ssize_t n;

		e->stalled = other->held > ON_THE_WAY_MAX;
		if (e->stalled)
			return true;
		n = read(e->fd, in, sizeof(in));
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		ev = event_new(l, !side, (size_t)n, proxy.delay_ns);
		ev->len = (size_t)n;
		memcpy(ev->data, in, (size_t)n);
		other->held += (size_t)n;
		e->ended = n == 0;
		queue_add(&proxy.bytes, ev);
	}
	return true;
}

/* Lets out what is due. False: the connection broke or is over. */
static bool let_out(struct link *l, unsigned side)
{
	struct end *e = &l->end[side];

	while (e->fd >= 0 && e->out.first) {
		struct event *ev = e->out.first;

		if (ev->len == 0) {
			shutdown(e->fd, SHUT_WR);
			e->shut = true;
		} else {
			ssize_t n = send(e->fd, ev->data + ev->sent, ev->len - ev->sent, MSG_NOSIGNAL);

			if (n < 0)
				return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
			ev->sent += (size_t)n;
			e->held -= (size_t)n;
			if (ev->sent < ev->len)
				continue;
		}
		event_free(queue_take(&e->out));
	}
	if (l->end[!side].stalled && e->held <= ON_THE_WAY_MAX / 2 && !take_in(l, !side))
		return false;
	return !(e->shut && l->end[!side].shut);
}

static void reach_far_end(struct link *l)
{
	struct end *far = &l->end[1];

	far->fd = tool_connect(proxy.target);
	if (far->fd < 0)
		link_kill(l);
	else
		watch(far);
}

static void link_open(int fd)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		tool_die("out of memory");
	for (unsigned side = 0; side < 2; side++) {
		l->end[side] = (struct end){ .link = l, .fd = side == 0 ? fd : -1 };
		queue_init(&l->end[side].out);
	}
	watch(&l->end[0]);
	queue_add(&proxy.connects, event_new(l, 1, 0, 3 * proxy.delay_ns));
}

static void run_due(void)
{
	int64_t now = tool_now_ns();

	while (proxy.connects.first && proxy.connects.first->due_ns <= now) {
		struct event *ev = queue_take(&proxy.connects);
		struct link *l = ev->link;

		event_free(ev);
		if (!l->dead)
			reach_far_end(l);
	}
	while (proxy.bytes.first && proxy.bytes.first->due_ns <= now) {
		struct event *ev = queue_take(&proxy.bytes);
		struct link *l = ev->link;

		if (l->dead) {
			event_free(ev);
		} else {
			queue_add(&l->end[ev->to].out, ev);
			if (!let_out(l, ev->to))
				link_kill(l);
		}
	}
}

static void set_timer(void)
{
	struct itimerspec when = { 0 };
	int64_t due = INT64_MAX;

	if (proxy.bytes.first)
		due = proxy.bytes.first->due_ns;
	if (proxy.connects.first && proxy.connects.first->due_ns < due)
		due = proxy.connects.first->due_ns;
	if (due != INT64_MAX) {
		when.it_value.tv_sec = due / 1000000000;
		when.it_value.tv_nsec = due % 1000000000;
	}
	timerfd_settime(proxy.timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void serve(int listener)
{
	static char is_listener, is_stdin, is_timer;
	struct epoll_event ev[64];

	ev[0] = (struct epoll_event){ .events = EPOLLIN, .data.ptr = &is_listener };
	ev[1] = (struct epoll_event){ .events = EPOLLIN, .data.ptr = &is_stdin };
	ev[2] = (struct epoll_event){ .events = EPOLLIN | EPOLLET, .data.ptr = &is_timer };
	if (epoll_ctl(proxy.epoll, EPOLL_CTL_ADD, listener, &ev[0]) < 0 ||
	    epoll_ctl(proxy.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &ev[1]) < 0 ||
	    epoll_ctl(proxy.epoll, EPOLL_CTL_ADD, proxy.timer, &ev[2]) < 0)
		tool_die("epoll: %s (standard input must be a pipe)", strerror(errno));
	for (;;) {
		int n, fd;

		set_timer();
		n = epoll_wait(proxy.epoll, ev, 64, -1);
		for (int i = 0; i < n; i++) {
			struct end *e = ev[i].data.ptr;

			if (ev[i].data.ptr == &is_stdin)
				return;
			if (ev[i].data.ptr == &is_timer)
				continue;
			if (ev[i].data.ptr == &is_listener) {
				while ((fd = tool_accept(listener)) >= 0)
					link_open(fd);
				continue;
			}
			/* the other end of a link killed in this round has its event here still */
			if (!e->link->dead) {
				unsigned side = e == &e->link->end[1];

				if (!take_in(e->link, side) || !let_out(e->link, side))
					link_kill(e->link);
			}
		}
		run_due();
		reap_links();
	}
}

int main(int argc, char **argv)
{
	uint16_t port = 0;
	int opt, listener = -1;
	uint64_t delay_ms = 25;

	tool_name = "delayproxy";
	while ((opt = getopt(argc, argv, "d:f:")) != -1) {
		switch (opt) {
		case 'd':
			delay_ms = tool_number(optarg, 0, 60000);
			break;
		case 'f':
			listener = (int)tool_number(optarg, 0, 1 << 20);
			break;
		default:
			tool_die("usage: delayproxy [-d ONE_WAY_MS] [-f FD] PORT");
		}
	}
	if (optind + 1 != argc)
		tool_die("the port of the upstream is wanted");
	proxy.target = (uint16_t)tool_number(argv[optind], 1, UINT16_MAX);
	proxy.delay_ns = (int64_t)delay_ms * 1000000;
	queue_init(&proxy.bytes);
	queue_init(&proxy.connects);
	tool_need_files(4096);
	proxy.epoll = epoll_create1(EPOLL_CLOEXEC);
	proxy.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (proxy.epoll < 0 || proxy.timer < 0)
		tool_die("epoll: %s", strerror(errno));
	listener = listener < 0 ? tool_listen(&port) : tool_listen_inherited(listener, &port);
	printf("{\"port\": %u}\n", port);
	fflush(stdout);
	serve(listener);
	return 0;
}
