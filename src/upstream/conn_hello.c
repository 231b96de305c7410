/* SPDX-License-Identifier: ISC */
/* See conn.h: the socket's side of an LMTP session's beginning. What is said there is hello.c's. */
#include "upstream/conn.h"

#define RECEIVE_BYTES 4096

void conn_hello_failed(struct upstream_conn *c, const char *text)
{
	struct upstream_outcome why = { .how = UPSTREAM_NO_ANSWER, .phase = UPSTREAM_GREETING };

	smtp_reply_set(&why.reply, 0, "", "%s", text);
	conn_end_session(c, &why);
}

/* True when there is nothing left to take, or the session's start is over. */
static bool hello_line(struct upstream_conn *c, const char *data, size_t len, size_t *used)
{
	struct upstream_outcome why = { .how = UPSTREAM_ANSWERED, .phase = UPSTREAM_GREETING };
	struct hello *h = &c->hello;
	enum hello_result result = hello_take(h, data, len, used);

	if (result != HELLO_MORE && result != HELLO_BROKEN)
		channel_trace_line(&c->channel.trace, h->parser.line, h->parser.taken_len);
	switch (result) {
	case HELLO_LINE:
		return *used == len;
	case HELLO_MORE:
		break;
	case HELLO_DONE:
		conn_begin_transactions(c, data + *used, len - *used);
		break;
	case HELLO_REFUSED:
		why.reply = h->parser.reply;
		conn_end_session(c, &why);
		break;
	case HELLO_BROKEN:
		conn_hello_failed(c, h->parser.why);
		break;
	}
	return true;
}

static void hello_receive(struct upstream_conn *c)
{
	char data[RECEIVE_BYTES];
	struct err e;
	size_t n, used, at;

	while (!c->over && c->state == CONN_HELLO) {
		switch (channel_recv(&c->channel, data, sizeof(data), &n, &e)) {
		case CHANNEL_IO_AGAIN:
			return;
		case CHANNEL_IO_FAILED:
			conn_hello_failed(c, e.text);
			return;
		case CHANNEL_IO_OK:
			if (n == 0)
				conn_hello_failed(c, "the server closed the connection");
			for (at = 0; at < n; at += used)
				if (hello_line(c, data + at, n - at, &used))
					break;
			break;
		}
	}
}

/* LHLO, once the greeting is there. */
static void hello_send(struct upstream_conn *c)
{
	struct hello *h = &c->hello;
	struct err e;
	size_t n;

	c->write_blocked = false;
	while (!c->over && c->state == CONN_HELLO && h->out_from < h->out_len) {
		if (h->out_from == 0)
			channel_trace_command(&c->channel.trace, h->out, h->out_len - 2);
		switch (channel_write(&c->channel, h->out + h->out_from, h->out_len - h->out_from, &n, &e)) {
		case CHANNEL_IO_OK:
			h->out_from += n;
			break;
		case CHANNEL_IO_AGAIN:
			c->write_blocked = true;
			return;
		case CHANNEL_IO_FAILED:
			conn_hello_failed(c, e.text);
			return;
		}
	}
}

void conn_hello_work(struct upstream_conn *c)
{
	hello_receive(c);
	hello_send(c);
	if (!c->over && c->state == CONN_HELLO)
		conn_watch_socket(c);
}
