/* SPDX-License-Identifier: ISC */
/* See probe.h. */
#include "monitor/probe.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/descriptors.h"

#define ANSWER_MAX 4096 /* octets that are read of one reply */

enum step { STEP_GREETING, STEP_EHLO, STEP_MAIL, STEP_QUIT };

struct probe {
	struct event_base *base;
	int line_fd;
	bool store;
	struct timeval answer; /* time for each reply but the first */
	void (*done)(void *ctx, enum probe_result result, int64_t took_us);
	void *ctx;
	struct bufferevent *bev; /* NULL: none is under way */
	enum step step;
	bool stored;
	int64_t began_us;
};

static void finish(struct probe *p, enum probe_result result)
{
	bufferevent_free(p->bev);
	p->bev = NULL;
	p->done(p->ctx, result, clock_mono_us() - p->began_us);
}

static void say(struct probe *p, enum step next, const char *line)
{
	p->step = next;
	bufferevent_set_timeouts(p->bev, &p->answer, NULL);
	ASSERT(bufferevent_write(p->bev, line, strlen(line)) == 0);
}

/* code: first digit of a whole reply. leaves: it was 421, at whatever moment. */
static void hear(struct probe *p, char code, bool leaves)
{
	if (leaves) { /* it stops, or had to wait for us for too long: it says nothing of the spool */
		finish(p, PROBE_LOST);
		return;
	}
	switch (p->step) {
	case STEP_GREETING:
		if (code != '2')
			finish(p, PROBE_LOST);
		else
			say(p, STEP_EHLO, "EHLO monitor\r\n");
		break;
	case STEP_EHLO:
		p->stored = true;
		if (code != '2')
			finish(p, PROBE_LOST);
		else if (p->store)
			say(p, STEP_MAIL, "MAIL FROM:<>\r\n");
		else
			say(p, STEP_QUIT, "QUIT\r\n");
		break;
	case STEP_MAIL:
		p->stored = code == '2';
		say(p, STEP_QUIT, "QUIT\r\n");
		break;
	case STEP_QUIT:
		finish(p, p->stored ? PROBE_GOOD : PROBE_NO_STORE);
		break;
	}
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct probe *p = ctx;
	size_t len;
	char *line;

	while (p->bev && (line = evbuffer_readln(in, &len, EVBUFFER_EOL_CRLF))) {
		/* "250-..." goes on; whatever a hijacked worker says, only this is looked at */
		bool last = len >= 3 && line[3] != '-';
		char code = len >= 3 ? line[0] : '5';
		bool leaves = len >= 3 && strncmp(line, "421", 3) == 0;

		free(line);
		if (len < 3)
			finish(p, PROBE_LOST);
		else if (last)
			hear(p, code, leaves);
	}
	if (p->bev && evbuffer_get_length(in) >= ANSWER_MAX)
		finish(p, PROBE_LOST);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	(void)bev;
	(void)what;
	finish(ctx, PROBE_LOST);
}

void probe_ask(struct probe *p)
{
	int pair[2];

	if (p->bev)
		return;
	p->began_us = clock_mono_us();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return;
	/* a full line: the questions of monitors that are gone wait there, and workers that take none of them */
	if (descriptors_send(p->line_fd, "?", 1, &pair[1], 1) < 0) {
		close(pair[0]);
		close(pair[1]);
		return;
	}
	close(pair[1]);
	p->step = STEP_GREETING;
	p->stored = false;
	p->bev = bufferevent_socket_new(p->base, pair[0], BEV_OPT_CLOSE_ON_FREE);
	ASSERT(p->bev);
	bufferevent_setcb(p->bev, on_read, NULL, on_event, p);
	bufferevent_setwatermark(p->bev, EV_READ, 0, ANSWER_MAX);
	bufferevent_enable(p->bev, EV_READ | EV_WRITE);
}

bool probe_is_open(const struct probe *p)
{
	return p->bev;
}

struct probe *probe_new(struct event_base *base, int line_fd, bool store, int64_t answer_ms,
			void (*done)(void *ctx, enum probe_result result, int64_t took_us), void *ctx)
{
	struct probe *p = mem_alloc(sizeof(*p));

	*p = (struct probe){ .base = base,
			     .line_fd = line_fd,
			     .store = store,
			     .answer = { answer_ms / 1000, answer_ms % 1000 * 1000 },
			     .done = done,
			     .ctx = ctx };
	return p;
}

void probe_free(struct probe *p)
{
	if (p && p->bev)
		bufferevent_free(p->bev);
	free(p);
}
