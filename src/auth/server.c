/* SPDX-License-Identifier: ISC */
/* See server.h: the loop of the auth process. */
#include "auth/server.h"

#include <errno.h>
#include <limits.h>
#include <openssl/rand.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/address.h"
#include "auth/server_internal.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/proctitle.h"

#define PROBE_MS 60000 /* how often the backend is asked what it can do */
#define PROBE_BUSY_MS 5000 /* at most, when there is something to do */
#define PROBE_RETRY_MS 5000
#define SPARE_FDS 64 /* besides those of the exchanges */
#define REQUESTS_AT_ONCE                                                                                     \
	64 /* then ends, deadlines and orders have a turn: a worker that was taken over can always ask more */
enum { FD_CONTROL, FD_SIGNAL, FD_REQUEST, FD_JOBS };

/* What is offered before a backend was ever reached: whoever tries is told to come back. */
#define UNKNOWN_MECHANISMS                                                                                   \
	(SMTP_MECHANISM_BIT(SMTP_MECHANISM_PLAIN) | SMTP_MECHANISM_BIT(SMTP_MECHANISM_LOGIN))
#define TOKEN_MECHANISMS                                                                                     \
	(SMTP_MECHANISM_BIT(SMTP_MECHANISM_OAUTHBEARER) | SMTP_MECHANISM_BIT(SMTP_MECHANISM_XOAUTH2))

/* ---- children ----------------------------------------------------------------------------- */

void server_become_child(struct server *s, const struct job *keep)
{
	sigset_t none;

	/* with the auth process gone there is nobody to decide what becomes of it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != s->pid)
		_exit(EXIT_FAILURE);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	close(s->signal_fd);
	close(s->cfg->request_fd);
	close(s->cfg->control->fd);
	/* a copy of another exchange's socket would keep its end from being seen */
	for (unsigned i = 0; i < s->cfg->max_exchanges; i++)
		if (&s->job[i] != keep && s->job[i].state != JOB_FREE && s->job[i].fd >= 0)
			close(s->job[i].fd);
}

static struct exchange_outcome *probe_outcome(const struct server *s)
{
	return &s->outcome[s->cfg->max_exchanges];
}

/* What the backend can do, asked in a child as it may block: the bits go into `guess`. */
static _Noreturn void probe(struct server *s)
{
	struct exchange_outcome *o = probe_outcome(s);
	struct auth_backend *b = s->cfg->backend;
	struct err e = { .text = "" };
	struct buf names;

	server_become_child(s, NULL);
	proctitle_set("auth probe");
	alarm(AUTH_ANSWER_MS / 1000);
	buf_init(&names, 4096);
	if (b->ops->mechanisms(b, &names, &e) == 0) {
		o->guess = smtp_mechanism_set(names.data);
		o->end = EXCHANGE_OK;
	} else {
		memcpy(o->reason, e.text, sizeof(o->reason));
		o->end = EXCHANGE_TEMPORARY;
	}
	_exit(EXIT_SUCCESS);
}

static void begin_probe(struct server *s, int64_t now)
{
	pid_t pid;

	memset(probe_outcome(s), 0, sizeof(*s->outcome));
	s->probe_due_mono_ms = now + PROBE_RETRY_MS;
	pid = fork();
	if (pid == 0)
		probe(s);
	s->probe_pid = pid > 0 ? pid : 0;
	s->probed_mono_ms = now;
}

/* Channel binding is our own doing, where the backend leaves SCRAM to us. */
static unsigned complete(const struct server *s, unsigned set)
{
	const unsigned scram = SMTP_MECHANISM_BIT(SMTP_MECHANISM_SCRAM_SHA_256);
	const unsigned plus = SMTP_MECHANISM_BIT(SMTP_MECHANISM_SCRAM_SHA_256_PLUS);

	if (s->cfg->backend->ops->exchange)
		set &= ~plus;
	else if (set & scram)
		set |= plus;
	if (s->cfg->introspect)
		set |= TOKEN_MECHANISMS;
	return set;
}

static void end_probe(struct server *s)
{
	struct exchange_outcome *o = probe_outcome(s);

	s->probe_pid = 0;
	o->reason[sizeof(o->reason) - 1] = '\0';
	if (o->end == EXCHANGE_OK) {
		atomic_store(s->cfg->mechanisms, complete(s, (unsigned)o->guess & SMTP_MECHANISM_ALL));
		s->probe_due_mono_ms = s->probed_mono_ms + PROBE_MS;
		if (s->probe_failed)
			log_msg(LOG_LEVEL_INFO, "auth_recovered", "%s answers again",
				s->cfg->backend->ops->name);
		s->probe_failed = false;
	} else {
		if (!s->probe_failed)
			log_msg(LOG_LEVEL_WARNING, "auth_unavailable", "%s",
				o->reason[0] ? o->reason : "no answer from where users are known");
		s->probe_failed = true;
		if (atomic_load(s->cfg->mechanisms) == 0)
			atomic_store(s->cfg->mechanisms, complete(s, UNKNOWN_MECHANISMS));
	}
	/* who is old says nothing for the one in its place */
	if (!s->cfg->control->old)
		atomic_store(s->cfg->ready, true);
}

static void reap(struct server *s)
{
	int wait_status;
	pid_t pid;

	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
		if (pid == s->probe_pid) {
			end_probe(s);
			continue;
		}
		for (unsigned i = 0; i < s->cfg->max_exchanges; i++)
			if (s->job[i].state == JOB_RUNNING && s->job[i].pid == pid)
				job_reaped(s, &s->job[i], wait_status);
	}
}

/* ---- requests ------------------------------------------------------------------------------- */

/* Returns false when there is none. */
static bool take_request(struct server *s)
{
	struct auth_request request = { 0 };
	size_t len, count;
	int fd;

	if (!descriptors_receive(s->cfg->request_fd, &request, sizeof(request), &len, &fd, 1, &count))
		return false;
	if (len == 0 && count == 0) {
		/*
		 * the last of an old generation is gone; else only a worker that is no longer ours can shut the
		 * pair down; as the listening sockets, too
		 */
		s->line_ended = s->cfg->control->old;
		s->channel_lost = !s->line_ended;
		return false;
	}
	if (count != 1)
		return true;
	if (len != sizeof(request) || request.version != AUTH_REQUEST_VERSION ||
	    !auth_address_is_valid(&request.client) || !descriptors_is_seqpacket(fd))
		close(fd);
	else
		job_begin(s, fd, &request.client);
	return true;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static bool may_take(const struct server *s)
{
	return s->free_jobs > 0 && !s->cfg->control->retiring && !s->channel_lost && !s->line_ended;
}

static void fill_poll(const struct server *s, struct pollfd *fds)
{
	fds[FD_CONTROL] = (struct pollfd){ s->cfg->control->fd, POLLIN, 0 };
	fds[FD_SIGNAL] = (struct pollfd){ s->signal_fd, POLLIN, 0 };
	fds[FD_REQUEST] = (struct pollfd){ may_take(s) ? s->cfg->request_fd : -1, POLLIN, 0 };
	/* of a worker's pair only its end is waited for: what it says is for the child */
	for (unsigned i = 0; i < s->cfg->max_exchanges; i++)
		fds[FD_JOBS + i] = (struct pollfd){ s->job[i].state == JOB_FREE ? -1 : s->job[i].fd, 0, 0 };
}

static int wait_ms(const struct server *s)
{
	int64_t until = s->probe_pid == 0 ? s->probe_due_mono_ms : CLOCK_NEVER, left;

	for (unsigned i = 0; i < s->cfg->max_exchanges; i++)
		if (s->job[i].state != JOB_FREE && s->job[i].until_mono_ms < until)
			until = s->job[i].until_mono_ms;
	if (until == CLOCK_NEVER)
		return -1;
	left = until - clock_mono_ms();
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

static void run_due(struct server *s)
{
	int64_t now = clock_mono_ms();

	for (unsigned i = 0; i < s->cfg->max_exchanges; i++)
		if (s->job[i].state != JOB_FREE && now >= s->job[i].until_mono_ms)
			job_due(s, &s->job[i]);
	if (s->probe_pid == 0 && now >= s->probe_due_mono_ms)
		begin_probe(s, now);
}

static void handle(struct server *s, const struct pollfd *fds)
{
	struct signalfd_siginfo info;
	bool asked = false;

	if (fds[FD_CONTROL].revents)
		control_read(s->cfg->control);
	if (fds[FD_SIGNAL].revents)
		while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
			;
	/* ends before requests: what failed counts for who comes next */
	reap(s);
	for (unsigned i = 0; i < s->cfg->max_exchanges; i++)
		if (fds[FD_JOBS + i].revents && s->job[i].state != JOB_FREE &&
		    s->job[i].fd == fds[FD_JOBS + i].fd)
			job_abandoned(s, &s->job[i]);
	if (fds[FD_REQUEST].revents)
		for (unsigned i = 0; i < REQUESTS_AT_ONCE && may_take(s) && take_request(s); i++)
			asked = true;
	/* soon after a change of the users, when there is anybody who would notice */
	if (asked && s->probe_pid == 0 && clock_mono_ms() - s->probed_mono_ms >= PROBE_BUSY_MS)
		s->probe_due_mono_ms = 0;
	if (s->channel_lost)
		log_msg(LOG_LEVEL_ERROR, "auth_error",
			"a worker has shut the line of all workers down: AUTH is answered with 454 until the "
			"service is restarted");
}

static bool is_idle(const struct server *s)
{
	return s->free_jobs == s->cfg->max_exchanges;
}

static void loop(struct server *s)
{
	struct pollfd *fds = mem_array(FD_JOBS + s->cfg->max_exchanges, sizeof(*fds));
	const struct control *control = s->cfg->control;

	while (!control->stopping && !((control->retiring || s->line_ended) && is_idle(s)) &&
	       !s->channel_lost) {
		run_due(s);
		fill_poll(s, fds);
		if (poll(fds, FD_JOBS + s->cfg->max_exchanges, wait_ms(s)) > 0)
			handle(s, fds);
	}
	free(fds);
}

/* ---- start and end ----------------------------------------------------------------------------- */

static void raise_fd_limit(unsigned wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_signals(struct server *s, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == 0)
		s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->signal_fd >= 0)
		return 0;
	err_set_os(e, errno, "cannot read signals through a descriptor");
	return -1;
}

static int open_all(struct server *s, struct err *e)
{
	const struct auth_server_config *cfg = s->cfg;
	size_t size = (cfg->max_exchanges + 1) * sizeof(*s->outcome);

	/* what its memory holds is for no core file and no debugger */
	prctl(PR_SET_DUMPABLE, 0);
	raise_fd_limit(cfg->max_exchanges + SPARE_FDS);
	if (RAND_bytes(s->setup.secret, sizeof(s->setup.secret)) != 1) {
		err_set(e, "no random bytes are to be had");
		return -1;
	}
	if (open_signals(s, e) < 0 || gate_open(&s->setup.gate, cfg->max_hashings, e) < 0)
		return -1;
	s->outcome = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->outcome == MAP_FAILED) {
		s->outcome = NULL;
		err_set_os(e, errno, "no shared memory for %u exchanges", cfg->max_exchanges);
		return -1;
	}
	s->job = mem_array(cfg->max_exchanges, sizeof(*s->job));
	for (unsigned i = 0; i < cfg->max_exchanges; i++)
		s->job[i].fd = -1;
	s->free_jobs = cfg->max_exchanges;
	ban_init(&s->bans, &cfg->ban);
	return 0;
}

static void close_all(struct server *s)
{
	for (unsigned i = 0; s->job && i < s->cfg->max_exchanges; i++) {
		if (s->job[i].state == JOB_RUNNING)
			kill(s->job[i].pid, SIGKILL);
		if (s->job[i].state != JOB_FREE)
			job_release(s, &s->job[i]);
	}
	if (s->probe_pid > 0)
		kill(s->probe_pid, SIGKILL);
	free(s->job);
	if (s->outcome)
		munmap(s->outcome, (s->cfg->max_exchanges + 1) * sizeof(*s->outcome));
	if (s->signal_fd >= 0)
		close(s->signal_fd);
	if (s->setup.gate.fd >= 0)
		gate_close(&s->setup.gate);
	ban_release(&s->bans);
	explicit_bzero(&s->setup, sizeof(s->setup));
}

int auth_server_run(const struct auth_server_config *cfg, struct err *e)
{
	struct server s = { .cfg = cfg,
			    .signal_fd = -1,
			    .pid = getpid(),
			    .setup = { .backend = cfg->backend,
				       .introspect = cfg->introspect,
				       .client_timeout_ms = cfg->client_timeout_ms,
				       .gate = { .fd = -1 } } };
	int r = open_all(&s, e);

	if (r == 0)
		loop(&s);
	if (s.channel_lost) {
		err_set(e, "the line from the workers is shut down");
		r = -1;
	}
	close_all(&s);
	return r;
}
