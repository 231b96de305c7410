/* SPDX-License-Identifier: ISC */
/* See watch.h. Runs in the master. */
#include "sandbox/watch.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/descriptors.h"

#define EVENTS_AT_ONCE                                                                                       \
	64 /* then the master's other work has a turn: code under a lenient filter may go on and on */

#define HAND_OVER_MS 10000

struct listener {
	struct sandbox_subject subject;
	int fd;
	struct listener *previous, *next;
};

struct sandbox_watch {
	void (*report)(void *ctx, const struct sandbox_violation *v);
	void *ctx;
	int epoll_fd;
	int line[2]; /* the children's end, the master's end */
	struct listener *first;
	struct seccomp_notif *request;
	size_t request_size; /* as this kernel has it */
	struct seccomp_notif_resp *response;
};

/* ---- made and freed ------------------------------------------------------------------ */

static void close_line(struct sandbox_watch *w)
{
	for (int i = 0; i < 2; i++)
		descriptors_close(&w->line[i]);
}

/* As seccomp_notify_alloc finds it. */
static int find_size(struct sandbox_watch *w)
{
	struct seccomp_notif_sizes sizes;

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return -1;
	w->request_size =
		sizes.seccomp_notif > sizeof(*w->request) ? sizes.seccomp_notif : sizeof(*w->request);
	return 0;
}

struct sandbox_watch *sandbox_watch_new(void (*report)(void *ctx, const struct sandbox_violation *v),
					void *ctx, struct err *e)
{
	struct sandbox_watch *w = mem_array(1, sizeof(*w));
	struct epoll_event event = { .events = EPOLLIN };

	w->report = report;
	w->ctx = ctx;
	w->line[0] = w->line[1] = -1;
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll_fd >= 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, w->line) == 0 &&
	    epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->line[1], &event) == 0 && find_size(w) == 0 &&
	    (errno = -seccomp_notify_alloc(&w->request, &w->response)) == 0)
		return w;
	err_set_os(e, errno, "cannot watch for violations of the sandbox");
	sandbox_watch_free(w);
	return NULL;
}

static void drop(struct sandbox_watch *w, struct listener *l)
{
	*(l->previous ? &l->previous->next : &w->first) = l->next;
	if (l->next)
		l->next->previous = l->previous;
	close(l->fd);
	free(l);
}

/*
 * Only in the master: children share the epoll instance, not the descriptor. By closing alone it would stay in
 * there as long as a child that was just forked has its copy.
 */
static void forget(struct sandbox_watch *w, struct listener *l)
{
	(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, l->fd, NULL);
	drop(w, l);
}

/* The memory stays shared with the master: a worker is to cost little of its own. */
void sandbox_watch_leave(struct sandbox_watch *w)
{
	if (!w)
		return;
	for (const struct listener *l = w->first; l; l = l->next)
		close(l->fd);
	if (w->epoll_fd >= 0)
		close(w->epoll_fd);
	w->first = NULL;
	w->epoll_fd = -1;
	close_line(w);
}

void sandbox_watch_free(struct sandbox_watch *w)
{
	if (!w)
		return;
	while (w->first)
		drop(w, w->first);
	sandbox_watch_leave(w);
	seccomp_notify_free(w->request, w->response);
	free(w);
}

int sandbox_watch_fd(const struct sandbox_watch *w)
{
	return w->epoll_fd;
}

/* ---- a child enters -------------------------------------------------------------------- */

int sandbox_watch_hand_over(struct sandbox_watch *w, const struct sandbox_subject *subject, int listener,
			    struct err *e)
{
	int64_t deadline = clock_mono_ms() + HAND_OVER_MS;
	struct pollfd line = { w->line[0], POLLOUT, 0 };
	int r, os_error;

	/* full when very many are born at once; the master empties it */
	while ((r = descriptors_send(w->line[0], subject, sizeof(*subject), &listener, 1)) < 0 &&
	       errno == EAGAIN && clock_mono_ms() < deadline)
		poll(&line, 1, 100);
	os_error = errno;
	close(listener);
	sandbox_watch_leave(w);
	if (r == 0)
		return 0;
	err_set_os(e, os_error, "cannot hand the seccomp listener to the master");
	return -1;
}

int sandbox_watch_add(struct sandbox_watch *w, const struct sandbox_subject *s, int fd, struct err *e)
{
	struct listener *l = mem_array(1, sizeof(*l));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = l };

	*l = (struct listener){ .subject = *s, .fd = fd, .next = w->first };
	if (w->first)
		w->first->previous = l;
	w->first = l;
	if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	err_set_os(e, errno, "cannot watch a seccomp listener");
	forget(w, l);
	return -1;
}

void sandbox_watch_each(struct sandbox_watch *w,
			void (*each)(void *ctx, const struct sandbox_subject *s, int listener), void *ctx)
{
	for (struct listener *l = w->first; l; l = l->next)
		each(ctx, &l->subject, l->fd);
}

static void take_one(struct sandbox_watch *w)
{
	struct sandbox_subject s;
	size_t len, count;
	struct err e;
	int fd = -1;

	if (!descriptors_receive(w->line[1], &s, sizeof(s), &len, &fd, 1, &count) || count != 1)
		return;
	if (len == sizeof(s))
		/* on failure it is closed: calls of that process are then refused without a word */
		(void)sandbox_watch_add(w, &s, fd, &e);
	else
		close(fd);
}

/* ---- a violation ------------------------------------------------------------------------- */

static enum sandbox_action action_for(const struct sandbox_subject *s)
{
	if (s->mode == SANDBOX_LOG)
		return SANDBOX_ALLOWED;
	return s->lenient ? SANDBOX_REFUSED : SANDBOX_KILLED;
}

/*
 * The process waits in its call, so its number is its own as long as the notice is valid. Killed before it is
 * answered, it never comes back from there.
 */
static void judge(struct sandbox_watch *w, struct listener *l)
{
	enum sandbox_action action = action_for(&l->subject);
	struct sandbox_violation v = { .role = l->subject.role, .action = action };

	memset(w->request, 0, w->request_size); /* the kernel takes no other */
	if (seccomp_notify_receive(l->fd, w->request) != 0) {
		/* ENOENT: it died meanwhile. What cannot be answered is not waited for: its calls fail then */
		if (errno != ENOENT && errno != EINTR)
			forget(w, l);
		return;
	}
	v.pid = (pid_t)w->request->pid;
	v.number = w->request->data.nr;
	v.call = sandbox_call_name(w->request->data.arch, v.number);
	if (action == SANDBOX_KILLED &&
	    (v.pid <= 0 || seccomp_notify_id_valid(l->fd, w->request->id) != 0 || kill(v.pid, SIGKILL) < 0))
		v.action = SANDBOX_REFUSED;
	w->report(w->ctx, &v);
	*w->response = (struct seccomp_notif_resp){ .id = w->request->id };
	if (action == SANDBOX_ALLOWED)
		w->response->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else
		w->response->error = -EPERM;
	(void)seccomp_notify_respond(l->fd, w->response); /* fails when it is gone */
}

void sandbox_watch_run(struct sandbox_watch *w)
{
	struct epoll_event event[EVENTS_AT_ONCE];
	int n = epoll_wait(w->epoll_fd, event, EVENTS_AT_ONCE, 0);

	for (int i = 0; i < n; i++) {
		struct listener *l = event[i].data.ptr;

		if (!l)
			take_one(w);
		else if (event[i].events & EPOLLIN)
			judge(w, l);
		else /* nobody is under that filter any more */
			forget(w, l);
	}
}
