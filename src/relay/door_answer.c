/* SPDX-License-Identifier: ISC */
/* Requests and their answers (manage/protocol.h). Runs in the relay's event loop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "manage/json.h"
#include "relay/door_internal.h"
#include "spool/file.h"

#define ID_STREAMS_MAX 4 /* ten octets an id each, while they are read */
#define IDS_A_LINE 1000
#define IDS_OUTPUT_BYTES (64u << 10) /* in the output, before the reader is waited for */

/* ---- ids ---------------------------------------------------------------------------- */

static void pack_id(void *ctx, const char *id)
{
	struct door_conn *c = ctx;

	/* doubled each time that it is full */
	if ((c->id_count & (c->id_count - 1)) == 0)
		c->ids = mem_resize(c->ids, c->id_count ? 2 * c->id_count : 1, sizeof(*c->ids));
	spool_id_pack(id, c->ids[c->id_count++]);
}

static void send_ids_line(struct door_conn *c)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	size_t end = c->id_count - c->id_next < IDS_A_LINE ? c->id_count : c->id_next + IDS_A_LINE;

	evbuffer_add_printf(out, "{\"ids\":[");
	for (size_t i = c->id_next; i < end; i++) {
		struct spool_id id;

		spool_id_unpack(c->ids[i], &id);
		evbuffer_add_printf(out, "%s\"%s\"", i > c->id_next ? "," : "", id.text);
	}
	evbuffer_add_printf(out, "]}\n");
	c->id_next = end;
}

static void more_ids(struct door_conn *c)
{
	while (c->id_next < c->id_count && evbuffer_get_length(bufferevent_get_output(c->bev)) < IDS_OUTPUT_BYTES)
		send_ids_line(c);
	if (c->id_next < c->id_count)
		return;
	conn_send_end(c);
	free(c->ids);
	c->ids = NULL;
	c->door->id_streams--;
	c->mode = CONN_READING;
}

static void answer_ids(struct door_conn *c)
{
	const struct door_setup *setup = &c->door->setup;

	if (c->door->id_streams == ID_STREAMS_MAX) {
		conn_send_error(c, "the relay is listing the queue for others: try again");
		return;
	}
	c->door->id_streams++;
	c->mode = CONN_SENDING_IDS;
	c->id_count = c->id_next = 0;
	setup->ops->ids(setup->ctx, pack_id, c);
	more_ids(c);
}

/* ---- files -------------------------------------------------------------------------- */

/* The line goes with its descriptors in one message: 1 sent, 0 the socket is full, -1 with errno. */
static int send_with_files(struct door_conn *c, const struct buf *line, const int *fd, size_t fd_count)
{
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { line->data, line->len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *header;
	ssize_t n;

	if (fd_count > 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		header = CMSG_FIRSTHDR(&msg);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(header), fd, fd_count * sizeof(int));
	}
	do
		n = sendmsg(bufferevent_getfd(c->bev), &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	if ((size_t)n < line->len) /* the descriptors went with the first octets */
		bufferevent_write(c->bev, line->data + n, line->len - (size_t)n);
	return 1;
}

/* What is not there, or refused, is false: a message that was delivered meanwhile, one never tried. */
static int send_files_of(struct door_conn *c, const char *id)
{
	const struct spool *s = c->door->setup.spool;
	int message = spool_file_open(spool_place_queue(s), id), state = spool_file_open(spool_place_state(s), id);
	json_t *o = json_object();
	size_t count = 0;
	struct buf line;
	int fd[2], r;

	if (message >= 0)
		fd[count++] = message;
	if (state >= 0)
		fd[count++] = state;
	json_put_key(o, "id", json_string(id));
	json_put_key(o, "message", json_boolean(message >= 0));
	json_put_key(o, "state", json_boolean(state >= 0));
	buf_init(&line, 1024);
	ASSERT(json_add_line(o, &line));
	r = send_with_files(c, &line, fd, count);
	for (size_t i = 0; i < count; i++)
		close(fd[i]);
	buf_release(&line);
	json_decref(o);
	return r;
}

static void end_files(struct door_conn *c)
{
	protocol_request_release(&c->open);
	c->mode = CONN_READING;
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
	struct door_conn *c = ctx;

	(void)fd;
	if (what & EV_TIMEOUT)
		conn_free(c);
	else
		answer_more(c);
}

static void wait_for_room(struct door_conn *c)
{
	struct timeval tv = { DOOR_STALLED_MS / 1000, 0 };

	if (!c->writable)
		c->writable = event_new(c->door->base, bufferevent_getfd(c->bev), EV_WRITE, on_writable, c);
	ASSERT(c->writable);
	event_add(c->writable, &tv);
}

static void more_files(struct door_conn *c)
{
	while (c->open_next < c->open.id_count) {
		int r = send_files_of(c, c->open.id[c->open_next].text);

		if (r < 0) {
			end_files(c);
			conn_send_error(c, "the files cannot be handed over now: try again");
			return;
		}
		if (r == 0) {
			wait_for_room(c);
			return;
		}
		c->open_next++;
		if (evbuffer_get_length(bufferevent_get_output(c->bev)) > 0)
			return; /* the rest of the line first */
	}
	end_files(c);
	conn_send_end(c);
}

/* What is known of Mailman's lists, for who may look and may not read the spool's files. */
static void answer_lists(struct door_conn *c)
{
	int fd = spool_file_open(spool_place_root(c->door->setup.spool), DOOR_LISTS_NAME), sent;
	json_t *o = json_object();
	struct buf line;

	json_put_key(o, "lists", json_boolean(fd >= 0));
	json_put_key(o, "end", json_true());
	buf_init(&line, 1024);
	ASSERT(json_add_line(o, &line));
	sent = send_with_files(c, &line, &fd, fd >= 0);
	if (sent <= 0)
		conn_send_error(c, "the file cannot be handed over now: try again");
	if (fd >= 0)
		close(fd);
	buf_release(&line);
	json_decref(o);
}

/* Takes over the request. */
static void answer_open(struct door_conn *c, struct protocol_request *r)
{
	c->open = *r;
	c->open_next = 0;
	memset(r, 0, sizeof(*r));
	c->mode = CONN_SENDING_FILES;
	more_files(c);
}

void answer_more(struct door_conn *c)
{
	if (c->mode == CONN_SENDING_IDS)
		more_ids(c);
	else
		more_files(c);
}

/* ---- the others --------------------------------------------------------------------- */

static void answer_object(struct door_conn *c, json_t *o)
{
	json_put_key(o, "end", json_true());
	conn_send(c, o);
}

static void answer_flight(struct door_conn *c)
{
	json_t *o = json_object();

	json_put_key(o, "flight", c->door->setup.ops->flight(c->door->setup.ctx));
	answer_object(c, o);
}

static void answer_action(struct door_conn *c, const struct protocol_request *r)
{
	const struct door_setup *setup = &c->door->setup;
	struct action_order order = { r->action, r->reason, r->upstream, c->by };
	struct action_item *items = mem_array(r->id_count, sizeof(*items));

	for (size_t i = 0; i < r->id_count; i++) {
		items[i].id = r->id[i];
		items[i].due_wall_ms = CLOCK_NEVER;
	}
	setup->ops->order(setup->ctx, &order, items, r->id_count);
	for (size_t i = 0; i < r->id_count; i++)
		conn_send(c, protocol_result(&items[i]));
	free(items);
	conn_send_end(c);
}

static void answer_upstream(struct door_conn *c, const struct protocol_request *r)
{
	const struct door_setup *setup = &c->door->setup;
	struct suspension one = { (char *)(uintptr_t)r->upstream, clock_wall_us(), r->until_wall_us,
				  (char *)(uintptr_t)r->reason, c->by };
	struct err e;
	int done = r->verb == PROTOCOL_SUSPEND ? setup->ops->suspend(setup->ctx, &one, &e) :
		   r->verb == PROTOCOL_RESUME  ? setup->ops->resume(setup->ctx, r->upstream, c->by, &e) :
						 setup->ops->probe(setup->ctx, r->upstream, c->by, &e);

	if (done < 0)
		conn_send_error(c, e.text);
	else
		conn_send_end(c);
}

static void answer(struct door_conn *c, struct protocol_request *r)
{
	const struct door_setup *setup = &c->door->setup;

	switch (r->verb) {
	case PROTOCOL_STATUS:
		answer_object(c, setup->ops->status(setup->ctx));
		return;
	case PROTOCOL_FLIGHT:
		answer_flight(c);
		return;
	case PROTOCOL_IDS:
		answer_ids(c);
		return;
	case PROTOCOL_OPEN:
		answer_open(c, r);
		return;
	case PROTOCOL_LISTS:
		answer_lists(c);
		return;
	case PROTOCOL_WATCH:
		watch_begin(c);
		return;
	case PROTOCOL_ACTION:
		answer_action(c, r);
		return;
	case PROTOCOL_SUSPEND:
	case PROTOCOL_RESUME:
	case PROTOCOL_PROBE:
		answer_upstream(c, r);
		return;
	}
}

void answer_line(struct door_conn *c, const char *line, size_t len)
{
	struct protocol_request r;
	struct err e;

	if (protocol_parse(&r, line, len, &e) < 0) {
		/* who speaks something else is not listened to any longer */
		conn_send_error(c, e.text);
		conn_close_soon(c);
		return;
	}
	if (protocol_is_change(r.verb) && c->socket != DOOR_CONTROL)
		conn_send_error(c, "on this socket one may only look: changes are asked for on \"control\", "
				   "open to root and the members of control_group");
	else
		answer(c, &r);
	protocol_request_release(&r);
}
