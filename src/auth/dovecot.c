/* SPDX-License-Identifier: ISC */
/*
 * Dovecot's auth service as a backend: it does SASL itself, and what client
 * and Dovecot say to each other is passed on unread. A connection an
 * exchange, in the child of that exchange; every wait has its deadline.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "auth/backend.h"
#include "auth/dovecot_protocol.h"
#include "base/alloc.h"
#include "base/clock.h"

#define MECHANISMS_TIMEOUT_MS 5000
#define CONNECT_PAUSE_MS 20 /* between tries while Dovecot's backlog is full */
/* An answer of the client (RFC 4954 4: 12288 octets) with what stands around it */
#define REQUEST_MAX (32 << 10)

struct dovecot_backend {
	struct auth_backend backend;
	char *path;
};

struct connection {
	const char *path;
	int fd;
	int64_t deadline_mono_ms; /* of the wait that is on; a client's moves with each of its answers */
	char in[DOVECOT_LINE_MAX + 1]; /* and a NUL */
	size_t len, taken; /* what of it was given out */
};

/* ---- bytes ------------------------------------------------------------------------------ */

/* Waits for the events; -1 and e at the deadline. */
static int wait_for(const struct connection *c, short events, struct err *e)
{
	for (;;) {
		struct pollfd p = { .fd = c->fd, .events = events };
		int64_t left = c->deadline_mono_ms - clock_mono_ms();
		int n;

		if (left <= 0) {
			err_set_os(e, ETIMEDOUT, "Dovecot's socket %s does not answer in time", c->path);
			return -1;
		}
		n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR) {
			err_set_os(e, errno, "Dovecot's socket %s", c->path);
			return -1;
		}
	}
}

static int send_all(const struct connection *c, const struct buf *text, struct err *e)
{
	for (size_t done = 0; done < text->len;) {
		ssize_t n = send(c->fd, text->data + done, text->len - done, MSG_NOSIGNAL);

		if (n >= 0) {
			done += (size_t)n;
		} else if (errno == EAGAIN || errno == EINTR) {
			if (wait_for(c, POLLOUT, e) < 0)
				return -1;
		} else if (errno == EPIPE) {
			return 0; /* it closed; what it said before that tells more, and is read next */
		} else {
			err_set_os(e, errno, "Dovecot's socket %s", c->path);
			return -1;
		}
	}
	return 0;
}

static int receive(struct connection *c, struct err *e)
{
	ssize_t n;

	if (c->len == DOVECOT_LINE_MAX) {
		err_set(e, "Dovecot's socket %s: a line of more than %d octets", c->path, DOVECOT_LINE_MAX);
		return -1;
	}
	if (wait_for(c, POLLIN, e) < 0)
		return -1;
	n = recv(c->fd, c->in + c->len, DOVECOT_LINE_MAX - c->len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && errno != ECONNRESET)
		err_set_os(e, errno, "Dovecot's socket %s", c->path);
	else if (n <= 0)
		err_set(e, "Dovecot's socket %s: it closed the connection", c->path);
	if (n <= 0)
		return -1;
	c->len += (size_t)n;
	return 0;
}

/* The next line, NUL ended, valid until the next call; NULL and e. */
static char *next_line(struct connection *c, struct err *e)
{
	char *end;

	memmove(c->in, c->in + c->taken, c->len - c->taken);
	c->len -= c->taken;
	c->taken = 0;
	while (!(end = memchr(c->in, '\n', c->len)))
		if (receive(c, e) < 0)
			return NULL;
	*end = '\0';
	c->taken = (size_t)(end - c->in) + 1;
	return c->in;
}

/* ---- the connection ------------------------------------------------------------------------ */

/* A full backlog is no error of ours: EAGAIN until somebody is served. */
static int connect_within(struct connection *c, const struct sockaddr_un *to, struct err *e)
{
	const struct timespec pause = { 0, CONNECT_PAUSE_MS * 1000000L };

	while (connect(c->fd, (const struct sockaddr *)to, sizeof(*to)) < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			err_set_os(e, errno, "Dovecot's socket %s", c->path);
			return -1;
		}
		if (clock_mono_ms() >= c->deadline_mono_ms) {
			err_set_os(e, ETIMEDOUT, "Dovecot's socket %s does not answer in time", c->path);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

/*
 * By the process id Dovecot tells connections apart; those of two containers can be the same, so it is a
 * random one.
 */
static unsigned connection_id(void)
{
	unsigned id = 0;

	if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
		id = (unsigned)getpid();
	return (id & 0x7fffffff) | 1;
}

static int shake_hands(struct connection *c, struct dovecot_handshake *h, struct err *e)
{
	enum dovecot_step step;
	struct buf greeting;
	int result;

	buf_init(&greeting, 256);
	dovecot_greet(&greeting, connection_id());
	result = send_all(c, &greeting, e);
	buf_release(&greeting);
	while (result == 0) {
		char *line = next_line(c, e);

		if (!line)
			return -1;
		step = dovecot_handshake_line(h, line, e);
		if (step == DOVECOT_DONE)
			return 0;
		if (step == DOVECOT_BAD) {
			err_prefix(e, "Dovecot's socket %s", c->path);
			return -1;
		}
	}
	return -1;
}

static void close_connection(struct connection *c)
{
	if (c->fd >= 0)
		close(c->fd);
	explicit_bzero(c->in, sizeof(c->in));
	free(c);
}

/* Connected, with the handshake behind it; NULL and e. */
static struct connection *open_connection(const char *path, int64_t deadline_mono_ms,
					  struct dovecot_handshake *h, struct err *e)
{
	struct connection *c = mem_alloc(sizeof(*c));
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	memcpy(to.sun_path, path, strlen(path) + 1); /* auth_dovecot_open has measured it */
	c->path = path;
	c->deadline_mono_ms = deadline_mono_ms;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		err_set_os(e, errno, "a socket for Dovecot");
	else if (connect_within(c, &to, e) == 0 && shake_hands(c, h, e) == 0)
		return c;
	close_connection(c);
	return NULL;
}

/* ---- the exchange ---------------------------------------------------------------------------- */

static int say(const struct connection *c, struct buf *text, struct err *e)
{
	int result = send_all(c, text, e);

	explicit_bzero(text->data, text->len);
	buf_clear(text);
	return result;
}

/* The client's answer to a challenge, passed on. AUTH_OK: it is on its way. */
static enum auth_result answer(struct connection *c, const struct auth_client *client,
			       struct auth_conversation *talk, const char *challenge, struct buf *out,
			       struct err *e)
{
	const char *text = talk->ask(talk, challenge);

	c->deadline_mono_ms = client->deadline_mono_ms;
	if (!text) {
		err_set(e, "cancelled by the client, or out of time");
		return AUTH_FAILED;
	}
	if (!dovecot_is_base64(text) || strlen(text) > REQUEST_MAX / 2) {
		err_set(e, "the client's answer is not base64");
		return AUTH_FAILED;
	}
	dovecot_continue(out, text);
	return say(c, out, e) < 0 ? AUTH_TEMPORARY : AUTH_OK;
}

static enum auth_result talk_until_end(struct connection *c, const struct auth_client *client,
				       struct auth_conversation *talk, struct buf *out,
				       char user[AUTH_USER_MAX], struct err *e)
{
	enum auth_result result = AUTH_OK;

	while (result == AUTH_OK) {
		struct dovecot_reply reply;
		char *line = next_line(c, e);

		if (!line)
			return AUTH_TEMPORARY;
		dovecot_reply_parse(line, &reply, e);
		switch (reply.kind) {
		case DOVECOT_REPLY_OTHER:
			break;
		case DOVECOT_REPLY_CONT:
			result = answer(c, client, talk, reply.challenge, out, e);
			break;
		case DOVECOT_REPLY_OK:
			memcpy(user, reply.user, AUTH_USER_MAX);
			return AUTH_OK;
		case DOVECOT_REPLY_FAIL:
			err_prefix(e, "Dovecot");
			return AUTH_FAILED;
		case DOVECOT_REPLY_TEMPORARY:
		case DOVECOT_REPLY_BAD:
			err_prefix(e, "Dovecot's socket %s", c->path);
			return AUTH_TEMPORARY;
		}
	}
	return result;
}

static enum auth_result exchange_over(struct connection *c, const struct dovecot_handshake *h,
				      const struct auth_client *client, const char *mechanism,
				      const char *initial, struct auth_conversation *talk,
				      char user[AUTH_USER_MAX], struct err *e)
{
	enum auth_result result = AUTH_TEMPORARY;
	struct buf out;

	if (!dovecot_handshake_offers(h, mechanism)) {
		err_set(e, "Dovecot does not offer this mechanism any more");
		return AUTH_TEMPORARY;
	}
	buf_init(&out, REQUEST_MAX);
	dovecot_begin(&out, client, mechanism, initial);
	if (say(c, &out, e) == 0)
		result = talk_until_end(c, client, talk, &out, user, e);
	buf_release(&out);
	return result;
}

static enum auth_result dovecot_exchange(struct auth_backend *b, const struct auth_client *client,
					 const char *mechanism, const char *initial,
					 struct auth_conversation *talk, char user[AUTH_USER_MAX],
					 struct err *e)
{
	const struct dovecot_backend *d = (const struct dovecot_backend *)b;
	enum auth_result result = AUTH_TEMPORARY;
	struct dovecot_handshake h;
	struct connection *c;

	if (initial && (!dovecot_is_base64(initial) || strlen(initial) > REQUEST_MAX / 2)) {
		err_set(e, "the client's answer is not base64");
		return AUTH_FAILED;
	}
	dovecot_handshake_init(&h);
	c = open_connection(d->path, client->deadline_mono_ms, &h, e);
	if (c) {
		result = exchange_over(c, &h, client, mechanism, initial, talk, user, e);
		close_connection(c);
	}
	dovecot_handshake_release(&h);
	return result;
}

static int dovecot_mechanisms(struct auth_backend *b, struct buf *out, struct err *e)
{
	const struct dovecot_backend *d = (const struct dovecot_backend *)b;
	struct dovecot_handshake h;
	struct connection *c;

	dovecot_handshake_init(&h);
	c = open_connection(d->path, clock_mono_ms() + MECHANISMS_TIMEOUT_MS, &h, e);
	if (c) {
		buf_adds(out, h.mechanisms.data);
		close_connection(c);
	}
	dovecot_handshake_release(&h);
	return c ? 0 : -1;
}

/* ---- opening ---------------------------------------------------------------------------------- */

static void dovecot_close(struct auth_backend *b)
{
	struct dovecot_backend *d = (struct dovecot_backend *)b;

	free(d->path);
	free(d);
}

static const struct auth_backend_ops dovecot_ops = {
	.name = "dovecot",
	.mechanisms = dovecot_mechanisms,
	.exchange = dovecot_exchange,
	.close = dovecot_close,
};

struct auth_backend *auth_dovecot_open(const char *socket_path, struct err *e)
{
	struct dovecot_backend *d;

	if (socket_path[0] != '/' || strlen(socket_path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		err_set(e, "Dovecot's socket %s: not an absolute path of at most %zu octets", socket_path,
			sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
		return NULL;
	}
	d = mem_alloc(sizeof(*d));
	d->backend.ops = &dovecot_ops;
	d->path = mem_strdup(socket_path);
	return &d->backend;
}
