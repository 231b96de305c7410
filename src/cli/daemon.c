/* SPDX-License-Identifier: ISC */
/*
 * See daemon.h. Runs in the operator's command; what it reads comes from the
 * relay, and is still not trusted to be small, or well formed, or to come.
 */
#include "cli/daemon.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "manage/json.h"
#include "manage/protocol.h"
#include "spool/socket.h"

#define ANSWER_LINE_MAX (64u << 20) /* a status with ten thousand workers is far smaller */
#define CONNECT_TIMEOUT_MS 10000
#define SEND_TIMEOUT_MS 30000
#define OPEN_TIMEOUT_MS 30000
#define BACKLOG_PAUSE_MS 20
#define FDS_MAX (2 * PROTOCOL_OPEN_MAX)
#define FDS_A_LINE 2

struct daemon {
	int fd;
	char *spool_path; /* owned */
	const char *socket; /* its name there */
	char *name; /* of both, for messages; owned */
	struct buf request; /* the line that was sent last */
	bool answered; /* something came since */
	int64_t again_until_mono_ms; /* it may be sent to the next relay */
	struct buf input; /* lines begin at its start */
	size_t searched; /* octets of it that are known to hold no newline */
	int received[FDS_MAX]; /* descriptors that came with the lines, not yet handed out */
	size_t received_count;
	bool at_end;
};

/* ---- connecting --------------------------------------------------------------------- */

static void explain_denied(gid_t gid, struct err *e)
{
	struct err why = *e;
	const struct group *group = gid == (gid_t)-1 || gid == 0 ? NULL : getgrgid(gid);

	if (group)
		err_set(e, "%s: only members of the group \"%s\" may (usermod -aG %s USER, then log in again), and root",
			why.text, group->gr_name, group->gr_name);
	else
		err_set(e, "%s: run it as root, or as the daemon's user", why.text);
	e->os_error = why.os_error;
}

static enum daemon_found connect_found(const char *path, const char *name, int *fd, struct err *e)
{
	static bool nobody_came; /* who was waited for in vain is not waited for again by the next question */
	int64_t deadline = clock_mono_ms() + CONNECT_TIMEOUT_MS,
		between = clock_mono_ms() + DAEMON_BETWEEN_MS;
	gid_t gid;

	for (;;) {
		*fd = spool_socket_connect(path, name, &gid, e);
		if (*fd >= 0)
			return DAEMON_CONNECTED;
		switch (e->os_error) {
		case ECONNREFUSED: /* a relay was there, and a service that stops removes its socket */
			if (!nobody_came && clock_mono_ms() < between)
				break;
			nobody_came = true;
			__attribute__((fallthrough));
		case ENOENT:
			err_set(e, "%s/%s: nobody listens there: the daemon of this spool does not run", path, name);
			return DAEMON_ABSENT;
		case EACCES:
		case EPERM:
			explain_denied(gid, e);
			return DAEMON_DENIED;
		case EAGAIN:
			break;
		default:
			return DAEMON_FAILED;
		}
		if (clock_mono_ms() >= deadline) {
			err_set(e, "%s/%s: the relay took no connection within %d s: look at its log", path, name,
				CONNECT_TIMEOUT_MS / 1000);
			return DAEMON_FAILED;
		}
		(void)poll(NULL, 0, BACKLOG_PAUSE_MS);
	}
}

enum daemon_found daemon_connect(struct daemon **out, const char *spool_path, enum daemon_door door, struct err *e)
{
	const char *name = door == DAEMON_VIEW ? PROTOCOL_VIEW_SOCKET : PROTOCOL_CONTROL_SOCKET;
	enum daemon_found found;
	struct err ignored;
	struct daemon *d;
	int fd;

	found = connect_found(spool_path, name, &fd, e);
	if (found == DAEMON_DENIED && door == DAEMON_VIEW &&
	    connect_found(spool_path, PROTOCOL_CONTROL_SOCKET, &fd, &ignored) == DAEMON_CONNECTED) {
		name = PROTOCOL_CONTROL_SOCKET;
		found = DAEMON_CONNECTED;
	}
	if (found != DAEMON_CONNECTED)
		return found;
	d = mem_alloc(sizeof(*d));
	d->fd = fd;
	d->spool_path = mem_strdup(spool_path);
	d->socket = name;
	d->name = mem_printf("%s/%s", spool_path, name);
	buf_init(&d->request, PROTOCOL_LINE_MAX);
	buf_init(&d->input, ANSWER_LINE_MAX);
	*out = d;
	return DAEMON_CONNECTED;
}

void daemon_close(struct daemon *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->received_count; i++)
		close(d->received[i]);
	close(d->fd);
	free(d->spool_path);
	free(d->name);
	buf_release(&d->request);
	buf_release(&d->input);
	free(d);
}

/* ---- octets ------------------------------------------------------------------------- */

/* 1: ready, 0: the deadline has come, -1 and e. */
static int wait_for(const struct daemon *d, short events, int64_t deadline_mono_ms, struct err *e)
{
	struct pollfd p = { .fd = d->fd, .events = events };

	for (;;) {
		int64_t left = deadline_mono_ms == CLOCK_NEVER ? -1 : deadline_mono_ms - clock_mono_ms();
		int n = poll(&p, 1, left < 0 && deadline_mono_ms != CLOCK_NEVER ? 0 : (int)left);

		if (n >= 0)
			return n;
		if (errno != EINTR) {
			err_set_os(e, errno, "%s: cannot wait for the relay", d->name);
			return -1;
		}
	}
}

static int send_request(struct daemon *d, struct err *e)
{
	int64_t deadline = clock_mono_ms() + SEND_TIMEOUT_MS;

	for (size_t sent = 0; sent < d->request.len;) {
		ssize_t n = send(d->fd, d->request.data + sent, d->request.len - sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			sent += (size_t)n;
			continue;
		}
		/* it may have said why it does not want it, and gone: daemon_receive will tell */
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			break;
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			err_set_os(e, errno, "%s: cannot ask the relay", d->name);
			return -1;
		}
		switch (wait_for(d, POLLOUT, deadline, e)) {
		case 0:
			err_set(e, "%s: the relay does not read within %d s", d->name, SEND_TIMEOUT_MS / 1000);
			return -1;
		case -1:
			return -1;
		default:
			break;
		}
	}
	return 0;
}

int daemon_send(struct daemon *d, json_t *request, struct err *e)
{
	bool fits;

	buf_clear(&d->request);
	fits = json_add_line(request, &d->request);
	json_decref(request);
	if (!fits) {
		err_set(e, "%s: the request is larger than %u octets", d->name, PROTOCOL_LINE_MAX);
		return -1;
	}
	d->answered = false;
	d->again_until_mono_ms = clock_mono_ms() + DAEMON_BETWEEN_MS;
	return send_request(d, e);
}

/* It went without a word to what was asked: it made way for the next one, which is asked. */
static bool ask_again(struct daemon *d)
{
	struct err ignored;
	int fd;

	if (d->answered || clock_mono_ms() >= d->again_until_mono_ms)
		return false;
	(void)poll(NULL, 0, BACKLOG_PAUSE_MS);
	if (connect_found(d->spool_path, d->socket, &fd, &ignored) != DAEMON_CONNECTED)
		return false;
	close(d->fd);
	d->fd = fd;
	d->at_end = false;
	return send_request(d, &ignored) == 0;
}

static void take_descriptors(struct daemon *d, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (d->received_count < FDS_MAX)
				d->received[d->received_count++] = fd;
			else
				close(fd);
		}
	}
}

/* Some octets more: 1, 0 at the end of it or at the deadline (e says which), -1 and e. */
static int receive_some(struct daemon *d, int64_t deadline_mono_ms, struct err *e)
{
	char data[16384];
	union {
		char space[CMSG_SPACE(sizeof(int) * FDS_A_LINE)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { data, sizeof(data) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
			      .msg_controllen = sizeof(control.space) };
	ssize_t n = recvmsg(d->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n > 0) {
		d->answered = true;
		take_descriptors(d, &msg);
		if (buf_add(&d->input, data, (size_t)n))
			return 1;
		err_set(e, "%s: the relay's answer is a line of more than %u octets", d->name, ANSWER_LINE_MAX);
		return -1;
	}
	if (n == 0 || errno == ECONNRESET) {
		d->at_end = true;
		err_set(e, "%s: the relay went away before it had answered", d->name);
		return -1;
	}
	if (errno != EAGAIN && errno != EINTR) {
		err_set_os(e, errno, "%s: cannot read the relay's answer", d->name);
		return -1;
	}
	switch (wait_for(d, POLLIN, deadline_mono_ms, e)) {
	case 0:
		err_set(e, "%s: the relay did not answer in time: it is busy, or its disk is; look at its log", d->name);
		e->os_error = ETIMEDOUT;
		return -1;
	case -1:
		return -1;
	default:
		return 1;
	}
}

/* ---- objects ------------------------------------------------------------------------ */

/* The object of a line, or NULL and e. */
static json_t *object_of(const struct daemon *d, const char *line, size_t len, struct err *e)
{
	const char *error;
	json_error_t why;
	json_t *o = json_loadb(line, len, JSON_ALLOW_NUL, &why); /* strangers' text is in it */

	if (!json_is_object(o)) {
		err_set(e, "%s: what answers there does not speak like posthoused", d->name);
		json_decref(o);
		return NULL;
	}
	/* an error about one message is that message's, one in a line of the log that line's */
	error = json_object_get(o, "id") || json_object_get(o, "event")
			? NULL
			: json_string_value(json_object_get(o, "error"));
	if (error) {
		err_set(e, "the daemon says: %s", error);
		json_decref(o);
		return NULL;
	}
	return o;
}

json_t *daemon_receive(struct daemon *d, int timeout_ms, struct err *e)
{
	int64_t deadline = timeout_ms < 0 ? CLOCK_NEVER : clock_mono_ms() + timeout_ms;

	for (;;) {
		const char *newline = memchr(d->input.data + d->searched, '\n', d->input.len - d->searched);
		json_t *o;

		if (!newline) {
			d->searched = d->input.len;
			if (d->at_end || receive_some(d, deadline, e) < 0) {
				if (d->at_end && ask_again(d))
					continue;
				if (d->at_end)
					err_set(e, "%s: the relay went away before it had answered", d->name);
				return NULL;
			}
			continue;
		}
		o = object_of(d, d->input.data, (size_t)(newline - d->input.data), e);
		buf_consume(&d->input, (size_t)(newline + 1 - d->input.data));
		d->searched = 0;
		return o;
	}
}

/* ---- descriptors -------------------------------------------------------------------- */

static int take_one(struct daemon *d, const json_t *o, const char *key, int *fd, struct err *e)
{
	*fd = -1;
	if (!json_is_true(json_object_get(o, key)))
		return 0;
	if (d->received_count == 0) {
		err_set(e, "%s: the relay promised a descriptor that did not come (too many open files?)", d->name);
		return -1;
	}
	*fd = d->received[0];
	memmove(d->received, d->received + 1, --d->received_count * sizeof(*d->received));
	return 0;
}

int daemon_open_files(struct daemon *d, const char *const *ids, size_t count, int *message_fd, int *state_fd,
		      struct err *e)
{
	json_t *request = json_object(), *array = json_array(), *o;
	int r = 0;

	ASSERT(count <= PROTOCOL_OPEN_MAX);
	for (size_t i = 0; i < count; i++) {
		message_fd[i] = state_fd[i] = -1;
		ASSERT(json_array_append_new(array, json_string(ids[i])) == 0);
	}
	json_put_key(request, "ask", json_string("open"));
	json_put_key(request, "ids", array);
	if (daemon_send(d, request, e) < 0)
		return -1;
	for (size_t i = 0; r == 0 && i < count; i++) {
		const char *id;

		o = daemon_receive(d, OPEN_TIMEOUT_MS, e);
		id = json_string_value(json_object_get(o, "id"));
		if (o && (!id || strcmp(id, ids[i]) != 0)) {
			err_set(e, "%s: the relay answered about another message", d->name);
			r = -1;
		}
		if (!o || r < 0 || take_one(d, o, "message", &message_fd[i], e) < 0 ||
		    take_one(d, o, "state", &state_fd[i], e) < 0)
			r = -1;
		json_decref(o);
	}
	o = r == 0 ? daemon_receive(d, OPEN_TIMEOUT_MS, e) : NULL;
	json_decref(o);
	if (o)
		return 0;
	for (size_t i = 0; i < count; i++) {
		if (message_fd[i] >= 0)
			close(message_fd[i]);
		if (state_fd[i] >= 0)
			close(state_fd[i]);
		message_fd[i] = state_fd[i] = -1;
	}
	return -1;
}

int daemon_open_lists(struct daemon *d, int *fd, struct err *e)
{
	json_t *request = json_object(), *o;
	int r = -1;

	*fd = -1;
	json_put_key(request, "ask", json_string("lists"));
	if (daemon_send(d, request, e) < 0)
		return -1;
	o = daemon_receive(d, OPEN_TIMEOUT_MS, e);
	if (o)
		r = take_one(d, o, "lists", fd, e);
	json_decref(o);
	return r;
}
