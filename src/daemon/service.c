/* SPDX-License-Identifier: ISC */
/* See service.h: start, end, and the hooks that the master calls. Runs in the master, as root if it was started so. */
#include "daemon/service.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "config/remote.h"
#include "daemon/generation.h"
#include "daemon/handover.h"
#include "daemon/health.h"
#include "daemon/house.h"
#include "daemon/listener_tls.h"
#include "daemon/logging.h"
#include "daemon/reload.h"
#include "daemon/succession.h"
#include "daemon/turn_away.h"
#include "daemon/upgrade.h"
#include "figures/figures.h"
#include "manage/protocol.h"
#include "relay/relay.h"
#include "sandbox/limits.h"
#include "sandbox/watch.h"
#include "spool/socket.h"

#define GOING_LEAST_MS 500 /* for handshakes that were under way when nobody new was let in */

static struct house *house_of(void *ctx)
{
	return ((struct service *)ctx)->house;
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
	return clock_mono_ms() - h->going_since_mono_ms >= GOING_LEAST_MS &&
	       !listening_has_clients(&h->going);
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
	house_gather(s, &facts);
	notify_tick(&s->house->notify, &facts, alive, &why);
	listener_tls_tick(s->tls);
	trial_tick(&s->house->trial);
	return succession_of_files(s, reload_tick(s->reload));
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

	house_gather(s, &facts);
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
		descriptors_close(&h->notice_fd[i]);
		descriptors_close(&h->event_fd[i]);
	}
	descriptors_close(&h->lock_fd);
	descriptors_close(&h->unsaved_fd);
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
	if (scoreboard_create(&h->board, 1, e) < 0 ||
	    limits_create(&h->limits, SCOREBOARD_SLOTS_MAX, e) < 0 || figures_open(e) < 0 ||
	    generation_open(s, h, open, e) < 0 || house_move_pid_file(h, cfg->pid_file, e) < 0) {
		generation_free(s);
		return -1;
	}
	house_use(h, s, open);
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
				      .reload = succession_reload,
				      .upgrade = succession_upgrade,
				      .reopen = reopen,
				      .tick = tick,
				      .watch = watch,
				      .waiting = turn_away_waiting,
				      .turn_away = turn_away,
				      .ended = succession_ended,
				      .born = born,
				      .turned = turned,
				      .may_retire = may_retire,
				      .retired = retired,
				      .execute = succession_execute } };
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
