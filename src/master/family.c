/* SPDX-License-Identifier: ISC */
/*
 * The master's children: who is there, how they are started and what is done when they have ended. Part of
 * supervise.h. Runs in the master, and for its first steps in the child.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "master/master_internal.h"

/* ---- who is there ------------------------------------------------------------- */

unsigned family_places(const struct master *m)
{
	return m->board->slots + m->other_count;
}

struct child *family_at(const struct master *m, unsigned place)
{
	return place < m->board->slots ? &m->worker[place] : &m->other[place - m->board->slots];
}

unsigned family_alive(const struct master *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < family_places(m); i++)
		n += family_at(m, i)->pid != 0;
	return n;
}

/* The one that does this now; NULL: none does. Not for workers. */
static struct child *present(const struct master *m, enum child_role role)
{
	for (unsigned i = 0; i < m->other_count; i++)
		if (m->other[i].pid != 0 && m->other[i].role == role && !m->other[i].old)
			return &m->other[i];
	return NULL;
}

/* The next of these starts when the one before has gone: there is one queue, and one place to be asked at. */
static bool waits_for_old(const struct master *m, enum child_role role)
{
	if (role != ROLE_RELAY && role != ROLE_MONITOR)
		return false;
	for (unsigned i = 0; i < m->other_count; i++)
		if (m->other[i].pid != 0 && m->other[i].role == role)
			return true;
	return false;
}

static struct child *free_place(struct master *m)
{
	for (unsigned i = 0; i < m->other_count; i++)
		if (m->other[i].pid == 0)
			return &m->other[i];
	m->other = mem_resize(m->other, m->other_count + 1, sizeof(*m->other));
	memset(&m->other[m->other_count], 0, sizeof(*m->other));
	return &m->other[m->other_count++];
}

/* ---- being born --------------------------------------------------------------- */

/* In the child: what belongs to the master is closed, then the role runs. */
static _Noreturn void live(struct master *m, enum child_role role, struct child_start *start)
{
	close(m->signal_fd);
	close(m->wake_fd[0]);
	for (unsigned i = 0; i < family_places(m); i++)
		if (family_at(m, i)->pid != 0)
			close(family_at(m, i)->control_fd);
	free(m->worker);
	free(m->other);
	if (m->roles->born)
		m->roles->born(m->roles->ctx, role);
	exit(m->roles->run[role](m->roles->ctx, start));
}

/* c: a free place; a worker's is that of its slot. */
static bool spawn(struct master *m, enum child_role role, struct child *c)
{
	struct child_start start = { .board = m->board, .wake_fd = m->wake_fd[1] };
	unsigned slot = role == ROLE_WORKER ? (unsigned)(c - m->worker) : 0;
	struct err e;
	int control_fd;
	pid_t pid;

	if (role == ROLE_WORKER) {
		start.slot = &m->board->slot[slot];
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
	c->slot = slot;
	c->batch = m->batch;
	c->has_guest = role == ROLE_WORKER && m->roles->guests;
	if (role == ROLE_WORKER)
		atomic_store(&start.slot->pid, pid);
	return true;
}

void family_start_others(struct master *m)
{
	for (int role = ROLE_RELAY; role < CHILD_ROLES; role++)
		if (m->roles->run[role] && !present(m, (enum child_role)role) &&
		    !waits_for_old(m, (enum child_role)role) &&
		    clock_mono_ms() >= m->backoff[role].not_before_mono_ms)
			spawn(m, (enum child_role)role, free_place(m));
}

/* Sessions of before may fill the pool for as long as they last: that ours can start is to be seen all the same. */
static bool is_unproven(const struct master *m, const struct scoreboard_count *count)
{
	return !m->was_ready && count->idle + count->busy + count->starting == 0;
}

void family_grow_pool(struct master *m)
{
	struct scoreboard_count count;
	unsigned want;

	if (clock_mono_ms() < m->backoff[ROLE_WORKER].not_before_mono_ms || turnover_awaits_helpers(m))
		return;
	turnover_count(m, &count);
	want = pool_to_start(&m->limits->pool, &count);
	if (want == 0 && (m->worker_lost || is_unproven(m, &count)))
		want = 1;
	m->worker_lost = false;
	for (unsigned i = 0; i < m->board->slots && want > 0; i++) {
		if (m->worker[i].pid != 0)
			continue;
		if (!spawn(m, ROLE_WORKER, &m->worker[i]))
			return;
		want--;
	}
}

void family_shrink_pool(struct master *m)
{
	struct scoreboard_count count;
	unsigned want;

	if (clock_mono_ms() - m->last_shrink_mono_ms < TICK_MS)
		return;
	m->last_shrink_mono_ms = clock_mono_ms();
	turnover_count(m, &count);
	want = pool_to_retire(&m->limits->pool, &count);
	for (unsigned i = m->board->slots; i-- > 0 && want > 0;) {
		struct child *c = &m->worker[i];

		if (c->pid == 0 || c->told || turnover_is_stale(m, c) ||
		    atomic_load(&m->board->slot[i].state) != SLOT_IDLE)
			continue;
		child_tell(c, CONTROL_RETIRE);
		want--;
	}
}

/* ---- dying -------------------------------------------------------------------- */

/*
 * Whose code a worker died in. It said so itself, or another one for it, so this decides nothing but what is
 * logged and when the next is born.
 */
struct guest {
	const char *name, *function; /* NULL: nobody's; in shared memory, and ended there */
	bool had_client;
};

static struct guest guest_of(const struct master *m, const struct child *c)
{
	struct scoreboard_slot *slot = &m->board->slot[c->slot];

	if (!c->has_guest || atomic_load(&slot->guest_deadline_mono_ms) == 0)
		return (struct guest){ .name = NULL };
	slot->guest[sizeof(slot->guest) - 1] = slot->guest_function[sizeof(slot->guest_function) - 1] = '\0';
	return (struct guest){ slot->guest, slot->guest_function, atomic_load(&slot->state) == SLOT_BUSY };
}

static void clear_slot(struct master *m, unsigned slot)
{
	atomic_store(&m->board->slot[slot].generation, 0); /* nobody reports here any more */
	atomic_store(&m->board->slot[slot].pid, 0);
	atomic_store(&m->board->slot[slot].state, SLOT_FREE);
	scoreboard_guest_left(&m->board->slot[slot]);
	if (m->roles->worker_ended)
		m->roles->worker_ended(m->roles->ctx, slot);
}

static void bury_worker(struct master *m, struct child *c, bool failed, bool had_client, int64_t lived)
{
	bool was_ours = !turnover_is_stale(m, c);

	clear_slot(m, c->slot);
	m->worker_lost = m->worker_lost || (failed && was_ours);
	/* of one that wrote to another board it is not known whether it had something to tell */
	if ((failed || c->foreign) && m->roles->worker_lost)
		m->roles->worker_lost(m->roles->ctx);
	/* a client brought it to that, not its start: the other clients are not to wait for a new one */
	if (!had_client && was_ours)
		backoff_note(&m->backoff[ROLE_WORKER], failed, lived, clock_mono_ms());
}

static void bury(struct master *m, struct child *c, int wait_status)
{
	int64_t now = clock_mono_ms(), lived = now - c->born_mono_ms;
	struct guest guest = guest_of(m, c);
	bool failed = child_bury(c, wait_status, guest.name, guest.function);

	if (c->role == ROLE_WORKER) {
		bury_worker(m, c, failed, guest.had_client, lived);
	} else if (!c->old) {
		atomic_store(&m->board->shared->ready[c->role], false);
		/* one that ends by itself did so for a reason it has logged: not a hot loop either */
		backoff_note(&m->backoff[c->role], failed || !c->told, lived, now);
	}
	/*
	 * who cannot do its work at the start will not learn it: whoever started us is to hear of it; where there
	 * is a way back a crash is reason enough; what has come back goes on as it did before
	 */
	if (((WIFEXITED(wait_status) && m->roles->inherited_count == 0) || m->roles->revert) && failed &&
	    !guest.had_client && !m->was_ready && !m->stopping && !c->old && !c->foreign)
		master_failed_to_start(m);
}

static struct child *find(const struct master *m, pid_t pid)
{
	for (unsigned i = 0; i < family_places(m); i++)
		if (family_at(m, i)->pid == pid)
			return family_at(m, i);
	return NULL;
}

void family_reap(struct master *m)
{
	int wait_status;
	pid_t pid;

	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
		struct child *c = find(m, pid);

		if (c)
			bury(m, c, wait_status);
		else if (m->roles->ended)
			master_take(m, m->roles->ended(m->roles->ctx, pid, wait_status));
	}
}

/* ---- those whose time is over ------------------------------------------------- */

/* What does not come back cannot be asked to. */
static void end_overdue_guest(struct child *c, struct scoreboard_slot *slot, int64_t now)
{
	int64_t deadline = atomic_load(&slot->guest_deadline_mono_ms);
	struct log_line line;

	if (deadline == 0 || now < deadline)
		return;
	log_begin(&line, LOG_LEVEL_ERROR, "module_timeout");
	log_int(&line, "pid", c->pid);
	log_strn(&line, "module", slot->guest, strnlen(slot->guest, sizeof(slot->guest)));
	log_strn(&line, "function", slot->guest_function,
		 strnlen(slot->guest_function, sizeof(slot->guest_function)));
	log_end(&line);
	kill(c->pid, SIGKILL);
	atomic_store(&slot->guest_deadline_mono_ms, INT64_MAX); /* once */
}

void family_kill_overdue(struct master *m)
{
	int64_t now = clock_mono_ms();

	for (unsigned i = 0; i < family_places(m); i++) {
		struct child *c = family_at(m, i);

		if (c->pid == 0)
			continue;
		/* without one nobody could say so but a worker that was taken over, and of all others */
		if (c->has_guest)
			end_overdue_guest(c, &m->board->slot[c->slot], now);
		if (c->kill_at_mono_ms == 0 || now < c->kill_at_mono_ms)
			continue;
		log_msg(LOG_LEVEL_WARNING, "killed", "%s %ld did not make way in time",
			child_role_name(c->role), (long)c->pid);
		kill(c->pid, SIGKILL);
		c->kill_at_mono_ms = 0;
	}
}
