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
#include "master/backoff.h"
#include "master/child.h"

#define TICK_MS 1000 /* how often the pool is looked at without a reason */
#define KILL_GRACE_MS 2000 /* after stop_timeout: for a child's own last words */

struct master {
	const struct master_limits *limits;
	const struct master_roles *roles;
	struct scoreboard *board;
	struct child *child; /* board->slots workers, then one place for each other role */
	unsigned child_count;
	struct backoff backoff[CHILD_ROLES];
	unsigned generation; /* of the last worker started */
	int signal_fd;
	int wake_fd[2]; /* workers write: idle ones run out */
	bool announced; /* ready() was called */
	bool worker_lost; /* one died, perhaps when it alone had been woken for a client: the next looks at the sockets */
	bool stopping;
	bool never_ready; /* a child could not even start, before the service was ready */
	int64_t kill_at_mono_ms;
	int64_t last_shrink_mono_ms;
	int64_t last_tick_mono_ms;
};

/* The place of what runs at most once. */
static unsigned single_index(const struct master *m, enum child_role role)
{
	return m->board->slots + (unsigned)role - ROLE_RELAY;
}

/* ---- being born -------------------------------------------------------------- */

/* In the child: what belongs to the master is closed, then the role runs. */
static _Noreturn void live(struct master *m, enum child_role role, struct child_start *start)
{
	int status;

	close(m->signal_fd);
	close(m->wake_fd[0]);
	for (unsigned i = 0; i < m->child_count; i++)
		if (m->child[i].pid != 0)
			close(m->child[i].control_fd);
	free(m->child);
	status = m->roles->run[role](m->roles->ctx, start);
	exit(status);
}

static bool spawn(struct master *m, enum child_role role, unsigned index)
{
	struct child_start start = { .board = m->board, .wake_fd = m->wake_fd[1] };
	struct child *c = &m->child[index];
	struct err e;
	int control_fd;
	pid_t pid;

	if (role == ROLE_WORKER) {
		start.slot = &m->board->slot[index];
		start.generation = ++m->generation;
		atomic_store(&start.slot->generation, start.generation);
		scoreboard_set(start.slot, start.generation, SLOT_STARTING);
		scoreboard_note(start.slot, "", "");
	}
	pid = child_spawn(c, role, &control_fd, &e);
	if (pid == 0) {
		control_init(&start.control, control_fd, m->limits->stop_timeout_ms);
		live(m, role, &start);
	}
	if (pid < 0) {
		log_msg(LOG_LEVEL_ERROR, "spawn_failed", "%s", e.text);
		if (role == ROLE_WORKER)
			atomic_store(&start.slot->state, SLOT_FREE);
		backoff_note(&m->backoff[role], true, 0, clock_mono_ms());
		return false;
	}
	c->slot = index;
	if (role == ROLE_WORKER)
		atomic_store(&start.slot->pid, pid);
	return true;
}

static void spawn_single(struct master *m, enum child_role role)
{
	unsigned index = single_index(m, role);

	if (m->roles->run[role] && m->child[index].pid == 0 &&
	    clock_mono_ms() >= m->backoff[role].not_before_mono_ms)
		spawn(m, role, index);
}

static void grow_pool(struct master *m)
{
	struct scoreboard_count count;
	unsigned want;

	if (clock_mono_ms() < m->backoff[ROLE_WORKER].not_before_mono_ms)
		return;
	scoreboard_count(m->board, &count);
	want = pool_to_start(&m->limits->pool, &count);
	if (want == 0 && m->worker_lost)
		want = 1;
	m->worker_lost = false;
	for (unsigned i = 0; i < m->board->slots && want > 0; i++) {
		if (m->child[i].pid != 0)
			continue;
		if (!spawn(m, ROLE_WORKER, i))
			return;
		want--;
	}
}

static void shrink_pool(struct master *m)
{
	struct scoreboard_count count;
	unsigned want;

	if (clock_mono_ms() - m->last_shrink_mono_ms < TICK_MS)
		return;
	m->last_shrink_mono_ms = clock_mono_ms();
	scoreboard_count(m->board, &count);
	want = pool_to_retire(&m->limits->pool, &count);
	for (unsigned i = m->board->slots; i-- > 0 && want > 0;) {
		struct child *c = &m->child[i];

		if (c->pid == 0 || c->told || atomic_load(&m->board->slot[i].state) != SLOT_IDLE)
			continue;
		child_tell(c, CONTROL_RETIRE);
		want--;
	}
}

/* ---- being replaced ------------------------------------------------------------ */

/*
 * What workers inherit has changed: those there are leave, grow_pool() starts others. The sockets stay open
 * here.
 */
static void replace_workers(struct master *m)
{
	for (unsigned i = 0; i < m->board->slots; i++)
		if (m->child[i].pid != 0 && !m->child[i].told)
			child_tell(&m->child[i], CONTROL_RETIRE);
}

static void reload(struct master *m)
{
	if (!m->roles->reload) {
		log_msg(LOG_LEVEL_WARNING, "reload_refused", "there is nothing to read again");
		return;
	}
	if (m->roles->reload(m->roles->ctx))
		replace_workers(m);
}

/* What does not come back cannot be asked to. */
static void end_overdue_guests(struct master *m)
{
	int64_t now = clock_mono_ms();

	for (unsigned i = 0; i < m->board->slots; i++) {
		struct scoreboard_slot *slot = &m->board->slot[i];
		int64_t deadline = atomic_load(&slot->guest_deadline_mono_ms);
		struct log_line line;

		if (m->child[i].pid == 0 || deadline == 0 || now < deadline)
			continue;
		log_begin(&line, LOG_LEVEL_ERROR, "module_timeout");
		log_int(&line, "pid", m->child[i].pid);
		log_strn(&line, "module", slot->guest, strnlen(slot->guest, sizeof(slot->guest)));
		log_strn(&line, "function", slot->guest_function,
			 strnlen(slot->guest_function, sizeof(slot->guest_function)));
		log_end(&line);
		kill(m->child[i].pid, SIGKILL);
		atomic_store(&slot->guest_deadline_mono_ms, INT64_MAX); /* once */
	}
}

static void tick(struct master *m)
{
	if (clock_mono_ms() - m->last_tick_mono_ms < TICK_MS)
		return;
	m->last_tick_mono_ms = clock_mono_ms();
	end_overdue_guests(m);
	if (m->roles->tick && m->roles->tick(m->roles->ctx))
		replace_workers(m);
}

/* ---- dying ------------------------------------------------------------------- */

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
	for (unsigned i = 0; i < m->child_count; i++)
		if (m->child[i].pid != 0)
			child_tell(&m->child[i], CONTROL_STOP);
}

/*
 * Whose code a worker died in. It said so itself, so this decides nothing but what is logged and when the
 * next is born.
 */
struct guest {
	const char *name, *function; /* NULL: nobody's; in shared memory, and ended there */
	bool had_client;
};

static struct guest guest_of(const struct master *m, const struct child *c)
{
	struct scoreboard_slot *slot = &m->board->slot[c->slot];

	if (c->role != ROLE_WORKER || atomic_load(&slot->guest_deadline_mono_ms) == 0)
		return (struct guest){ .name = NULL };
	slot->guest[sizeof(slot->guest) - 1] = slot->guest_function[sizeof(slot->guest_function) - 1] = '\0';
	return (struct guest){ slot->guest, slot->guest_function, atomic_load(&slot->state) == SLOT_BUSY };
}

static void bury(struct master *m, struct child *c, int wait_status)
{
	bool is_worker = c->role == ROLE_WORKER;
	int64_t now = clock_mono_ms(), lived = now - c->born_mono_ms;
	struct guest guest = guest_of(m, c);
	bool failed = child_bury(c, wait_status, guest.name, guest.function);

	if (is_worker) {
		atomic_store(&m->board->slot[c->slot].generation, 0); /* nobody reports here any more */
		atomic_store(&m->board->slot[c->slot].pid, 0);
		atomic_store(&m->board->slot[c->slot].state, SLOT_FREE);
		scoreboard_guest_left(&m->board->slot[c->slot]);
		if (m->roles->worker_ended)
			m->roles->worker_ended(m->roles->ctx, c->slot);
		m->worker_lost = m->worker_lost || failed;
		if (failed && m->roles->worker_lost)
			m->roles->worker_lost(m->roles->ctx);
		/*
		 * a client brought it to that, not its start: the other clients are not to wait for a new one
		 */
		if (!guest.had_client)
			backoff_note(&m->backoff[ROLE_WORKER], failed, lived, now);
	} else {
		atomic_store(&m->board->shared->ready[c->role], false);
		/* one that ends by itself did so for a reason it has logged: not a hot loop either */
		backoff_note(&m->backoff[c->role], failed || !c->told, lived, now);
	}
	/* who cannot do its work at the start will not learn it: whoever started us is to hear of it */
	if (WIFEXITED(wait_status) && failed && !guest.had_client && !m->announced && !m->stopping) {
		m->never_ready = true;
		begin_stop(m);
	}
}

static void reap(struct master *m)
{
	int wait_status;
	pid_t pid;

	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
		for (unsigned i = 0; i < m->child_count; i++)
			if (m->child[i].pid == pid)
				bury(m, &m->child[i], wait_status);
}

static unsigned alive(const struct master *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->child_count; i++)
		n += m->child[i].pid != 0;
	return n;
}

static void kill_the_rest(struct master *m)
{
	for (unsigned i = 0; i < m->child_count; i++) {
		if (m->child[i].pid == 0)
			continue;
		log_msg(LOG_LEVEL_WARNING, "killed", "%s %ld did not stop in time", child_role_name(m->child[i].role),
			(long)m->child[i].pid);
		kill(m->child[i].pid, SIGKILL);
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
		case SIGUSR2:
			log_msg(LOG_LEVEL_WARNING, "signal_ignored",
				"USR1 and USR2 mean nothing to this version: HUP reads certificates and "
				"tables again");
			break;
		default: /* SIGCHLD: reap looks anyway */
			break;
		}
	}
}

static void announce_when_ready(struct master *m)
{
	struct scoreboard_count count;

	if (m->announced)
		return;
	for (int role = ROLE_RELAY; role < CHILD_ROLES; role++)
		if (m->roles->run[role] && !atomic_load(&m->board->shared->ready[role]))
			return;
	scoreboard_count(m->board, &count);
	if (count.idle + count.busy == 0)
		return;
	m->announced = true;
	if (m->roles->ready)
		m->roles->ready(m->roles->ctx);
}

/* Until the next thing that is due without an event. */
static int next_wait_ms(const struct master *m)
{
	int64_t now = clock_mono_ms(), wait = TICK_MS;

	if (!m->announced)
		wait = 20;
	if (m->stopping && m->kill_at_mono_ms - now < wait)
		wait = m->kill_at_mono_ms - now;
	for (int role = 0; role < CHILD_ROLES && !m->stopping; role++) {
		int64_t left = m->backoff[role].not_before_mono_ms - now;

		if (left > 0 && left < wait)
			wait = left;
	}
	return wait < 0 ? 0 : (int)wait;
}

static void loop(struct master *m)
{
	while (!m->stopping || alive(m) > 0) {
		struct pollfd fds[3] = { { m->signal_fd, POLLIN, 0 },
					 { m->wake_fd[0], POLLIN, 0 },
					 { m->roles->watch ? m->roles->watch_fd : -1, POLLIN, 0 } };
		char drain[256];

		if (!m->stopping) {
			tick(m);
			for (int role = ROLE_RELAY; role < CHILD_ROLES; role++)
				spawn_single(m, (enum child_role)role);
			grow_pool(m);
			shrink_pool(m);
			announce_when_ready(m);
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
		reap(m);
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
	m.child_count = board->slots + CHILD_ROLES - 1;
	m.child = mem_array(m.child_count, sizeof(*m.child));
	proctitle_set("master");
	loop(&m);
	if (m.never_ready)
		err_set(e, "a worker or another process of the service could not start: its own line in the log "
			   "says why");
	else
		log_msg(LOG_LEVEL_INFO, "stopped", "all processes have ended");
	free(m.child);
	close(m.signal_fd);
	close(m.wake_fd[0]);
	close(m.wake_fd[1]);
	return m.never_ready ? -1 : 0;
}
