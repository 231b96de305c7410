/* SPDX-License-Identifier: ISC */
/* See supervise.h. */
#include "master/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "master/master_internal.h"

#define REVERT_AFTER_MS 60000 /* besides stop_timeout, which the relay before may need */

/* ---- changes ------------------------------------------------------------------- */

static void execute(struct master *m,
		    void (*how)(void *ctx, const struct child *const *child, unsigned count))
{
	const struct child **alive = mem_array(family_places(m) + 1, sizeof(*alive));
	unsigned count = 0;

	for (unsigned i = 0; i < family_places(m); i++)
		if (family_at(m, i)->pid != 0)
			alive[count++] = family_at(m, i);
	how(m->roles->ctx, alive, count);
	free(alive);
}

void master_take(struct master *m, enum master_change change)
{
	switch (change) {
	case MASTER_SAME:
		break;
	case MASTER_WORKERS:
	case MASTER_KEYS:
	case MASTER_GENERATION:
		if (!m->stopping)
			turnover_begin(m, change);
		break;
	case MASTER_EXECUTE:
		if (!m->stopping)
			execute(m, m->roles->execute);
		break;
	}
}

static void reload(struct master *m)
{
	if (!m->roles->reload)
		log_msg(LOG_LEVEL_WARNING, "reload_refused", "there is nothing to read again");
	else if (!m->was_ready)
		m->reload_wanted = true;
	else
		master_take(m, m->roles->reload(m->roles->ctx));
}

static void upgrade(struct master *m)
{
	if (!m->roles->upgrade || !m->was_ready)
		log_msg(LOG_LEVEL_WARNING, "upgrade_refused", "%s",
			m->roles->upgrade ? "the service is still starting" : "there is no way to do that");
	else
		master_take(m, m->roles->upgrade(m->roles->ctx));
}

static void tick(struct master *m)
{
	if (clock_mono_ms() - m->last_tick_mono_ms < TICK_MS)
		return;
	m->last_tick_mono_ms = clock_mono_ms();
	family_kill_overdue(m);
	turnover_remind(m);
	if (!m->was_ready && m->roles->revert && clock_mono_ms() >= m->revert_at_mono_ms) {
		log_msg(LOG_LEVEL_ERROR, "upgrade_failed", "it was not ready in time");
		master_failed_to_start(m);
	}
	if (m->roles->tick)
		master_take(m, m->roles->tick(m->roles->ctx));
}

/* ---- the stop ------------------------------------------------------------------- */

/* Tells everybody, once. */
static void begin_stop(struct master *m)
{
	if (m->stopping)
		return;
	m->stopping = true;
	m->kill_at_mono_ms = clock_mono_ms() + m->limits->stop_timeout_ms + KILL_GRACE_MS;
	log_msg(LOG_LEVEL_INFO, "stopping", "sessions and deliveries under way have %lld ms",
		(long long)m->limits->stop_timeout_ms);
	proctitle_set("master (stopping)");
	if (m->roles->stopping)
		m->roles->stopping(m->roles->ctx);
	for (unsigned i = 0; i < family_places(m); i++)
		if (family_at(m, i)->pid != 0)
			child_tell(family_at(m, i), CONTROL_STOP);
}

void master_failed_to_start(struct master *m)
{
	if (m->roles->revert)
		execute(m, m->roles->revert);
	m->never_ready = true;
	begin_stop(m);
}

static void kill_the_rest(struct master *m)
{
	for (unsigned i = 0; i < family_places(m); i++) {
		const struct child *c = family_at(m, i);

		if (c->pid == 0)
			continue;
		log_msg(LOG_LEVEL_WARNING, "killed", "%s %ld did not stop in time", child_role_name(c->role),
			(long)c->pid);
		kill(c->pid, SIGKILL);
	}
	m->kill_at_mono_ms = CLOCK_NEVER;
}

/* ---- the loop ---------------------------------------------------------------- */

static void handle_signals(struct master *m)
{
	struct signalfd_siginfo info;

	while (read(m->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			begin_stop(m);
			break;
		case SIGHUP:
			if (!m->stopping)
				reload(m);
			break;
		case SIGUSR1:
			if (m->roles->reopen)
				m->roles->reopen(m->roles->ctx);
			break;
		case SIGUSR2:
			if (!m->stopping)
				upgrade(m);
			break;
		default: /* SIGCHLD: reap looks anyway */
			break;
		}
	}
}

/* Somebody of the present batch; or sessions of before have all the room, and one of theirs makes it. */
static bool has_workers(const struct master *m)
{
	struct scoreboard_count count;

	turnover_count(m, &count);
	return count.idle + count.busy > 0 ||
	       (m->was_ready && count.starting == 0 && count.total >= m->limits->pool.max_workers);
}

static void announce_when_ready(struct master *m)
{
	if (m->announced || !turnover_is_over(m))
		return;
	for (int role = ROLE_RELAY; role < CHILD_ROLES; role++)
		if (m->roles->run[role] && !atomic_load(&m->board->shared->ready[role]))
			return;
	if (!has_workers(m))
		return;
	m->announced = m->was_ready = true;
	if (m->roles->ready)
		m->roles->ready(m->roles->ctx);
	if (m->reload_wanted)
		reload(m);
	m->reload_wanted = false;
}

static void mind_overload(struct master *m)
{
	struct scoreboard_count count;

	turnover_count(m, &count);
	/* sessions of an earlier batch are sessions */
	count.busy = count.total - count.idle - count.starting - count.leaving;
	overload_turn(&m->overload, m->limits, m->roles, m->board, &count, m->worker);
}

/* Until the next thing that is due without an event. */
static int next_wait_ms(const struct master *m)
{
	int64_t now = clock_mono_ms(), wait = TICK_MS, look = overload_due_mono_ms(&m->overload);

	if (!m->announced || m->turning)
		wait = 20;
	if (m->stopping && m->kill_at_mono_ms - now < wait)
		wait = m->kill_at_mono_ms - now;
	if (!m->stopping && look != CLOCK_NEVER && look - now < wait)
		wait = look - now;
	for (int role = 0; role < CHILD_ROLES && !m->stopping; role++) {
		int64_t left = m->backoff[role].not_before_mono_ms - now;

		if (left > 0 && left < wait)
			wait = left;
	}
	return wait < 0 ? 0 : (int)wait;
}

static void loop(struct master *m)
{
	while (!m->stopping || family_alive(m) > 0) {
		struct pollfd fds[3] = { { m->signal_fd, POLLIN, 0 },
					 { m->wake_fd[0], POLLIN, 0 },
					 { m->roles->watch ? m->roles->watch_fd : -1, POLLIN, 0 } };
		char drain[256];

		if (!m->stopping) {
			tick(m);
			family_start_others(m);
			family_grow_pool(m);
			turnover_step(m);
			family_shrink_pool(m);
			announce_when_ready(m);
			mind_overload(m);
		} else if (clock_mono_ms() >= m->kill_at_mono_ms) {
			kill_the_rest(m);
		}
		poll(fds, 3, next_wait_ms(m));
		if (fds[1].revents)
			while (read(m->wake_fd[0], drain, sizeof(drain)) > 0)
				;
		if (fds[2].revents)
			m->roles->watch(m->roles->ctx);
		handle_signals(m);
		family_reap(m);
	}
}

static int open_signals(struct master *m, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN); /* what other mail systems reopen a log by must not end this one */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
	    (m->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0) {
		err_set_os(e, errno, "cannot read signals through a descriptor");
		return -1;
	}
	return 0;
}

int master_run(const struct master_limits *limits, const struct master_roles *roles, struct scoreboard *board,
	       struct err *e)
{
	struct master m = { .limits = limits, .roles = roles, .board = board, .kill_at_mono_ms = CLOCK_NEVER };

	if (open_signals(&m, e) < 0)
		return -1;
	if (pipe2(m.wake_fd, O_NONBLOCK | O_CLOEXEC) < 0) {
		err_set_os(e, errno, "cannot make the pipe on which workers call the master");
		close(m.signal_fd);
		return -1;
	}
	m.worker = mem_array(SCOREBOARD_SLOTS_MAX, sizeof(*m.worker));
	m.revert_at_mono_ms = clock_mono_ms() + limits->stop_timeout_ms + REVERT_AFTER_MS;
	turnover_inherit(&m);
	proctitle_set("master");
	loop(&m);
	if (m.never_ready)
		err_set(e,
			"a worker or another process of the service could not start: its own line in the log "
			"says why");
	else
		log_msg(LOG_LEVEL_INFO, "stopped", "all processes have ended");
	free(m.worker);
	free(m.other);
	close(m.signal_fd);
	close(m.wake_fd[0]);
	close(m.wake_fd[1]);
	return m.never_ready ? -1 : 0;
}
