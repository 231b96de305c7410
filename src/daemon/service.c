/* SPDX-License-Identifier: ISC */
/* See service.h. Runs in the master, as root if it was started so. */
#include "daemon/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/listener.h"
#include "config/programs.h"
#include "config/remote.h"
#include "daemon/health.h"
#include "daemon/monitor.h"
#include "daemon/outbox.h"
#include "daemon/programs.h"
#include "daemon/events.h"
#include "daemon/relay_tokens.h"
#include "daemon/listener_tls.h"
#include "daemon/logging.h"
#include "daemon/reload.h"
#include "daemon/turn_away.h"
#include "figures/figures.h"
#include "relay/relay.h"
#include "spool/spool.h"

/* Room for the notices of some ten thousand messages while the relay is busy or being restarted. */
#define NOTICE_PIPE_BYTES (256 << 10)

/* ---- before the first fork ----------------------------------------------------- */

int service_find_groups(const struct config *cfg, gid_t *view_gid, gid_t *control_gid, struct err *e)
{
	*view_gid = *control_gid = (gid_t)-1;
	if (cfg->view_group && rights_of_group(view_gid, cfg->view_group, e) < 0) {
		err_prefix(e, "view_group");
		return -1;
	}
	if (cfg->control_group && rights_of_group(control_gid, cfg->control_group, e) < 0) {
		err_prefix(e, "control_group");
		return -1;
	}
	return 0;
}

/* root stays root: PAM may need it (posthouse.conf(5), auth_user). */
static int find_auth_rights(struct service *s, struct err *e)
{
	const char *user = s->cfg->auth_user;

	if (!s->has_auth || strcmp(user, "root") == 0)
		return 0;
	if (rights_of_user(&s->auth_rights, user, e) < 0)
		return -1;
	rights_add_groups_of(&s->auth_rights, user);
	return 0;
}

static int find_rights(struct service *s, struct err *e)
{
	const struct config *cfg = s->cfg;

	s->worker_rights = s->relay_rights = s->auth_rights = s->program_rights = s->keys_rights =
		(struct rights){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
	if (service_find_groups(cfg, &s->view_gid, &s->control_gid, e) < 0)
		return -1;
	if (geteuid() != 0 || !cfg->user || !cfg->smtp_user)
		return 0;
	if (rights_of_user(&s->relay_rights, cfg->user, e) < 0 ||
	    rights_of_user(&s->worker_rights, cfg->smtp_user, e) < 0 || find_auth_rights(s, e) < 0 ||
	    (s->has_programs && programs_find_rights(&s->program_rights, cfg, e) < 0))
		return -1;
	if (config_has_tls(cfg) && rights_of_user(&s->keys_rights, cfg->keys_user, e) < 0)
		return -1;
	/* the relay reads what the workers wrote by being in their group (spool/spool.c) */
	if (s->relay_rights.uid != s->worker_rights.uid)
		rights_add_group(&s->relay_rights, s->worker_rights.gid);
	if (s->view_gid == (gid_t)-1)
		s->view_gid = s->relay_rights.gid;
	/* only a member of a group can give it a socket */
	if (s->view_gid != s->relay_rights.gid)
		rights_add_group(&s->relay_rights, s->view_gid);
	if (s->control_gid != (gid_t)-1 && s->control_gid != s->relay_rights.gid && s->control_gid != s->view_gid)
		rights_add_group(&s->relay_rights, s->control_gid);
	return 0;
}

static int prepare_spool(struct service *s, struct err *e)
{
	const char *path = s->cfg->spool;
	const struct rights *relay = &s->relay_rights, *worker = &s->worker_rights;
	struct spool spool;
	bool is_volatile;
	const char *fs;

	if (spool_prepare(path, relay->uid, relay->gid, relay->uid == worker->uid ? relay->gid : worker->gid, e) < 0)
		return -1;
	s->lock_fd = spool_lock(path, e);
	if (s->lock_fd < 0 || spool_open(&spool, path, SPOOL_MANAGE, s->cfg->spool_sync, e) < 0)
		return -1;
	fs = spool_filesystem(&spool, &is_volatile);
	if (is_volatile)
		log_msg(LOG_LEVEL_WARNING, "spool_volatile",
			"%s is on %s: queued mail is lost when this machine or container goes; put the spool on a disk",
			path, fs);
	spool_close(&spool);
	if (pipe2(s->notice_fd, O_CLOEXEC | O_NONBLOCK) < 0) {
		err_set_os(e, errno, "cannot make the pipe from workers to relay");
		return -1;
	}
	if (events_open(s->event_fd, e) < 0)
		return -1;
	/* refused when the user's pipe budget is used up: a smaller one only means more rescans */
	(void)fcntl(s->notice_fd[1], F_SETPIPE_SZ, NOTICE_PIPE_BYTES);
	return 0;
}

/* Room for the requests of a few hundred workers while the process that answers them is being restarted. */
#define LINE_QUEUE_BYTES (1 << 20)

/* A line on which workers ask another process: they write to the second end, it reads from the first. */
static int open_line(int fd[2], const char *to, struct err *e)
{
	const int size = LINE_QUEUE_BYTES;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) < 0) {
		err_set_os(e, errno, "cannot make the socket pair from workers to %s", to);
		return -1;
	}
	(void)setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

/*
 * The usual place of the unix socket is emptied with each boot, and only root can make it. Any other folder
 * is the operator's to make. In it nobody but root may put anything, so who submits knows whom they talk to.
 */
static void make_runtime_folder(void)
{
	char folder[] = PH_RUNSTATEDIR "/posthouse";

	for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(folder, 0755);
		*slash = '/';
	}
	(void)mkdir(folder, 0755); /* bind says what is wrong */
}

static bool is_in_runtime_folder(const struct endpoint *ep)
{
	static const char folder[] = PH_RUNSTATEDIR "/posthouse/";

	return ep->kind == ENDPOINT_UNIX && strncmp(ep->path, folder, sizeof(folder) - 1) == 0;
}

static int bind_all(struct service *s, struct err *e)
{
	for (size_t i = 0; i < s->cfg->listener_count; i++) {
		const struct config_listener *l = &s->cfg->listener[i];

		for (size_t k = 0; k < l->localaddr_count; k++) {
			if (geteuid() == 0 && is_in_runtime_folder(&l->localaddr[k]))
				make_runtime_folder();
			if (listening_take(&s->listening, &s->passed->open, &l->localaddr[k], l->name, s->cfg->listen_backlog, e) < 0) {
				err_prefix(e, "listener \"%s\"", l->name);
				return -1;
			}
		}
	}
	if (activation_check(s->passed, &s->listening, e) < 0)
		return -1;
	activation_close(s->passed);
	for (size_t i = 0; i < s->listening.count; i++) {
		struct log_line line;

		log_begin(&line, LOG_LEVEL_INFO, "listening");
		log_str(&line, "listener", s->listening.item[i].listener);
		log_str(&line, "localaddr", s->listening.item[i].address);
		log_end(&line);
	}
	return 0;
}

/*
 * Once lock and sockets are ours: a second service that fails to start must not touch the file of the
 * first. Not through a symbolic link: who owns the directory may be less than we are.
 */
static int write_pid_file(struct service *s, struct err *e)
{
	const char *name = s->cfg->pid_file;
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
	s->has_pid_file = true;
	return 0;
}

/* ---- what workers inherit of files ------------------------------------------------ */

/* Everyone who keeps something of files for the workers says so here. */
static struct reload *make_reload(struct service *s)
{
	struct reload *r = reload_new();

	admission_watch(&s->admission, r);
	s->tls = listener_tls_new(s->cfg);
	listener_tls_register(s->tls, r);
	rewriting_init(&s->rewriting, s->cfg);
	rewriting_reload(&s->rewriting, r);
	modules_init(&s->modules, s->cfg);
	modules_reload(&s->modules, r);
	return r;
}

bool service_check_files(const struct config *cfg, bool warn, void (*report)(void *ctx, const char *text),
			 void *ctx)
{
	struct service s = { .cfg = cfg };
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		struct reload *r;

		admission_init(&s.admission, cfg, handler_kind_find(cfg->handler));
		s.admission.report = report;
		s.admission.ctx = ctx;
		r = make_reload(&s);
		status = reload_check(r, report, ctx) ? 0 : 1;
		if (warn)
			listener_tls_warnings(s.tls, report, ctx);
		reload_free(r);
		_exit(status);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* ---- called by the master -------------------------------------------------------- */

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

static void gather_status(const struct service *s, struct notify_facts *f)
{
	struct scoreboard_count count;

	scoreboard_count(s->board, &count);
	*f = (struct notify_facts){ .workers = count.total,
				    .busy = count.busy,
				    .has_queue = s->has_relay,
				    .queued = atomic_load(&s->board->shared->relay_queued) };
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

static enum master_change reload_files(void *ctx)
{
	struct service *s = ctx;
	struct notify_facts facts;
	bool changed;

	notify_reloading(&s->notify);
	changed = reload_now(s->reload);
	gather_status(s, &facts);
	notify_ready(&s->notify, &facts);
	return change_of(s, changed);
}

static void stopping(void *ctx)
{
	struct service *s = ctx;

	notify_stopping(&s->notify, s->cfg->stop_timeout_ms);
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
	notify_tick(&s->notify, &facts, alive, &why);
	listener_tls_tick(s->tls);
	return change_of(s, reload_tick(s->reload));
}

static void watch(void *ctx)
{
	struct service *s = ctx;

	confine_watch(&s->confine);
}

static void ready(void *ctx)
{
	struct service *s = ctx;
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
	notify_ready(&s->notify, &facts);
	if (s->on_ready)
		s->on_ready(s->on_ready_ctx);
}

static void release(struct service *s)
{
	if (s->has_pid_file)
		unlink(s->cfg->pid_file);
	listening_release(&s->listening, true);
	listening_release(&s->metrics, true);
	reload_free(s->reload);
	admission_release(&s->admission);
	rewriting_release(&s->rewriting);
	log_tap(NULL, NULL);
	if (s->board)
		scoreboard_destroy(s->board);
	for (int i = 0; i < 2; i++) {
		if (s->notice_fd[i] >= 0)
			close(s->notice_fd[i]);
		if (s->event_fd[i] >= 0)
			close(s->event_fd[i]);
		if (s->auth_fd[i] >= 0)
			close(s->auth_fd[i]);
		if (s->program_fd[i] >= 0)
			close(s->program_fd[i]);
		if (s->probe_fd[i] >= 0)
			close(s->probe_fd[i]);
	}
	figures_close();
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	confine_release(&s->confine);
}

int service_run(const struct config *cfg, struct activation *passed, void (*on_ready)(void *ctx), void *ctx,
		struct err *e)
{
	struct service s = { .cfg = cfg,
			     .passed = passed,
			     .lock_fd = -1,
			     .notice_fd = { -1, -1 },
			     .event_fd = { -1, -1 },
			     .auth_fd = { -1, -1 },
			     .program_fd = { -1, -1 },
			     .probe_fd = { -1, -1 },
			     .on_ready = on_ready,
			     .on_ready_ctx = ctx,
			     .started_wall_us = clock_file_us(),
			     .master_pid = getpid() };
	struct master_limits limits = { .pool = { cfg->min_spare, cfg->max_spare, cfg->max_workers },
					.shed = admission_shed_policy(cfg),
					.stop_timeout_ms = cfg->stop_timeout_ms };
	struct master_roles roles = { .run[ROLE_WORKER] = worker_main,
				      .worker_ended = worker_ended,
				      .worker_lost = worker_lost,
				      .ready = ready,
				      .stopping = stopping,
				      .reload = reload_files,
				      .reopen = reopen,
				      .tick = tick,
				      .waiting = turn_away_waiting,
				      .turn_away = turn_away,
				      .watch = watch,
				      .ctx = &s };
	int r = -1;

	listening_init(&s.listening);
	notify_init(&s.notify);
	listening_init(&s.metrics);
	s.handler = handler_kind_find(cfg->handler);
	admission_init(&s.admission, cfg, s.handler);
	s.reload = make_reload(&s);
	s.has_relay = s.handler->ops->facts->spools;
	s.has_auth = config_offers_auth(cfg);
	s.has_programs = config_runs_programs(cfg);
	s.has_monitor = monitor_is_wanted(cfg);
	if (s.has_relay)
		roles.run[ROLE_RELAY] = relay_main;
	if (s.has_auth)
		roles.run[ROLE_AUTH] = auth_main;
	if (s.has_programs)
		roles.run[ROLE_PROGRAMS] = programs_main;
	if (config_has_tls(cfg))
		roles.run[ROLE_KEYS] = keys_main;
	if (s.has_monitor)
		roles.run[ROLE_MONITOR] = monitor_main;
	/* the lock before the sockets: a second service on one spool hears that, and not of a busy port */
	if (find_rights(&s, e) < 0 || reload_start(s.reload, e) < 0 ||
	    (s.has_relay && prepare_spool(&s, e) < 0) ||
	    (s.has_auth && open_line(s.auth_fd, "auth", e) < 0) ||
	    (s.has_programs && open_line(s.program_fd, "programs", e) < 0) ||
	    (s.has_monitor && monitor_prepare(&s, e) < 0) || figures_open(e) < 0 ||
	    (s.has_relay && relay_tokens_make_folder(cfg, s.relay_rights.uid, s.relay_rights.gid, e) < 0) ||
	    (cfg->outbox && outbox_prepare(cfg->outbox, s.worker_rights.uid, s.worker_rights.gid, e) < 0) ||
	    bind_all(&s, e) < 0 || (cfg->pid_file && write_pid_file(&s, e) < 0) ||
	    scoreboard_create(&s.board, pool_slots(&limits.pool), e) < 0 ||
	    admission_count(&s.admission, pool_slots(&limits.pool), e) < 0 || confine_prepare(&s.confine, cfg, e) < 0)
		goto out;
	monitor_name_figures(cfg);
	roles.watch_fd = confine_fd(&s.confine);
	if (s.has_relay)
		log_tap(events_send, &s); /* the workers inherit it */
	rewriting_warn(&s.rewriting);
	s.keys_turn = listener_tls_turn(s.tls);
	r = master_run(&limits, &roles, s.board, e);
out:
	release(&s);
	return r;
}
