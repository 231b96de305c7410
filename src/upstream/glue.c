/* SPDX-License-Identifier: ISC */
/*
 * struct upstream: one libcurl multi handle driven by a libevent base, as
 * libcurl's multi_socket interface wants it: libcurl says which sockets and
 * which timer it waits for, we tell it when they are due. Only for the start
 * of sessions, after which conn.c watches the socket itself, and for http.c.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "upstream/conn.h"

static void sessions_done(struct upstream *u)
{
	struct upstream_conn *c;
	CURLMsg *msg;
	int left;

	for (c = LIST_FIRST(&u->conns); c; c = LIST_NEXT(c, link))
		conn_session_progress(c);
	while ((msg = curl_multi_info_read(u->multi, &left))) {
		CURLcode result = msg->data.result;
		char *transfer = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &transfer);
		((struct transfer *)(void *)transfer)->done((struct transfer *)(void *)transfer, result);
	}
}

static void on_socket(evutil_socket_t fd, short events, void *ctx)
{
	struct upstream *u = ctx;
	int running, mask = (events & EV_READ ? CURL_CSELECT_IN : 0) | (events & EV_WRITE ? CURL_CSELECT_OUT : 0);

	curl_multi_socket_action(u->multi, fd, mask, &running);
	sessions_done(u);
}

static void on_timer(evutil_socket_t fd, short events, void *ctx)
{
	struct upstream *u = ctx;
	int running;

	(void)fd;
	(void)events;
	curl_multi_socket_action(u->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	sessions_done(u);
}

/* libcurl tells which socket to watch; socket_data is our event for it. */
static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_data)
{
	struct upstream *u = ctx;
	struct event *ev = socket_data;
	short events = EV_PERSIST;

	(void)easy;
	if (ev)
		event_free(ev);
	ev = NULL;
	if (what != CURL_POLL_REMOVE) {
		if (what & CURL_POLL_IN)
			events |= EV_READ;
		if (what & CURL_POLL_OUT)
			events |= EV_WRITE;
		ev = event_new(u->base, fd, events, on_socket, u);
		ASSERT(ev);
		event_add(ev, NULL);
	}
	curl_multi_assign(u->multi, fd, ev);
	return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *ctx)
{
	struct upstream *u = ctx;
	struct timeval tv = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };

	(void)multi;
	if (timeout_ms < 0)
		event_del(u->timer);
	else
		event_add(u->timer, &tv);
	return 0;
}

int upstream_open(struct upstream **out, struct event_base *base, struct err *e)
{
	struct upstream *u;

	/* OpenSSL writes with write(2): a connection the peer closed must not end the process */
	signal(SIGPIPE, SIG_IGN);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(e, "libcurl does not start");
		return -1;
	}
	u = mem_alloc(sizeof(*u));
	u->base = base;
	LIST_INIT(&u->conns);
	u->multi = curl_multi_init();
	u->timer = event_new(base, -1, 0, on_timer, u);
	ASSERT(u->multi && u->timer);
	curl_multi_setopt(u->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(u->multi, CURLMOPT_SOCKETDATA, u);
	curl_multi_setopt(u->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(u->multi, CURLMOPT_TIMERDATA, u);
	*out = u;
	return 0;
}

void upstream_close(struct upstream *u)
{
	ASSERT(LIST_EMPTY(&u->conns));
	curl_multi_cleanup(u->multi);
	event_free(u->timer);
	free(u);
	curl_global_cleanup();
}
