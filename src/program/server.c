/* SPDX-License-Identifier: ISC */
/* See server.h. */
#include "program/server.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "program/orphans.h"
#include "program/protocol.h"
#include "program/run.h"

#define OVERDUE_MS 15000 /* a run ends itself; this is for one that cannot */
#define REQUESTS_AT_ONCE 64 /* then ends and orders have a turn */
#define STOP_LOOK_MS 50 /* at a stop: how often it is looked whether somebody may still ask */
enum { FD_CONTROL, FD_SIGNAL, FD_REQUEST, FDS };

struct job {
	pid_t pid; /* 0: this place is free */
	int64_t until_mono_ms; /* then it is killed */
};

struct server {
	const struct program_server_config *cfg;
	struct run_setup setup;
	struct job *job; /* max_programs */
	unsigned free_jobs;
	pid_t pid; /* our own */
	int signal_fd;
	bool channel_lost;
	bool line_ended; /* with the last of an old generation */
	bool has_orphans; /* a run died, and what it had started is ours now */
};

static bool is_idle(const struct server *s)
{
	return s->free_jobs == s->cfg->max_programs;
}

/* ---- runs ------------------------------------------------------------------------- */

static _Noreturn void child(struct server *s, enum program_command command, int fd)
{
	/* with us gone there is nobody to count it; TERM lets it clean up behind its program */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != s->pid)
		_exit(EXIT_FAILURE);
	close(s->signal_fd);
	close(s->cfg->request_fd);
	close(s->cfg->control->fd);
	run_job(&s->setup, command, fd);
	_exit(EXIT_SUCCESS);
}

static void begin_run(struct server *s, enum program_command command, int fd)
{
	struct pollfd asker = { fd, 0, 0 };
	struct job *j = s->job;

	/* it may have waited long, and nobody waits for it any more */
	if (poll(&asker, 1, 0) > 0)
		return;
	while (j->pid != 0)
		j++;
	j->pid = fork();
	if (j->pid == 0)
		child(s, command, fd);
	if (j->pid < 0) {
		log_msg(LOG_LEVEL_ERROR, "program_error", "cannot start a process for a run: %s",
			strerror(errno));
		j->pid = 0;
		return;
	}
	j->until_mono_ms = clock_mono_ms() + s->cfg->command[command].timeout_ms + OVERDUE_MS;
	s->free_jobs--;
}

static struct job *job_of(struct server *s, pid_t pid)
{
	for (unsigned i = 0; i < s->cfg->max_programs; i++)
		if (s->job[i].pid == pid)
			return &s->job[i];
	return NULL;
}

static bool is_run(void *ctx, pid_t pid)
{
	return job_of(ctx, pid) != NULL;
}

static void reap(struct server *s)
{
	int wait_status;
	pid_t pid;

	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
		struct job *j = job_of(s, pid);

		if (!j)
			continue;
		*j = (struct job){ 0 };
		s->free_jobs++;
		if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_SUCCESS)
			continue;
		log_msg(LOG_LEVEL_ERROR, "program_error",
			"the process of run %ld died; what it ran is killed", (long)pid);
		s->has_orphans = true;
	}
	/* each that dies may leave us its children: until there are none but runs */
	if (s->has_orphans)
		s->has_orphans = pid == 0 && (orphans_kill(is_run, s) > 0 || !is_idle(s));
}

static void kill_overdue(struct server *s)
{
	for (unsigned i = 0; i < s->cfg->max_programs; i++) {
		if (s->job[i].pid == 0 || clock_mono_ms() < s->job[i].until_mono_ms)
			continue;
		kill(s->job[i].pid, SIGKILL);
		s->job[i].until_mono_ms = CLOCK_NEVER;
	}
}

/* ---- requests ------------------------------------------------------------------------ */

/* Returns false when there is none. */
static bool take_request(struct server *s)
{
	struct program_request request = { 0 };
	size_t len, count;
	int fd;

	if (!descriptors_receive(s->cfg->request_fd, &request, sizeof(request), &len, &fd, 1, &count))
		return false;
	if (len == 0 && count == 0) {
		/*
		 * the last of an old generation is gone; else only a worker that is no longer ours can shut the
		 * pair down
		 */
		s->line_ended = s->cfg->control->old;
		s->channel_lost = !s->line_ended;
		return false;
	}
	if (count != 1)
		return true;
	if (len == sizeof(request) && request.version == PROGRAM_VERSION &&
	    request.command < PROGRAM_COMMANDS && s->cfg->command[request.command].word_count > 0 &&
	    descriptors_is_seqpacket(fd))
		begin_run(s, (enum program_command)request.command, fd);
	close(fd);
	return true;
}

/* ---- the loop --------------------------------------------------------------------------- */

static bool may_take(const struct server *s)
{
	return s->free_jobs > 0 && !s->channel_lost && !s->line_ended;
}

static int wait_ms(const struct server *s)
{
	int64_t until = s->cfg->control->stop_by_mono_ms, left;

	for (unsigned i = 0; i < s->cfg->max_programs; i++)
		if (s->job[i].pid != 0 && s->job[i].until_mono_ms < until)
			until = s->job[i].until_mono_ms;
	if (until == CLOCK_NEVER)
		return -1;
	left = until - clock_mono_ms();
	if (s->cfg->control->stopping && left > STOP_LOOK_MS)
		left = STOP_LOOK_MS;
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* A session under way may come to the end of its message yet: it is served as long as the grace lasts. */
static bool is_over(const struct server *s)
{
	const struct control *control = s->cfg->control;

	if (s->channel_lost || (s->line_ended && is_idle(s)))
		return true;
	if (!control->retiring)
		return false;
	if (control->stopping && clock_mono_ms() >= control->stop_by_mono_ms)
		return true;
	return is_idle(s) && !(control->stopping && s->cfg->wanted && s->cfg->wanted(s->cfg->ctx));
}

static void handle(struct server *s, const struct pollfd *fds)
{
	struct signalfd_siginfo info;

	if (fds[FD_CONTROL].revents)
		control_read(s->cfg->control);
	if (fds[FD_SIGNAL].revents)
		while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
			;
	reap(s);
	if (fds[FD_REQUEST].revents)
		for (unsigned i = 0; i < REQUESTS_AT_ONCE && may_take(s) && take_request(s); i++)
			;
}

static void loop(struct server *s)
{
	while (!is_over(s)) {
		/* once it said "stop" the control line is at its end, always readable */
		struct pollfd fds[FDS] = {
			[FD_CONTROL] = { s->cfg->control->stopping ? -1 : s->cfg->control->fd, POLLIN, 0 },
			[FD_SIGNAL] = { s->signal_fd, POLLIN, 0 },
			[FD_REQUEST] = { may_take(s) ? s->cfg->request_fd : -1, POLLIN, 0 }
		};

		if (poll(fds, FDS, wait_ms(s)) > 0)
			handle(s, fds);
		kill_overdue(s);
	}
}

/* ---- start and end ---------------------------------------------------------------------------- */

static int open_signals(struct server *s, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set,
		  SIGTERM); /* for the children, who read it through a descriptor too; never sent to us */
	if (sigprocmask(SIG_BLOCK, &set, NULL) == 0) {
		sigdelset(&set, SIGTERM);
		s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	}
	if (s->signal_fd >= 0)
		return 0;
	err_set_os(e, errno, "cannot read signals through a descriptor");
	return -1;
}

static int open_all(struct server *s, struct err *e)
{
	const struct passwd *pw = getpwuid(geteuid());

	/* the programs run as the same user: none of them may look into the others' runs */
	prctl(PR_SET_DUMPABLE, 0);
	s->setup = (struct run_setup){ .command = s->cfg->command,
				       .user = mem_strdup(pw ? pw->pw_name : "nobody"),
				       .home = mem_strdup(pw && pw->pw_dir[0] == '/' ? pw->pw_dir : "/") };
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || getrlimit(RLIMIT_NOFILE, &s->setup.files) < 0) {
		err_set_os(e, errno, "cannot look after programs");
		return -1;
	}
	s->job = mem_array(s->cfg->max_programs, sizeof(*s->job));
	s->free_jobs = s->cfg->max_programs;
	return open_signals(s, e);
}

/* Each run is told to end its program, and has the time that takes. */
static void close_all(struct server *s)
{
	int64_t until = clock_mono_ms() + PROGRAM_KILL_MS + 500;

	for (unsigned i = 0; s->job && i < s->cfg->max_programs; i++)
		if (s->job[i].pid != 0)
			kill(s->job[i].pid, SIGTERM);
	while (s->job && !is_idle(s) && clock_mono_ms() < until) {
		struct pollfd wait = { s->signal_fd, POLLIN, 0 };
		struct signalfd_siginfo info;

		if (poll(&wait, 1, 50) > 0)
			(void)!read(s->signal_fd, &info, sizeof(info));
		reap(s);
	}
	if (s->job)
		orphans_kill(NULL, NULL);
	free(s->job);
	free((char *)(uintptr_t)s->setup.user);
	free((char *)(uintptr_t)s->setup.home);
	if (s->signal_fd >= 0)
		close(s->signal_fd);
}

int program_server_run(const struct program_server_config *cfg, struct err *e)
{
	struct server s = { .cfg = cfg, .signal_fd = -1, .pid = getpid() };
	int r = open_all(&s, e);

	if (r == 0) {
		atomic_store(cfg->ready, true);
		loop(&s);
	}
	if (s.channel_lost) {
		err_set(e, "a worker has shut the line of all workers down: restart the service");
		r = -1;
	}
	close_all(&s);
	return r;
}
