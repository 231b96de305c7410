/* SPDX-License-Identifier: ISC */
/*
 * See door.h: the sockets, who comes in, and what may take how long. Runs in
 * the relay's event loop. Local users of two groups talk to this: what they
 * send has a ceiling and a deadline, what they do not read too.
 */
#include "relay/door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "manage/json.h"
#include "relay/door_internal.h"
#include "spool/socket.h"

#define ACCEPT_AGAIN_MS 1000
#define CLOSING_MS 5000 /* for the last words to be read */

static const struct {
	const char *name;
	unsigned max, max_a_user;
} sockets[DOOR_SOCKETS] = {
	[DOOR_VIEW] = { PROTOCOL_VIEW_SOCKET, DOOR_VIEW_MAX, DOOR_VIEW_MAX_A_USER },
	[DOOR_CONTROL] = { PROTOCOL_CONTROL_SOCKET, DOOR_CONTROL_MAX, DOOR_CONTROL_MAX },
};

static struct timeval timeval_of(int ms)
{
	return (struct timeval){ ms / 1000, ms % 1000 * 1000 };
}

/* ---- output ------------------------------------------------------------------------- */

static int add_chunk(const char *data, size_t len, void *ctx)
{
	ASSERT(evbuffer_add(ctx, data, len) == 0);
	return 0;
}

void conn_send(struct door_conn *c, json_t *o)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);

	json_write(o, JSON_COMPACT, add_chunk, out);
	add_chunk("\n", 1, out);
	json_decref(o);
}

void conn_send_end(struct door_conn *c)
{
	json_t *o = json_object();

	json_put_key(o, "end", json_true());
	conn_send(c, o);
}

static json_t *error_object(const char *text)
{
	json_t *o = json_object();

	json_put_key(o, "error", json_text_or_null(text));
	json_put_key(o, "end", json_true());
	return o;
}

void conn_send_error(struct door_conn *c, const char *text)
{
	conn_send(c, error_object(text));
}

/* ---- deadlines ---------------------------------------------------------------------- */

static void set_deadline(struct door_conn *c, int ms)
{
	struct timeval tv = timeval_of(ms);

	event_add(c->deadline, &tv);
}

/* A request that was begun has one deadline, however slowly the rest of it comes. */
static void set_reading_deadline(struct door_conn *c, bool begun)
{
	if (begun && c->request_begun)
		return;
	c->request_begun = begun;
	set_deadline(c, begun ? c->door->setup.request_ms : c->door->setup.idle_ms);
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
	struct door_conn *c = ctx;

	(void)fd;
	(void)what;
	if (c->mode == CONN_CLOSING) {
		conn_free(c);
		return;
	}
	conn_send_error(c, c->request_begun ? "the request was not finished in time" : "no request for a long time");
	conn_close_soon(c);
}

void conn_close_soon(struct door_conn *c)
{
	if (c->mode == CONN_WATCHING)
		watch_end(c);
	c->mode = CONN_CLOSING;
	bufferevent_disable(c->bev, EV_READ);
	set_deadline(c, CLOSING_MS);
}

/* ---- connections -------------------------------------------------------------------- */

void conn_free(struct door_conn *c)
{
	struct door_conn **at = &c->door->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	if (c->mode == CONN_WATCHING)
		watch_end(c);
	c->door->id_streams -= c->mode == CONN_SENDING_IDS;
	event_free(c->deadline);
	if (c->writable)
		event_free(c->writable);
	bufferevent_free(c->bev);
	protocol_request_release(&c->open);
	free(c->ids);
	free(c);
}

/* The next whole line, to be freed; NULL: there is none (yet). */
static char *take_line(struct door_conn *c, size_t *len)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct evbuffer_ptr at = evbuffer_search(in, "\n", 1, NULL);
	char *line;

	if (at.pos < 0)
		return NULL;
	*len = (size_t)at.pos;
	line = mem_alloc(*len + 1);
	ASSERT(evbuffer_remove(in, line, *len) == at.pos && evbuffer_drain(in, 1) == 0);
	return line;
}

void conn_work(struct door_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev), *out = bufferevent_get_output(c->bev);
	size_t len;
	char *line;

	while (c->mode == CONN_READING && evbuffer_get_length(out) == 0 && (line = take_line(c, &len))) {
		event_del(c->deadline);
		c->request_begun = false;
		if (len > PROTOCOL_LINE_MAX) {
			conn_send_error(c, "the request is too long");
			conn_close_soon(c);
		} else {
			answer_line(c, line, len);
		}
		free(line);
	}
	if (c->mode != CONN_READING || evbuffer_get_length(out) > 0)
		return;
	if (c->at_eof) {
		conn_free(c);
		return;
	}
	if (evbuffer_get_length(in) > PROTOCOL_LINE_MAX) {
		conn_send_error(c, "the request is too long");
		conn_close_soon(c);
		return;
	}
	set_reading_deadline(c, evbuffer_get_length(in) > 0);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct door_conn *c = ctx;

	if (c->mode == CONN_WATCHING) {
		bufferevent_disable(bev, EV_READ);
		watch_end(c);
		c->mode = CONN_READING;
		conn_send_error(c, "nothing can be asked by who watches");
		conn_close_soon(c);
		return;
	}
	conn_work(c);
}

/* The output is empty. */
static void on_written(struct bufferevent *bev, void *ctx)
{
	struct door_conn *c = ctx;

	(void)bev;
	switch (c->mode) {
	case CONN_READING:
		conn_work(c);
		return;
	case CONN_SENDING_IDS:
	case CONN_SENDING_FILES:
		answer_more(c);
		return;
	case CONN_WATCHING:
		return;
	case CONN_CLOSING:
		conn_free(c);
		return;
	}
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct door_conn *c = ctx;

	(void)bev;
	if ((what & BEV_EVENT_EOF) && c->mode != CONN_WATCHING) {
		/* it may only have closed its side: `printf ... | nc -U` */
		c->at_eof = true;
		conn_work(c);
		return;
	}
	conn_free(c); /* gone, or it does not read what it asked for */
}

static unsigned count_conns(const struct door *d, enum door_socket socket, const uid_t *uid)
{
	unsigned n = 0;

	for (const struct door_conn *c = d->conns; c; c = c->next)
		n += c->socket == socket && (!uid || c->uid == *uid);
	return n;
}

static bool is_crowded(const struct door *d, enum door_socket socket, uid_t uid)
{
	return count_conns(d, socket, NULL) >= sockets[socket].max ||
	       (uid != 0 && count_conns(d, socket, &uid) >= sockets[socket].max_a_user);
}

static void turn_away(int fd)
{
	static const char text[] = "{\"error\":\"too many connections: try again\",\"end\":true}\n";

	(void)!send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static void admit(struct door *d, enum door_socket socket, int fd)
{
	struct timeval stalled = timeval_of(DOOR_STALLED_MS);
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);
	struct door_conn *c;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || is_crowded(d, socket, peer.uid)) {
		turn_away(fd);
		return;
	}
	c = mem_alloc(sizeof(*c));
	c->door = d;
	c->socket = socket;
	c->uid = peer.uid;
	snprintf(c->by, sizeof(c->by), "uid=%lu", (unsigned long)peer.uid);
	c->bev = bufferevent_socket_new(d->base, fd, BEV_OPT_CLOSE_ON_FREE);
	c->deadline = evtimer_new(d->base, on_deadline, c);
	ASSERT(c->bev && c->deadline);
	c->next = d->conns;
	d->conns = c;
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, PROTOCOL_LINE_MAX + 1);
	bufferevent_set_timeouts(c->bev, NULL, &stalled);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	set_reading_deadline(c, false);
}

/* ---- the sockets -------------------------------------------------------------------- */

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
		      void *ctx)
{
	struct door *d = ctx;

	(void)address;
	(void)len;
	admit(d, listener == d->listener[DOOR_VIEW] ? DOOR_VIEW : DOOR_CONTROL, fd);
}

/* Descriptors have run out, most probably: asked at once again it would say the same, for ever. */
static void on_accept_error(struct evconnlistener *listener, void *ctx)
{
	struct door *d = ctx;
	struct timeval tv = timeval_of(ACCEPT_AGAIN_MS);

	evconnlistener_disable(listener);
	event_add(d->accept_again, &tv);
}

static void on_accept_again(evutil_socket_t fd, short what, void *ctx)
{
	struct door *d = ctx;

	(void)fd;
	(void)what;
	for (int i = 0; i < DOOR_SOCKETS; i++)
		evconnlistener_enable(d->listener[i]);
}

static int listen_all(struct door *d, struct err *e)
{
	const gid_t gid[DOOR_SOCKETS] = { [DOOR_VIEW] = d->setup.view_gid, [DOOR_CONTROL] = d->setup.control_gid };

	for (int i = 0; i < DOOR_SOCKETS; i++) {
		int fd = spool_socket_listen(d->setup.spool, sockets[i].name, gid[i], e);

		if (fd < 0)
			return -1;
		d->listener[i] = evconnlistener_new(d->base, on_accept, d,
						    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
		ASSERT(d->listener[i]);
		evconnlistener_set_error_cb(d->listener[i], on_accept_error);
	}
	return 0;
}

int door_open(struct door **out, struct event_base *base, const struct door_setup *setup, struct err *e)
{
	struct door *d = mem_alloc(sizeof(*d));

	d->setup = *setup;
	d->setup.request_ms = setup->request_ms ? setup->request_ms : DOOR_REQUEST_MS;
	d->setup.idle_ms = setup->idle_ms ? setup->idle_ms : DOOR_IDLE_MS;
	d->base = base;
	d->accept_again = evtimer_new(base, on_accept_again, d);
	ASSERT(d->accept_again);
	if (listen_all(d, e) < 0 || watch_open(d, e) < 0) {
		door_close(d);
		return -1;
	}
	*out = d;
	return 0;
}

/* What was done was answered: a command that does not see its answer would order it again. Nobody is waited for. */
static void flush_answers(struct door_conn *c)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);

	bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	evbuffer_unfreeze(out, 1);
	while (evbuffer_get_length(out) > 0 && evbuffer_write(out, bufferevent_getfd(c->bev)) > 0)
		;
}

void door_close(struct door *d)
{
	if (!d)
		return;
	while (d->conns) {
		flush_answers(d->conns);
		conn_free(d->conns);
	}
	watch_close(d);
	for (int i = 0; i < DOOR_SOCKETS; i++)
		if (d->listener[i])
			evconnlistener_free(d->listener[i]);
	event_free(d->accept_again);
	free(d);
}
