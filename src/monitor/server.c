/* SPDX-License-Identifier: ISC */
/* See server.h. Runs in the monitor's event loop. */
#include "monitor/server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"

#define LISTENING_MAX 32
#define AT_ONCE 16 /* connections taken before other events have a turn */
#define ACCEPT_AGAIN_MS 1000 /* out of descriptors */
#define LINGER_MS 2000 /* for the client to read the answer and close */
#define RETIRING_MS 1000 /* for either, when another process waits for our end */
#define BODY_MAX (16 << 20)

struct conn {
	struct server *server;
	struct conn *next; /* the youngest first */
	struct bufferevent *bev;
	struct event *deadline;
	bool allowed;
	bool answering; /* its request was answered: nothing more is read */
	bool at_eof; /* it has closed its side */
	bool ending; /* our side is closed: its end is waited for */
};

struct server {
	struct event_base *base;
	struct server_ops ops;
	int deadline_ms;
	struct event *accept[LISTENING_MAX];
	size_t accept_count;
	struct event *resume; /* accepts again */
	struct conn *conns;
	unsigned count;
	void (*done)(void *ctx); /* not NULL: it retires */
	void *done_ctx;
};

/* ---- connections ----------------------------------------------------------------------- */

static void set_deadline(struct conn *c, int ms)
{
	struct timeval tv;

	if (c->server->done && ms > RETIRING_MS)
		ms = RETIRING_MS;
	tv = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
	event_add(c->deadline, &tv);
}

static void conn_free(struct conn *c)
{
	struct server *s = c->server;
	struct conn **at = &s->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	s->count--;
	event_free(c->deadline);
	bufferevent_free(c->bev);
	free(c);
	if (s->count == 0 && s->done)
		s->done(s->done_ctx);
}

static void send_answer(struct conn *c, int status, const char *content_type, const struct buf *body,
			bool head)
{
	struct server *s = c->server;
	struct buf out;

	buf_init(&out, BODY_MAX + 1024);
	monitor_answer(&out, status, content_type, body->data, body->len, head);
	c->answering = true;
	set_deadline(c, s->deadline_ms);
	s->ops.answered(s->ops.ctx, status);
	ASSERT(bufferevent_write(c->bev, out.data, out.len) == 0);
	buf_release(&out);
}

static void refuse(struct conn *c, int status, const char *text)
{
	struct buf body;

	buf_init(&body, 256);
	buf_adds(&body, text);
	send_answer(c, status, "text/plain; charset=utf-8", &body, false);
	buf_release(&body);
}

static void serve(struct conn *c, const struct monitor_request *request)
{
	struct server *s = c->server;
	const char *content_type = "text/plain; charset=utf-8";
	struct buf body;
	int status;

	buf_init(&body, BODY_MAX);
	status = s->ops.answer(s->ops.ctx, request, &body, &content_type);
	send_answer(c, status, content_type, &body, request->head);
	buf_release(&body);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct monitor_request request;
	struct conn *c = ctx;
	size_t len = evbuffer_get_length(in);
	int status;

	if (c->answering) { /* more than one request, or a body: closing on unread octets would be a reset */
		evbuffer_drain(in, len);
		return;
	}
	status = monitor_request_parse((const char *)evbuffer_pullup(in, -1), len, &request);
	if (status == 0)
		return;
	evbuffer_drain(in, len);
	if (!c->allowed)
		refuse(c, 403, "Not from there: metrics_from says who may ask.\n");
	else if (status == 200)
		serve(c, &request);
	else if (status == 405)
		refuse(c, status, "GET and HEAD, and nothing else.\n");
	else if (status == 431)
		refuse(c, status, "The request is too long.\n");
	else
		refuse(c, status, "This is no request.\n");
}

static void on_written(struct bufferevent *bev, void *ctx)
{
	struct conn *c = ctx;

	if (!c->answering || c->ending)
		return;
	if (c->at_eof) {
		conn_free(c);
		return;
	}
	c->ending = true;
	shutdown(bufferevent_getfd(bev), SHUT_WR);
	set_deadline(c, LINGER_MS);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct conn *c = ctx;

	/* it may only have closed its side, behind its request: then the answer is still on its way */
	if ((what & BEV_EVENT_EOF) && c->answering && !c->ending) {
		bufferevent_disable(bev, EV_READ);
		c->at_eof = true;
		return;
	}
	conn_free(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
	struct conn *c = ctx;

	(void)fd;
	(void)what;
	if (c->answering)
		conn_free(c);
	else
		refuse(c, 408, "The request was not finished in time.\n");
}

/* The one that is there for longest makes room: whoever is slow is in the way of himself only. */
static void make_room(struct server *s)
{
	struct conn *oldest = s->conns;

	if (s->count < SERVER_CONNECTIONS_MAX)
		return;
	while (oldest->next)
		oldest = oldest->next;
	conn_free(oldest);
}

static void admit(struct server *s, int fd)
{
	struct conn *c;

	make_room(s);
	c = mem_alloc(sizeof(*c));
	*c = (struct conn){ .server = s, .next = s->conns, .allowed = s->ops.may_ask(s->ops.ctx, fd) };
	s->conns = c;
	s->count++;
	c->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	c->deadline = evtimer_new(s->base, on_deadline, c);
	ASSERT(c->bev && c->deadline);
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, MONITOR_REQUEST_MAX);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	set_deadline(c, s->deadline_ms);
}

/* ---- accepting ------------------------------------------------------------------------- */

static void on_resume(evutil_socket_t fd, short what, void *ctx)
{
	struct server *s = ctx;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < s->accept_count; i++)
		event_add(s->accept[i], NULL);
}

static void pause_accepting(struct server *s)
{
	struct timeval tv = { ACCEPT_AGAIN_MS / 1000, 0 };

	for (size_t i = 0; i < s->accept_count; i++)
		event_del(s->accept[i]);
	event_add(s->resume, &tv);
}

static void on_accept(evutil_socket_t fd, short what, void *ctx)
{
	struct server *s = ctx;

	(void)what;
	for (int i = 0; i < AT_ONCE; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (client >= 0) {
			admit(s, client);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_accepting(s);
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

struct server *server_new(struct event_base *base, const struct server_ops *ops, int deadline_ms)
{
	struct server *s = mem_alloc(sizeof(*s));

	*s = (struct server){ .base = base, .ops = *ops, .deadline_ms = deadline_ms };
	s->resume = evtimer_new(base, on_resume, s);
	ASSERT(s->resume);
	return s;
}

void server_listen(struct server *s, int fd)
{
	struct event *e = event_new(s->base, fd, EV_READ | EV_PERSIST, on_accept, s);

	ASSERT(e);
	if (s->accept_count == LISTENING_MAX) { /* a name that resolves to more is nobody's wish */
		event_free(e);
		return;
	}
	s->accept[s->accept_count++] = e;
	event_add(e, NULL);
}

void server_retire(struct server *s, void (*done)(void *ctx), void *ctx)
{
	if (s->done)
		return;
	s->done = done;
	s->done_ctx = ctx;
	for (size_t i = 0; i < s->accept_count; i++)
		event_free(s->accept[i]);
	s->accept_count = 0;
	event_del(s->resume);
	for (struct conn *c = s->conns; c; c = c->next)
		set_deadline(c, RETIRING_MS);
	if (s->count == 0)
		done(ctx);
}

void server_free(struct server *s)
{
	if (!s)
		return;
	s->done = NULL;
	while (s->conns)
		conn_free(s->conns);
	for (size_t i = 0; i < s->accept_count; i++)
		event_free(s->accept[i]);
	event_free(s->resume);
	free(s);
}
