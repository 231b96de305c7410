/* SPDX-License-Identifier: ISC */
/*
 * The threads of the key process that answer. They share one epoll descriptor;
 * a connection that has something is given to one of them (EPOLLONESHOT), which
 * answers one question and puts it back behind all others.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "keys/protocol.h"
#include "keys/server_internal.h"
#include "keys/use.h"

#define STACK_BYTES (256 << 10)

/* False: this connection has ended, or is to. */
static bool answer_one(struct keys_server *s, struct keys_client *c)
{
	struct keys_request request;
	struct keys_answer answer;
	ssize_t n = recv(c->fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC), len;
	bool sent;

	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0)
		return false;
	atomic_store(&c->used_mono_us, clock_mono_us());
	keys_use(s->cfg->vault, &request, (size_t)n, &answer);
	if (answer.result == KEYS_REFUSED) {
		uint64_t one = 1;

		atomic_fetch_add(&s->refused, 1);
		(void)!write(s->wake_fd, &one, sizeof(one));
	}
	len = (ssize_t)(offsetof(struct keys_answer, data) + answer.len);
	/* who does not read its answers cannot keep us */
	sent = send(c->fd, &answer, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) == len;
	OPENSSL_cleanse(&answer, sizeof(answer));
	return sent;
}

static void end(struct keys_server *s, struct keys_client *c)
{
	uint64_t one = 1;

	pthread_mutex_lock(&s->lock);
	/* whoever made the pair may still have this end of it, and then closing does not take it out */
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
	close(c->fd);
	c->fd = -1;
	s->clients--;
	pthread_mutex_unlock(&s->lock);
	(void)!write(s->wake_fd, &one, sizeof(one));
}

static void *run(void *ctx)
{
	struct keys_server *s = ctx;

	for (;;) {
		struct epoll_event ev;
		struct keys_client *c;

		if (epoll_wait(s->epoll_fd, &ev, 1, -1) != 1)
			continue;
		c = ev.data.ptr;
		if (!c)
			return NULL;
		ev.events = EPOLLIN | EPOLLONESHOT;
		if (!answer_one(s, c) || epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev) < 0)
			end(s, c);
	}
}

int keys_threads_start(struct keys_server *s, struct err *e)
{
	pthread_attr_t attr;

	s->thread = mem_array(s->cfg->threads, sizeof(*s->thread));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	while (s->threads < s->cfg->threads) {
		int error = pthread_create(&s->thread[s->threads], &attr, run, s);

		if (error != 0) {
			/* with fewer it works as well */
			if (s->threads == 0)
				err_set_os(e, error, "cannot start a thread");
			break;
		}
		s->threads++;
	}
	pthread_attr_destroy(&attr);
	return s->threads > 0 ? 0 : -1;
}

void keys_threads_end(struct keys_server *s)
{
	uint64_t one = 1;

	(void)!write(s->end_fd, &one, sizeof(one));
	for (unsigned i = 0; i < s->threads; i++)
		pthread_join(s->thread[i], NULL);
	free(s->thread);
	s->threads = 0;
}
