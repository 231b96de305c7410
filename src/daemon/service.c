/* SPDX-License-Identifier: ISC */
/*
 * See service.h: the hooks that the master calls, and how one generation takes the place of another. At HUP the
 * configuration is tried in a process of its own (trial.h), as posthoused -t does; then a generation is made of
 * it beside the one in use; only when all of it is good it comes into use. Runs in the master, as root if it was
 * started so.
 */
#include "daemon/service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/listener.h"
#include "config/remote.h"
#include "daemon/changes.h"
#include "daemon/events.h"
#include "daemon/generation.h"
#include "daemon/handover.h"
#include "daemon/health.h"
#include "daemon/house.h"
#include "daemon/listener_tls.h"
#include "daemon/logging.h"
#include "daemon/monitor.h"
#include "daemon/options.h"
#include "daemon/prepared.h"
#include "daemon/reload.h"
#include "daemon/turn_away.h"
#include "daemon/upgrade.h"
#include "figures/figures.h"
#include "manage/protocol.h"
#include "relay/relay.h"
#include "sandbox/limits.h"
#include "sandbox/watch.h"
#include "spool/socket.h"

#define TRY_CONFIGURATION_MS 120000 /* a module has its time, too, and users may be known elsewhere */
#define GOING_LEAST_MS 500 /* for handshakes that were under way when nobody new was let in */

static struct house *house_of(void *ctx)
{
	return ((struct service *)ctx)->house;
}

/* ---- the pid file ------------------------------------------------------------------ */

/*
 * Once lock and sockets are ours: a second service that fails to start must not touch the file of the
 * first. Not through a symbolic link: who owns the directory may be less than we are.
 */
static int write_pid_file(const char *name, struct err *e)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, (size_t)n) != n) {
		err_set_os(e, errno, "%s: cannot write the pid file", name);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

/* name NULL: there is to be none. */
static int move_pid_file(struct house *h, const char *name, struct err *e)
{
	if (name && h->pid_file && strcmp(name, h->pid_file) == 0)
		return 0;
	if (name && write_pid_file(name, e) < 0)
		return -1;
	if (h->pid_file)
		unlink(h->pid_file);
	free(h->pid_file);
	h->pid_file = mem_strdup_or_null(name);
	return 0;
}

/* ---- coming into use ----------------------------------------------------------------- */

static void set_roles(struct house *h, struct service *s)
{
	const struct config *cfg = s->cfg;

	h->master_limits = (struct master_limits){ .pool = { cfg->min_spare, cfg->max_spare, cfg->max_workers },
						   .shed = admission_shed_policy(cfg),
						   .stop_timeout_ms = cfg->stop_timeout_ms };
	h->roles.run[ROLE_WORKER] = worker_main;
	h->roles.run[ROLE_RELAY] = s->has_relay ? relay_main : NULL;
	h->roles.run[ROLE_AUTH] = s->has_auth ? auth_main : NULL;
	h->roles.run[ROLE_PROGRAMS] = s->has_programs ? programs_main : NULL;
	h->roles.run[ROLE_KEYS] = config_has_tls(cfg) ? keys_main : NULL;
	h->roles.run[ROLE_MONITOR] = s->has_monitor ? monitor_main : NULL;
	h->roles.guests = cfg->module;
	h->roles.watch_fd = h->watch ? sandbox_watch_fd(h->watch) : -1;
	h->roles.ctx = s;
}

/* From here on children are forked with it. What it takes the place of is freed when the old ones have been told. */
static void use(struct house *h, struct service *s, struct listening_set *open)
{
	struct listening_set dropped;

	listening_init(&dropped);
	listener_tls_take_over(s->tls);
	listening_settle(&s->listening, open, &h->going);
	h->going_since_mono_ms = clock_mono_ms();
	/* who asked for figures asks again */
	listening_settle(&s->metrics, h->now ? &h->now->metrics : &h->metrics, &dropped);
	listening_release(&dropped, false);
	h->before = h->now;
	h->now = s;
	set_roles(h, s);
	log_tap(s->has_relay ? events_send : NULL, s); /* the workers inherit it */
	monitor_name_figures(s->cfg);
	activation_close(h->setup->passed);
}

/* ---- reload ---------------------------------------------------------------------------- */

static void gather_status(const struct service *s, struct notify_facts *f)
{
	struct scoreboard_count count;

	scoreboard_count(s->board, &count);
	*f = (struct notify_facts){ .workers = count.total,
				    .busy = count.busy,
				    .has_queue = s->has_relay,
				    .queued = atomic_load(&s->board->shared->relay_queued) };
}

static void tell_ready(struct house *h)
{
	struct notify_facts facts;

	gather_status(h->now, &facts);
	notify_ready(&h->notify, &facts);
}

static void log_refused(void *ctx, const char *text)
{
	static const char prefix[] = "posthoused: ";
	const struct house *h = ctx;
	struct log_line line;

	if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
		text += sizeof(prefix) - 1;
	figures_add(FIGURE_RELOADS, 1, 0, 1);
	log_begin(&line, LOG_LEVEL_ERROR, h->tries == HOUSE_TRIES_RELOAD ? "reload_refused" : "upgrade_refused");
	log_str(&line, "what", h->tries == HOUSE_TRIES_EXECUTABLE ? "executable" : "configuration");
	log_str(&line, "msg", text);
	log_str(&line, "kept", "the old");
	log_end(&line);
}

/* In the child: what is wrong is written to words_fd, a line each. */
static void write_line(void *ctx, const char *text)
{
	dprintf(*(int *)ctx, "%s\n", text);
}

static int try_configuration(void *ctx, int words_fd)
{
	const struct house *h = ctx;
	struct config cfg;

	if (daemon_options_configure(h->setup->options, geteuid(), &cfg, write_line, &words_fd) < 0 ||
	    !changes_are_possible(h->now->cfg, &cfg, write_line, &words_fd))
		return -1;
	activation_apply(h->setup->passed, &cfg);
	return machine_is_prepared(&cfg, false, write_line, &words_fd) ? 0 : -1;
}

/* NULL: it cannot be used, and that has been logged. */
static struct service *make_next(struct house *h)
{
	struct config *cfg = mem_alloc(sizeof(*cfg));
	struct service *s;
	struct err e;

	/* once more: it may be another by now */
	if (daemon_options_configure(h->setup->options, geteuid(), cfg, log_refused, h) < 0 ||
	    !changes_are_possible(h->now->cfg, cfg, log_refused, h)) {
		config_release(cfg);
		free(cfg);
		return NULL;
	}
	activation_apply(h->setup->passed, cfg);
	s = generation_new(h, cfg);
	if (generation_open(s, h, &h->now->listening, &e) == 0 && move_pid_file(h, cfg->pid_file, &e) == 0 &&
	    logging_open(cfg, h->setup->options->foreground, &e) == 0)
		return s;
	if (e.text[0])
		log_refused(h, e.text);
	listening_give_back(&h->now->listening);
	listening_give_back(&h->now->metrics);
	generation_free(s);
	return NULL;
}

static enum master_change replace(struct house *h)
{
	struct service *next = make_next(h);
	struct log_line line;

	if (!next) {
		tell_ready(h);
		return MASTER_SAME;
	}
	use(h, next, &h->now->listening);
	reload_tell(next->reload);
	figures_add(FIGURE_RELOADS, 0, 0, 1);
	log_begin(&line, LOG_LEVEL_INFO, "reloaded");
	log_str(&line, "what", "configuration");
	log_end(&line);
	return MASTER_GENERATION;
}

static void try(struct house *h, enum house_trial what)
{
	struct err e;

	h->tries = what;
	if (trial_begin(&h->trial, try_configuration, h, TRY_CONFIGURATION_MS, &e) == 0)
		return;
	log_refused(h, e.text);
	h->tries = HOUSE_NO_TRIAL;
	tell_ready(h);
}

/* What of the files is another now. */
static enum master_change change_of(struct service *s, bool changed)
{
	unsigned turn = listener_tls_turn(s->tls);
	bool other_keys = turn != s->keys_turn;

	s->keys_turn = turn;
	if (!changed)
		return MASTER_SAME;
	return other_keys ? MASTER_KEYS : MASTER_WORKERS;
}

static enum master_change reload_files(struct house *h)
{
	bool changed = reload_now(h->now->reload);

	tell_ready(h);
	return change_of(h->now, changed);
}

static enum master_change reload(void *ctx)
{
	struct house *h = house_of(ctx);

	if (h->tries != HOUSE_NO_TRIAL) { /* what is being read now may be what was there before */
		h->again = true;
		return MASTER_SAME;
	}
	notify_reloading(&h->notify);
	if (!h->setup->options->config_file)
		return reload_files(h);
	log_msg(LOG_LEVEL_INFO, "reload", "the configuration, and the files that it names, are read again");
	try(h, HOUSE_TRIES_RELOAD);
	return MASTER_SAME;
}

static enum master_change upgrade(void *ctx)
{
	struct house *h = house_of(ctx);

	if (h->tries != HOUSE_NO_TRIAL) {
		log_msg(LOG_LEVEL_WARNING, "upgrade_refused", "a reload or an upgrade is under way: try again");
		return MASTER_SAME;
	}
	log_msg(LOG_LEVEL_INFO, "upgrade", "the executable is to be replaced");
	notify_reloading(&h->notify);
	try(h, HOUSE_TRIES_UPGRADE);
	return MASTER_SAME;
}

static void log_bad_end(struct house *h, int wait_status)
{
	struct err e;

	if (WIFSIGNALED(wait_status))
		err_set(&e, "what tried it was killed by a signal: SIG%s", sigabbrev_np(WTERMSIG(wait_status)));
	else
		err_set(&e, "what tried it ended with status %d", WEXITSTATUS(wait_status));
	log_refused(h, e.text);
}

/* What has been tried is good. */
static enum master_change go_on(struct house *h)
{
	enum house_trial tried = h->tries;
	enum master_change change = MASTER_SAME;

	switch (tried) {
	case HOUSE_NO_TRIAL:
		return MASTER_SAME;
	case HOUSE_TRIES_RELOAD:
		change = replace(h);
		break;
	case HOUSE_TRIES_UPGRADE:
		if (upgrade_try(h))
			return MASTER_SAME;
		tell_ready(h);
		break;
	case HOUSE_TRIES_EXECUTABLE:
		change = MASTER_EXECUTE;
		break;
	}
	h->tries = HOUSE_NO_TRIAL;
	return change;
}

/* A HUP that had to wait comes now: what it changes is the master's to take. */
static void take_up_again(struct house *h)
{
	if (h->again)
		kill(getpid(), SIGHUP);
	h->again = false;
}

static enum master_change ended(void *ctx, pid_t pid, int wait_status)
{
	struct house *h = house_of(ctx);
	bool good = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_SUCCESS;
	enum master_change change = MASTER_SAME;

	if (!trial_ended(&h->trial, pid))
		return MASTER_SAME;
	if (good) {
		trial_abandon(&h->trial, false);
		change = go_on(h);
	} else {
		if (trial_hear(&h->trial, log_refused, h) == 0)
			log_bad_end(h, wait_status);
		h->tries = HOUSE_NO_TRIAL;
		tell_ready(h);
	}
	if (h->tries == HOUSE_NO_TRIAL && change != MASTER_EXECUTE)
		take_up_again(h);
	return change;
}

/* Still here: it failed, and all goes on. */
static void execute(void *ctx, const struct child *const *child, unsigned count)
{
	struct house *h = house_of(ctx);

	upgrade_execute(ctx, child, count);
	tell_ready(h);
	take_up_again(h);
}

/* ---- after a change ------------------------------------------------------------------- */

/* The old children have been told; none was forked since. */
static void turned(void *ctx)
{
	struct house *h = house_of(ctx);

	generation_free(h->before);
	h->before = NULL;
}

/* Old workers alone listen on what no generation has any more: they are needed while there are clients. */
static bool may_retire(void *ctx)
{
	struct house *h = house_of(ctx);

	if (h->going.count == 0)
		return true;
	return clock_mono_ms() - h->going_since_mono_ms >= GOING_LEAST_MS && !listening_has_clients(&h->going);
}

static void retired(void *ctx)
{
	listening_release(&house_of(ctx)->going, false);
}

/* In a child, first: what it is not to have of the house. Children of the other roles do the rest themselves. */
static void born(void *ctx, enum child_role role)
{
	struct house *h = house_of(ctx);

	if (role != ROLE_WORKER) /* nobody else counts clients */
		limits_destroy(&h->limits);
	listening_release(&h->going, false);
	trial_abandon(&h->trial, false);
	handover_close(h->setup->handover);
}

/* ---- the rest of what the master calls ----------------------------------------------- */

static void worker_lost(void *ctx)
{
	struct service *s = ctx;

	if (!s->has_relay)
		return;
	/* it may have died between its commit and its notice */
	atomic_store(&s->board->shared->rescan_wanted, true);
	relay_notify(s->notice_fd[1], &s->board->shared->rescan_wanted, "", false);
}

static void worker_ended(void *ctx, unsigned slot)
{
	struct service *s = ctx;

	limits_clear_slot(&s->admission.limits, slot);
}

static void stopping(void *ctx)
{
	struct house *h = house_of(ctx);

	trial_abandon(&h->trial, true);
	h->tries = HOUSE_NO_TRIAL;
	notify_stopping(&h->notify, h->now->cfg->stop_timeout_ms);
}

static void reopen(void *ctx)
{
	(void)ctx;
	logging_reopen();
}

static enum master_change tick(void *ctx)
{
	struct service *s = ctx;
	struct notify_facts facts;
	struct err why;
	bool alive = health_is_alive(s, &why);

	logging_tick();
	gather_status(s, &facts);
	notify_tick(&s->house->notify, &facts, alive, &why);
	listener_tls_tick(s->tls);
	trial_tick(&s->house->trial);
	return change_of(s, reload_tick(s->reload));
}

static void watch(void *ctx)
{
	sandbox_watch_run(house_of(ctx)->watch);
}

static void ready(void *ctx)
{
	struct service *s = ctx;
	struct house *h = s->house;
	struct notify_facts facts;
	struct log_line line;

	gather_status(s, &facts);
	log_begin(&line, LOG_LEVEL_INFO, "ready");
	log_int(&line, "pid", getpid());
	log_int(&line, "workers", facts.workers);
	log_str(&line, "handler", s->cfg->handler);
	if (s->has_relay) {
		char remote[ENDPOINT_TEXT_MAX];

		log_str(&line, "spool", s->cfg->spool);
		log_str(&line, "remoteaddr",
			config_remote_format(&s->cfg->upstream[0].remoteaddr[0], remote));
	}
	if (!s->relay_rights.change)
		log_str(&line, "rights", geteuid() == 0 ? "root, not separated" : "one user, not separated");
	log_end(&line);
	notify_ready(&h->notify, &facts);
	if (h->setup->on_ready)
		h->setup->on_ready(h->setup->ctx);
	handover_close(h->setup->handover); /* there is no way back any more, and no need of one */
}

/* ---- start and end ---------------------------------------------------------------------- */

static void release(struct house *h)
{
	log_tap(NULL, NULL);
	if (h->pid_file && h->now)
		unlink(h->pid_file);
	free(h->pid_file);
	if (h->spool && h->now) { /* no relay comes after the last one */
		spool_socket_remove(h->spool, PROTOCOL_VIEW_SOCKET);
		spool_socket_remove(h->spool, PROTOCOL_CONTROL_SOCKET);
	}
	trial_abandon(&h->trial, true);
	generation_free(h->now);
	listening_release(&h->going, false);
	listening_release(&h->metrics, false);
	figures_close();
	limits_destroy(&h->limits);
	if (h->board)
		scoreboard_destroy(h->board);
	for (int i = 0; i < 2; i++) {
		if (h->notice_fd[i] >= 0)
			close(h->notice_fd[i]);
		if (h->event_fd[i] >= 0)
			close(h->event_fd[i]);
	}
	if (h->lock_fd >= 0)
		close(h->lock_fd);
	if (h->unsaved_fd >= 0)
		close(h->unsaved_fd);
	sandbox_watch_free(h->watch);
	free(h->spool);
}

static int open_house(struct house *h, struct config *cfg, struct err *e)
{
	struct listening_set *open = &h->setup->passed->open;
	struct service *s;

	if (upgrade_enter(h, e) < 0) {
		config_release(cfg);
		free(cfg);
		return -1;
	}
	s = generation_new(h, cfg);
	if (scoreboard_create(&h->board, 1, e) < 0 || limits_create(&h->limits, SCOREBOARD_SLOTS_MAX, e) < 0 ||
	    figures_open(e) < 0 || generation_open(s, h, open, e) < 0 || move_pid_file(h, cfg->pid_file, e) < 0) {
		generation_free(s);
		return -1;
	}
	use(h, s, open);
	upgrade_watch(h);
	return 0;
}

int service_run(struct config *cfg, const struct service_setup *setup, struct err *e)
{
	struct house h = { .setup = setup,
			   .lock_fd = -1,
			   .notice_fd = { -1, -1 },
			   .event_fd = { -1, -1 },
			   .unsaved_fd = -1,
			   .started_wall_us = clock_file_us(),
			   .roles = { .worker_ended = worker_ended,
				      .worker_lost = worker_lost,
				      .ready = ready,
				      .stopping = stopping,
				      .reload = reload,
				      .upgrade = upgrade,
				      .reopen = reopen,
				      .tick = tick,
				      .watch = watch,
				      .waiting = turn_away_waiting,
				      .turn_away = turn_away,
				      .ended = ended,
				      .born = born,
				      .turned = turned,
				      .may_retire = may_retire,
				      .retired = retired,
				      .execute = execute } };
	int r;

	/*
	 * Where we are one user with the programs that are run for mail: they are not to open the private keys again
	 * by /proc/PID/fd, nor to write into who starts all the others.
	 */
	sandbox_limits_unseen();
	notify_init(&h.notify);
	trial_init(&h.trial);
	listening_init(&h.going);
	listening_init(&h.metrics);
	r = open_house(&h, cfg, e);
	if (r == 0)
		r = master_run(&h.master_limits, &h.roles, h.board, e);
	release(&h);
	return r;
}
