/* SPDX-License-Identifier: ISC */
/* See generation.h. Runs in the master, as root if it was started so. */
#include "daemon/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "config/listener.h"
#include "config/programs.h"
#include "daemon/events.h"
#include "daemon/house.h"
#include "daemon/listener_tls.h"
#include "daemon/monitor.h"
#include "daemon/outbox.h"
#include "daemon/programs.h"
#include "daemon/relay_tokens.h"
#include "daemon/reload.h"
#include "spool/spool.h"

/* Room for the notices of some ten thousand messages while the relay is busy or being restarted. */
#define NOTICE_PIPE_BYTES (256 << 10)

/* ---- users and groups -------------------------------------------------------------- */

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
	if (s->control_gid != (gid_t)-1 && s->control_gid != s->relay_rights.gid &&
	    s->control_gid != s->view_gid)
		rights_add_group(&s->relay_rights, s->control_gid);
	return 0;
}

/* ---- what it needs of the house ----------------------------------------------------- */

static int open_notices(struct house *h, struct err *e)
{
	if (pipe2(h->notice_fd, O_CLOEXEC | O_NONBLOCK) < 0) {
		err_set_os(e, errno, "cannot make the pipe from workers to relay");
		return -1;
	}
	/* refused when the user's pipe budget is used up: a smaller one only means more rescans */
	(void)fcntl(h->notice_fd[1], F_SETPIPE_SZ, NOTICE_PIPE_BYTES);
	/* without it a relay says what the next one will not know */
	h->unsaved_fd = memfd_create("unsaved", MFD_CLOEXEC);
	return events_open(h->event_fd, e);
}

/* Once in the life of the house: it has one spool. */
static int take_spool(struct house *h, const struct config *cfg, struct err *e)
{
	struct spool spool;
	bool is_volatile;
	const char *fs;

	if (h->lock_fd < 0)
		h->lock_fd = spool_lock(cfg->spool, e);
	if (h->lock_fd < 0 || spool_open(&spool, cfg->spool, SPOOL_MANAGE, cfg->spool_sync, e) < 0)
		return -1;
	fs = spool_filesystem(&spool, &is_volatile);
	if (is_volatile)
		log_msg(LOG_LEVEL_WARNING, "spool_volatile",
			"%s is on %s: queued mail is lost when this machine or container goes; put the spool on a disk",
			cfg->spool, fs);
	spool_close(&spool);
	if (h->notice_fd[0] < 0 && open_notices(h, e) < 0)
		return -1;
	h->spool = mem_strdup(cfg->spool);
	return 0;
}

/* Folders and their owners. One user's spool is for nobody else to pass through, unless groups are to reach the relay. */
static int make_spool(const struct service *s, struct err *e)
{
	const struct rights *relay = &s->relay_rights, *worker = &s->worker_rights;
	bool for_groups = s->view_gid != (gid_t)-1 || s->control_gid != (gid_t)-1;

	if (relay->uid == (uid_t)-1 && for_groups)
		return spool_prepare(s->cfg->spool, geteuid(), getegid(), getegid(), e);
	return spool_prepare(s->cfg->spool, relay->uid, relay->gid,
			     relay->uid == worker->uid ? relay->gid : worker->gid, e);
}

static int prepare_spool(struct service *s, struct house *h, struct err *e)
{
	const char *path = s->cfg->spool;

	if (h->spool && strcmp(h->spool, path) != 0) {
		err_set(e, "%s: this service has the spool %s: to have another one, restart it", path,
			h->spool);
		return -1;
	}
	if (make_spool(s, e) < 0 || (!h->spool && take_spool(h, s->cfg, e) < 0))
		return -1;
	s->lock_fd = h->lock_fd;
	memcpy(s->notice_fd, h->notice_fd, sizeof(s->notice_fd));
	memcpy(s->event_fd, h->event_fd, sizeof(s->event_fd));
	s->unsaved_fd = h->unsaved_fd;
	return 0;
}

/* For as many workers as it may have, and those they take the place of. */
static void take_room(struct service *s, struct house *h)
{
	const struct pool_limits pool = { s->cfg->min_spare, s->cfg->max_spare, s->cfg->max_workers };

	scoreboard_grow(h->board, pool_slots(&pool) + h->strangers);
	s->board = h->board;
	admission_count(&s->admission, &h->limits, h->board->slots);
}

/* ---- lines and sockets -------------------------------------------------------------- */

static int open_line(int fd[2], const char *to, struct err *e)
{
	if (descriptors_request_line(fd) == 0)
		return 0;
	err_set_os(e, errno, "cannot make the socket pair from workers to %s", to);
	return -1;
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

static int listen_on(struct service *s, const struct config_listener *l, const struct endpoint *ep,
		     struct listening_set *open, struct err *e)
{
	if (geteuid() == 0 && is_in_runtime_folder(ep))
		make_runtime_folder();
	if (listening_take(&s->listening, open, ep, l->name, s->cfg->listen_backlog, e) == 0)
		return 0;
	err_prefix(e, "listener \"%s\"", l->name);
	return -1;
}

static int listen_on_all(struct service *s, struct house *h, struct listening_set *open, struct err *e)
{
	for (size_t i = 0; i < s->cfg->listener_count; i++) {
		const struct config_listener *l = &s->cfg->listener[i];

		for (size_t k = 0; k < l->localaddr_count; k++)
			if (listen_on(s, l, &l->localaddr[k], open, e) < 0)
				return -1;
	}
	return activation_check(h->setup->passed, &s->listening, e);
}

static bool is_listed(const struct listening_set *set, const struct listening *l)
{
	for (size_t i = 0; i < set->count; i++)
		if (strcmp(set->item[i].address, l->address) == 0 &&
		    strcmp(set->item[i].listener, l->listener) == 0)
			return true;
	return false;
}

/* One is told of what is new, or was another's. */
static void log_listening(const struct service *s, const struct listening_set *before)
{
	for (size_t i = 0; i < s->listening.count; i++) {
		const struct listening *l = &s->listening.item[i];
		struct log_line line;

		if (before && is_listed(before, l))
			continue;
		log_begin(&line, LOG_LEVEL_INFO, "listening");
		log_str(&line, "listener", l->listener);
		log_str(&line, "localaddr", l->address);
		log_end(&line);
	}
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
	/* nothing changes it there */
	struct service s = { .cfg = (struct config *)(uintptr_t)cfg };
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

/* ---- a generation ---------------------------------------------------------------- */

struct service *generation_new(struct house *h, struct config *cfg)
{
	struct service *s = mem_alloc(sizeof(*s));

	*s = (struct service){ .cfg = cfg,
			       .house = h,
			       .handler = handler_kind_find(cfg->handler),
			       .lock_fd = -1,
			       .notice_fd = { -1, -1 },
			       .event_fd = { -1, -1 },
			       .unsaved_fd = -1,
			       .auth_fd = { -1, -1 },
			       .program_fd = { -1, -1 },
			       .probe_fd = { -1, -1 },
			       .started_wall_us = h->started_wall_us,
			       .master_pid = getpid() };
	listening_init(&s->listening);
	listening_init(&s->metrics);
	admission_init(&s->admission, cfg, s->handler);
	s->reload = make_reload(s);
	s->has_relay = s->handler->ops->facts->spools;
	s->has_auth = config_offers_auth(cfg);
	s->has_programs = config_runs_programs(cfg);
	s->has_monitor = monitor_is_wanted(cfg);
	return s;
}

static int open_shared(struct service *s, struct err *e)
{
	s->shared = mmap(NULL, sizeof(*s->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->shared != MAP_FAILED)
		return 0;
	s->shared = NULL;
	err_set_os(e, errno, "cannot map shared memory for workers and auth");
	return -1;
}

static int read_files(struct service *s, const struct service *before, struct err *e)
{
	if (!before)
		return reload_start(s->reload, e);
	listener_tls_follow(s->tls, before->tls);
	if (reload_beside(s->reload))
		return 0;
	err_set(e, "%s", ""); /* told already */
	return -1;
}

int generation_open(struct service *s, struct house *h, struct listening_set *open, struct err *e)
{
	const struct config *cfg = s->cfg;

	/* the lock before the sockets: a second service on one spool hears that, and not of a busy port */
	if (find_rights(s, e) < 0 || read_files(s, h->now, e) < 0 || open_shared(s, e) < 0 ||
	    (s->has_relay && prepare_spool(s, h, e) < 0) ||
	    (s->has_auth && open_line(s->auth_fd, "auth", e) < 0) ||
	    (s->has_programs && open_line(s->program_fd, "programs", e) < 0) ||
	    (s->has_monitor && monitor_prepare(s, h->now ? &h->now->metrics : &h->metrics, e) < 0) ||
	    (s->has_relay &&
	     relay_tokens_make_folder(cfg, s->relay_rights.uid, s->relay_rights.gid, e) < 0) ||
	    (cfg->outbox && outbox_prepare(cfg->outbox, s->worker_rights.uid, s->worker_rights.gid, e) < 0) ||
	    listen_on_all(s, h, open, e) < 0 || confine_prepare(&s->confine, cfg, &h->watch, e) < 0)
		return -1;
	log_listening(s, h->now ? open : NULL);
	take_room(s, h);
	s->keys_turn = listener_tls_turn(s->tls);
	rewriting_warn(&s->rewriting);
	return 0;
}

void generation_free(struct service *s)
{
	if (!s)
		return;
	listening_release(&s->listening, true);
	listening_release(&s->metrics, true);
	confine_release(&s->confine);
	reload_free(s->reload);
	rewriting_release(&s->rewriting);
	for (int i = 0; i < 2; i++) {
		descriptors_close(&s->auth_fd[i]);
		descriptors_close(&s->program_fd[i]);
		descriptors_close(&s->probe_fd[i]);
	}
	if (s->shared)
		munmap(s->shared, sizeof(*s->shared));
	config_release(s->cfg);
	free(s->cfg);
	free(s);
}
