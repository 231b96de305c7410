/* SPDX-License-Identifier: ISC */
/*
 * The worker process: accept a client, run its session (worker_session.c), again. Runs as smtp_user; may
 * create files in the spool and nothing else.
 */
#include "daemon/worker_internal.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "daemon/inherit.h"
#include "daemon/listener_tls.h"
#include "daemon/outbox.h"
#include "daemon/proxying.h"
#include "figures/figures.h"
#include "handler/filter_handler.h"
#include "relay/relay.h"
#include "rewrite/rewrite_handler.h"
#include "smtp/mechanism.h"

#define OUTBOX_RETRY_MS 60000 /* what the outbox holds and was refused for now: a full disk, mostly */

/* ---- the loop ------------------------------------------------------------------------- */

/* Busy now: the master is called when it was the last idle one but min_spare. */
static void become_busy(struct worker *w)
{
	struct scoreboard_count count;

	scoreboard_set(w->start->slot, w->start->generation, SLOT_BUSY);
	scoreboard_count(w->start->board, &count);
	w->busy = count.busy;
	if (count.idle + count.starting < w->service->cfg->min_spare && write(w->start->wake_fd, "", 1) < 0) {
		/* the pipe is full: the master is awake */
	}
}

/* In a module: it was in the child's name that the scoreboard was told so. */
static void on_outbox_session_died(void *ctx)
{
	struct worker *w = ctx;
	const struct scoreboard_slot *slot = w->start->slot;
	struct log_line line;

	log_begin(&line, LOG_LEVEL_ERROR, "child_exited");
	log_str(&line, "role", "outbox session");
	if (atomic_load(&slot->guest_deadline_mono_ms) != 0) {
		log_str(&line, "module", slot->guest);
		log_str(&line, "function", slot->guest_function);
	}
	log_end(&line);
	scoreboard_guest_left(w->start->slot);
}

/*
 * Mail that was put down while nobody listened. We do now, so nothing is put in any more without telling us.
 */
static void drain_outbox(struct worker *w)
{
	const struct config *cfg = w->service->cfg;
	const struct session_peer local = { .text = "unix", .address = "unix", .listener = "outbox" };
	struct smtp_reply refusal = { .code = 0 };
	struct outbox_player player = { .folder = cfg->outbox,
					.session = &w->outbox_session,
					.handler = w->handler,
					.events = &w->events,
					.control = &w->start->control,
					.died = w->module ? on_outbox_session_died : NULL,
					.died_ctx = w,
					.expire_after_ms = cfg->expire_after_ms,
					.peer = w->peer.text,
					.peer_cap = sizeof(w->peer.text) };

	w->outbox_due_mono_ms = CLOCK_NEVER;
	if (!cfg->outbox)
		return;
	become_busy(w);
	proctitle_set("worker outbox");
	if (access_begin(&w->access, &local, (struct access_login){ .offered = false }, 0, &refusal) ==
	    POLICY_REFUSE)
		player.refusal = &refusal;
	if (outbox_drain(&player) == OUTBOX_LATER)
		w->outbox_due_mono_ms = clock_mono_ms() + OUTBOX_RETRY_MS;
	access_end(&w->access);
	proctitle_set("worker");
}

/* The next client; on the way what is due between two of them. -1: there is none to be taken any more. */
static int next_client(struct worker *w, const struct listening **from)
{
	int fd;

	do {
		int64_t idle = w->handler->ops->idle ? w->handler->ops->idle(w->handler) : CLOCK_NEVER;

		if (clock_mono_ms() >= w->outbox_due_mono_ms)
			drain_outbox(w);
		w->acceptor.wake_mono_ms = idle < w->outbox_due_mono_ms ? idle : w->outbox_due_mono_ms;
		scoreboard_set(w->start->slot, w->start->generation, SLOT_IDLE);
		fd = acceptor_next(&w->acceptor, from);
		if (fd >= 0 && !*from)
			worker_answer_probe(w, fd);
	} while (fd == ACCEPTOR_WAKE || (fd >= 0 && !*from));
	return fd;
}

static void loop(struct worker *w)
{
	unsigned most = w->service->cfg->max_requests;

	drain_outbox(w);
	for (unsigned n = 0; most == 0 || n < most; n++) {
		const struct listening *from;
		int fd = next_client(w, &from);

		if (fd < 0)
			break;
		atomic_fetch_add(&w->start->slot->clients, 1);
		become_busy(w);
		worker_serve(w, fd, from);
		atomic_fetch_add(&w->start->slot->sessions, 1);
		if (w->start->control.retiring)
			break;
	}
	scoreboard_set(w->start->slot, w->start->generation, SLOT_LEAVING);
}

/* ---- the process -------------------------------------------------------------------- */

/*
 * REQUIRETLS is offered when some upstream can honour it: then who needs it may try. Without one every such
 * message would come back, and who is told so at once can look for another way.
 */
static bool honours_requiretls(const struct config *cfg)
{
	for (size_t i = 0; i < cfg->upstream_count; i++)
		if (cfg->upstream[i].tls == UPSTREAM_TLS_REQUIRED ||
		    cfg->upstream[i].tls == UPSTREAM_TLS_IMPLICIT)
			return true;
	return false;
}

/* For ETRN. Nobody but the relay knows what waits, but it says when nothing does. */
static enum session_flush on_flush(void *ctx, enum session_flush_of what, const char *name)
{
	static const enum flush_kind kinds[] = { [SESSION_FLUSH_DOMAIN] = FLUSH_DOMAIN,
						 [SESSION_FLUSH_SUBDOMAINS] = FLUSH_SUBDOMAINS,
						 [SESSION_FLUSH_UPSTREAM] = FLUSH_UPSTREAM };
	struct worker *w = ctx;
	const struct config *cfg = w->service->cfg;
	const struct scoreboard_shared *shared = w->service->board->shared;
	bool found = what != SESSION_FLUSH_UPSTREAM;

	for (size_t i = 0; i < cfg->upstream_count && !found; i++)
		found = strcmp(cfg->upstream[i].name, name) == 0;
	if (!found)
		return SESSION_FLUSH_NO_SUCH;
	if (atomic_load(&shared->ready[ROLE_RELAY]) && atomic_load(&shared->relay_queued) == 0)
		return SESSION_FLUSH_NOTHING;
	if (!relay_ask_flush(w->service->notice_fd[1], kinds[what], name))
		return SESSION_FLUSH_FAILED;
	worker_log_flush(w, name);
	return SESSION_FLUSH_BEGUN;
}

static struct session_config session_config_for_all(struct worker *w)
{
	const struct config *cfg = w->service->cfg;

	return (struct session_config){
		.hostname = cfg->hostname,
		.data_size_limit_bytes = cfg->data_size_limit_bytes,
		.max_recipients = cfg->max_recipients,
		.max_received = cfg->max_received,
		.max_errors = cfg->max_errors,
		.max_commands = cfg->max_commands,
		.max_transactions = cfg->max_transactions,
		.bare_newline = cfg->bare_newline,
		.enable_smtputf8 = cfg->enable_smtputf8,
		.flush = w->service->has_relay ? on_flush : NULL,
		.flush_ctx = w,
		.verifies = cfg->vrfy_table,
		.enable_binarymime = cfg->enable_binarymime,
		.deliver_by_minimum_ms = cfg->deliver_by_minimum_ms,
		.decode_data = cfg->decode_data,
		.requiretls = honours_requiretls(cfg),
		.unqualified_addresses = rewrite_adds_domain(&w->service->rewriting.rules),
		.policy = &w->access.policy,
		.command_timeout_ms = cfg->command_timeout_ms,
		.data_timeout_ms = cfg->client_data_timeout_ms,
		.message_timeout_ms = cfg->message_timeout_ms,
		.session_timeout_ms = cfg->session_timeout_ms,
	};
}

static void offer_auth(struct worker *w, size_t index)
{
	const struct config_listener *l = &w->service->cfg->listener[index];
	struct session_config *session = &w->session[index];

	auth_asker_init(&w->asker[index], &w->auth_line,
			l->auth_mechanisms ? l->auth_mechanisms : SMTP_MECHANISM_USUAL);
	session->auth = l->auth;
	session->auth_without_tls = l->auth_without_tls;
	session->authenticator = &w->asker[index].authenticator;
}

static void configure_sessions(struct worker *w)
{
	const struct config *cfg = w->service->cfg;

	w->session = mem_array(cfg->listener_count, sizeof(*w->session));
	w->local_session = mem_array(cfg->listener_count, sizeof(*w->local_session));
	w->asker = mem_array(cfg->listener_count, sizeof(*w->asker));
	w->auth_line = (struct auth_asker_line){ .request_fd = w->service->auth_fd[1],
						 .control = &w->start->control,
						 .mechanisms = &w->service->shared->auth_mechanisms };
	for (size_t i = 0; i < cfg->listener_count; i++) {
		w->session[i] = w->local_session[i] = session_config_for_all(w);
		w->session[i].tls = cfg->listener[i].tls;
		w->session[i].discard = w->local_session[i].discard = cfg->listener[i].discard_ehlo_keywords;
		offer_auth(w, i);
	}
	w->outbox_session = session_config_for_all(w);
	worker_listen_to_sessions(w);
}

static void on_spooled(void *ctx, const struct envelope *env)
{
	struct worker *w = ctx;

	relay_notify(w->service->notice_fd[1], &w->service->board->shared->rescan_wanted, env->id,
		     env->by.mode != DELIVER_BY_NONE);
}

static int open_all(struct worker *w, struct err *e)
{
	const struct config *cfg = w->service->cfg;
	struct handler_setup setup = { .hostname = cfg->hostname,
				       .spooled = on_spooled,
				       .spooled_ctx = w,
				       .show_user = cfg->received_auth_user,
				       .min_free_bytes = cfg->min_free_bytes,
				       .decode_data = cfg->decode_data,
				       .program = &w->program_line };

	if (w->service->handler == &handler_proxy) {
		w->proxying = proxying_new(cfg, &w->start->control, e);
		if (!w->proxying)
			return -1;
		setup.proxy = &w->proxying->setup;
	}
	w->program_line =
		(struct program_line){ w->service->program_fd[1], &w->start->control, w->programs.setting };
	config_programs_init(&w->programs, cfg);
	if (rights_drop(&w->service->worker_rights, e) < 0)
		return -1;
	if (w->service->has_relay) {
		if (spool_open(&w->spool, cfg->spool, SPOOL_CREATE, cfg->spool_sync, e) < 0)
			return -1;
		setup.spool = &w->spool;
	}
	if (worker_open_module(w, e) < 0)
		return -1;
	setup.processor = w->module ? module_processor(w->module) : NULL;
	w->handler = w->service->handler->open(&setup, e);
	if (!w->handler)
		return -1;
	if (rewrite_is_wanted(&w->service->rewriting.rules))
		w->handler = rewrite_handler_open(w->handler, &w->service->rewriting.rules);
	/* in front of rewriting: what a program makes of a message is rewritten like what a client sent */
	if (w->programs.setting[PROGRAM_FILTER].word_count > 0)
		w->handler = filter_handler_open(w->handler, &w->program_line);
	worker_use_module(w);
	if (acceptor_open(&w->acceptor, &w->service->listening, &w->start->control, w->service->probe_fd[0],
			  e) < 0)
		return -1;
	return confine_enter(&w->service->confine, ROLE_WORKER, e);
}

/*
 * Told to retire inside a session: nothing new is taken from here on, and sockets held to the end of a
 * long session would keep a new service from binding. Outside of one the acceptor still needs them.
 */
static void stop_listening(void *ctx)
{
	struct worker *w = ctx;

	if (!w->in_session)
		return;
	acceptor_close(&w->acceptor);
	listening_release(&w->service->listening, false);
}

static void release_all(struct worker *w)
{
	acceptor_close(&w->acceptor);
	if (w->handler)
		w->handler->ops->close(w->handler);
	proxying_free(w->proxying);
	module_close(w->module);
	if (w->spool.path)
		spool_close(&w->spool);
	for (size_t i = 0; i < w->service->cfg->listener_count; i++)
		auth_asker_release(&w->asker[i]);
	free(w->asker);
	access_release(&w->access);
	free(w->session);
	free(w->local_session);
}

/* By the master of another executable, to which we are still there but for this client. */
static void judge_client(void *ctx)
{
	const struct worker *w = ctx;
	struct client_wait *wait = &w->start->slot->wait;
	struct shed_policy policy = admission_shed_policy(w->service->cfg);
	struct shed_client client;

	if (shed_client_of(&client, &policy, wait, clock_mono_ms()) && shed_may_go(&client, &policy))
		atomic_store(&wait->shed_episode, client.episode);
}

int worker_main(void *ctx, struct child_start *start)
{
	struct worker w = { .service = ctx, .start = start, .acceptor.epoll_fd = -1 };
	struct err e;
	int status = EXIT_FAILURE;

	start->control.retired = stop_listening;
	start->control.crowded = judge_client;
	start->control.ctx = &w;
	start->control.wait = &start->slot->wait;
	figures_become(FIGURES_OF_WORKERS);
	proctitle_set("worker");
	/* what a message needed goes back to the system: a worker is idle most of its life */
	mallopt(M_MMAP_THRESHOLD, 32 << 10);
	mallopt(M_TRIM_THRESHOLD, 32 << 10);
	inherit_as(w.service, ROLE_WORKER);
	listener_tls_ask_keys(w.service->tls, &start->control);
	w.access_settings = w.service->admission.settings;
	w.access_settings.slot = (size_t)(start->slot - start->board->slot);
	access_init(&w.access, &w.access_settings);
	configure_sessions(&w);
	if (open_all(&w, &e) < 0) {
		log_msg(LOG_LEVEL_ERROR, "worker_failed", "%s", e.text);
	} else {
		loop(&w);
		status = EXIT_SUCCESS;
	}
	release_all(&w);
	return status;
}
