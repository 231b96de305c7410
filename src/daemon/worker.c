/* SPDX-License-Identifier: ISC */
/*
 * The worker process: accept a client, run its session, log what came of it,
 * again. Runs as smtp_user; may create files in the spool and nothing else.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access/access.h"
#include "auth/client.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "daemon/listener_tls.h"
#include "daemon/outbox.h"
#include "daemon/service.h"
#include "listener/acceptor.h"
#include "listener/peer.h"
#include "listener/proxy.h"
#include "listener/stream.h"
#include "relay/relay.h"
#include "rewrite/rewrite_handler.h"
#include "session/session.h"
#include "smtp/mechanism.h"
#include "spool/spool.h"

#define OUTBOX_RETRY_MS 60000 /* what the outbox holds and was refused for now: a full disk, mostly */
#define PROXY_TIMEOUT_MS 10000 /* a proxy sends its header at once */
#define LINGER_MS 500 /* for a client that we sent away to hear why */

struct worker {
	struct service *service;
	struct child_start *start;
	struct acceptor acceptor;
	struct spool spool;
	struct handler *handler;
	struct session_config *session; /* by listener of the configuration; owned */
	struct session_config *local_session; /* the same for its unix sockets; owned */
	struct session_config outbox_session; /* for mail of the outbox */
	struct auth_asker_line auth_line;
	struct auth_asker *asker; /* by listener; owned */
	struct session_events events;
	struct access_settings access_settings; /* the service's, and this worker's slot */
	struct access access; /* the policy of all sessions */
	unsigned busy; /* workers that had a client when this one got its own, itself included */
	struct peer peer; /* of the present session */
	struct stream stream; /* of the present session */
	const char *listener; /* it came in by */
	unsigned messages; /* accepted in the present session */
	bool in_session;
};

/* ---- what the session tells ------------------------------------------------------ */

static void on_verb(void *ctx, const char *verb)
{
	struct worker *w = ctx;

	scoreboard_note(w->start->slot, NULL, verb);
}

/* What protects the present session, if anything does. (Mail of the outbox has no stream.) */
static void log_tls(const struct worker *w, struct log_line *line)
{
	const struct session_tls *tls = w->in_session ? stream_tls_of(&w->stream) : NULL;

	if (!tls)
		return;
	log_str(line, "tls", tls->version);
	log_str(line, "cipher", tls->cipher);
	log_str(line, "fingerprint", tls->fingerprint);
}

static void on_accepted(void *ctx, const struct envelope *env, uint64_t size_bytes, const struct smtp_reply *reply)
{
	struct worker *w = ctx;
	struct log_line line;

	(void)reply;
	w->messages++;
	atomic_fetch_add(&w->start->slot->accepted, 1);
	log_begin(&line, LOG_LEVEL_INFO, "accepted");
	if (env->id[0])
		log_str(&line, "id", env->id);
	log_str(&line, "peer", env->peer);
	log_str(&line, "listener", env->listener);
	log_str(&line, "helo", env->helo);
	log_str(&line, "proto", env->protocol);
	log_str(&line, "from", env->sender);
	log_int(&line, "rcpts", (int64_t)env->rcpt_count);
	if (env->rcpt_count == 1)
		log_str(&line, "to", env->rcpt[0].address);
	log_tls(w, &line);
	if (env->auth_user)
		log_str(&line, "user", env->auth_user);
	log_int(&line, "size", (int64_t)size_bytes);
	if (env->hold)
		log_str(&line, "hold", env->hold);
	log_seconds(&line, "took", (clock_wall_us() - env->arrived_wall_us) / 1000);
	log_end(&line);
}

/* What the refusal came from, once: "sender_access:12", "client_connections" ... */
static void log_rule(struct worker *w, struct log_line *line)
{
	if (w->access.rule[0])
		log_str(line, "rule", w->access.rule);
	w->access.rule[0] = '\0';
}

static void on_rejected(void *ctx, const struct envelope *env, const char *verb, const char *text, size_t len,
			const struct smtp_reply *reply)
{
	struct worker *w = ctx;
	struct log_line line;
	struct buf oneline;

	atomic_fetch_add(&w->start->slot->rejected, 1);
	buf_init(&oneline, 2 * SMTP_REPLY_TEXT_MAX);
	smtp_reply_oneline(reply, &oneline);
	log_begin(&line, LOG_LEVEL_INFO, "rejected");
	log_str(&line, "peer", env->peer);
	log_str(&line, "listener", env->listener);
	log_str(&line, "helo", env->helo);
	log_str(&line, "verb", verb);
	log_str(&line, "user", env->auth_user);
	log_str(&line, "from", env->sender);
	log_rule(w, &line);
	log_str(&line, "reply", oneline.data);
	log_strn(&line, "line", text, len < 300 ? len : 300);
	log_end(&line);
	buf_release(&oneline);
}

static void on_peer(void *ctx, const char *text)
{
	struct worker *w = ctx;

	snprintf(w->peer.text, sizeof(w->peer.text), "%s", text);
	scoreboard_note(w->start->slot, text, NULL);
	proctitle_set("worker %s", text);
}

/* A handshake is over. Those of strangers fail all the time: no more than a line, and no error of ours. */
static void on_tls(void *ctx, const struct session_tls *tls, const struct err *why)
{
	struct worker *w = ctx;
	struct log_line line;

	if (tls) {
		log_begin(&line, LOG_LEVEL_DEBUG, "tls");
		log_str(&line, "peer", w->peer.text);
		log_tls(w, &line);
		log_str(&line, "name", tls->server_name);
		log_int(&line, "resumed", tls->resumed);
		if (tls->fingerprint)
			log_int(&line, "verified", tls->verified);
	} else {
		log_begin(&line, LOG_LEVEL_INFO, "tls_failed");
		log_str(&line, "peer", w->peer.text);
		log_str(&line, "listener", w->listener);
		log_str(&line, "reason", why->text);
	}
	log_end(&line);
}

static void on_trace(void *ctx, bool from_client, const char *text, size_t len)
{
	struct worker *w = ctx;
	struct log_line line;

	log_begin(&line, LOG_LEVEL_DEBUG, "dialogue");
	log_str(&line, "peer", w->peer.text);
	log_strn(&line, from_client ? "received" : "sent", text, len);
	log_end(&line);
}

static void on_spooled(void *ctx, const char *id)
{
	struct worker *w = ctx;

	relay_notify(w->service->notice_fd[1], &w->service->board->shared->rescan_wanted, id);
}

/* ---- one session ------------------------------------------------------------------- */

static void log_session(const struct worker *w, enum session_end end, int64_t began_mono_ms)
{
	struct log_line line;

	/* of a failed handshake there was a line of its own */
	log_begin(&line, end == SESSION_QUIT || end == SESSION_LOST || end == SESSION_TLS_FAILED ? LOG_LEVEL_DEBUG :
												   LOG_LEVEL_INFO,
		  "session");
	log_str(&line, "peer", w->peer.text);
	log_str(&line, "end", session_end_name(end));
	log_int(&line, "messages", w->messages);
	log_seconds(&line, "took", clock_mono_ms() - began_mono_ms);
	log_end(&line);
}

static size_t listener_index(const struct worker *w, const struct listening *from)
{
	size_t i = 0;

	while (w->service->cfg->listener[i].name != from->listener)
		i++;
	return i;
}

/* Behind a proxy the client is somebody else. False: the proxy did not say who. */
static bool learn_client(struct worker *w, int fd, const struct listening *from)
{
	const struct config_listener *l = &w->service->cfg->listener[listener_index(w, from)];
	struct sockaddr_storage client;
	enum proxy_said said;
	enum io_result result;
	struct err e;

	if (!peer_is_in(&w->peer, l->proxy_protocol, l->proxy_protocol_count))
		return true;
	result = proxy_read(fd, &w->start->control, clock_mono_ms() + PROXY_TIMEOUT_MS, &said, &client, &e);
	if (result != IO_OK) {
		struct log_line line;

		log_begin(&line, LOG_LEVEL_WARNING, "proxy_failed");
		log_str(&line, "peer", w->peer.text);
		log_str(&line, "listener", from->listener);
		log_str(&line, "reason", e.text);
		log_end(&line);
		return false;
	}
	if (said == PROXY_CLIENT) {
		peer_set(&w->peer, &client);
	} else { /* a health check, or a client it does not know: what the proxy may do is not for that one */
		w->peer.address.ss_family = AF_UNSPEC;
		strcpy(w->peer.host, "unknown");
	}
	return true;
}

static struct access_login login_of(const struct config_listener *l)
{
	return (struct access_login){ .offered = l->auth != SESSION_AUTH_NONE, .in_clear = l->auth_without_tls };
}

/*
 * What is said on a unix socket does not leave this machine, and the kernel tells who speaks: no TLS and no AUTH
 * there, whatever holds for the listener.
 */
static const struct session_config *prepare_stream(struct worker *w, int fd, const struct listening *from)
{
	size_t index = listener_index(w, from);
	const struct tls_server *server = listener_tls_server(w->service->tls, index);

	stream_init(&w->stream, fd, &w->start->control);
	if (from->endpoint.kind == ENDPOINT_UNIX)
		return &w->local_session[index];
	if (server)
		stream_offer_tls(&w->stream, server);
	return &w->session[index];
}

/* TLS from the first octet on (RFC 8314 3.3). Nobody can be told when it fails. */
static bool begin_tls(struct worker *w, const struct session_config *cfg)
{
	int64_t deadline = clock_mono_ms() + cfg->command_timeout_ms;
	enum io_result result;
	struct err e;

	result = w->stream.io.ops->start_tls(&w->stream.io, deadline, &e);
	if (result == IO_OK)
		on_tls(w, w->stream.io.ops->tls(&w->stream.io), NULL);
	else if (result != IO_EOF) /* who just looks whether the port is open is no failure */
		on_tls(w, NULL, &e);
	return result == IO_OK;
}

/* Before TLS nothing can be said that the client understands. */
static enum session_end refuse_unheard(struct worker *w, const struct smtp_reply *reply)
{
	struct envelope env;

	envelope_init(&env);
	envelope_set(&env.peer, w->peer.text, strlen(w->peer.text));
	on_rejected(w, &env, "", "", 0, reply);
	envelope_release(&env);
	return SESSION_REFUSED;
}

static void serve(struct worker *w, int fd, const struct listening *from)
{
	const struct config_listener *l = &w->service->cfg->listener[listener_index(w, from)];
	int64_t began_mono_ms = clock_mono_ms();
	const struct session_config *session;
	struct session_peer peer = { .text = w->peer.text, .address = w->peer.host, .listener = from->listener };
	struct smtp_reply refusal = { .code = 0 };
	enum session_end end = SESSION_TLS_FAILED;

	w->messages = 0;
	w->listener = from->listener;
	peer_of(fd, &w->peer);
	scoreboard_note(w->start->slot, w->peer.text, "");
	if (!learn_client(w, fd, from)) {
		close(fd);
		return;
	}
	/* by the address that speaks to us: behind a proxy that is not the proxy's */
	peer.may_xclient = peer_is_in(&w->peer, l->xclient_from, l->xclient_from_count);
	scoreboard_note(w->start->slot, w->peer.text, NULL);
	proctitle_set("worker %s", w->peer.text);
	if (access_begin(&w->access, &peer, login_of(l), w->busy, &refusal) == POLICY_REFUSE)
		peer.refusal = &refusal;
	session = prepare_stream(w, fd, from);
	w->in_session = true;
	if (session->tls == SESSION_TLS_IMPLICIT && peer.refusal)
		end = refuse_unheard(w, peer.refusal); /* not worth a handshake */
	else if (session->tls != SESSION_TLS_IMPLICIT || begin_tls(w, session))
		end = session_run(session, &peer, &w->stream.io, w->handler, &w->events);
	w->in_session = false;
	access_end(&w->access);
	log_session(w, end, began_mono_ms);
	stream_close(&w->stream);
	if (end != SESSION_QUIT && end != SESSION_LOST)
		stream_linger(&w->stream, LINGER_MS); /* our 421 is to arrive */
	close(fd);
	proctitle_set("worker");
}

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

/* Mail that was put down while nobody listened. We do now, so nothing is put in any more without telling us. */
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
					      .expire_after_ms = cfg->expire_after_ms,
					      .peer = w->peer.text,
					      .peer_cap = sizeof(w->peer.text) };

	w->acceptor.wake_mono_ms = CLOCK_NEVER;
	if (!cfg->outbox)
		return;
	become_busy(w);
	proctitle_set("worker outbox");
	if (access_begin(&w->access, &local, (struct access_login){ .offered = false }, 0, &refusal) == POLICY_REFUSE)
		player.refusal = &refusal;
	if (outbox_drain(&player) == OUTBOX_LATER)
		w->acceptor.wake_mono_ms = clock_mono_ms() + OUTBOX_RETRY_MS;
	access_end(&w->access);
	proctitle_set("worker");
}

static void loop(struct worker *w)
{
	unsigned most = w->service->cfg->max_requests;

	drain_outbox(w);
	for (unsigned n = 0; most == 0 || n < most; n++) {
		const struct listening *from;
		int fd;

		scoreboard_set(w->start->slot, w->start->generation, SLOT_IDLE);
		fd = acceptor_next(&w->acceptor, &from);
		if (fd == ACCEPTOR_WAKE) {
			drain_outbox(w);
			continue;
		}
		if (fd < 0)
			break;
		become_busy(w);
		serve(w, fd, from);
		atomic_fetch_add(&w->start->slot->sessions, 1);
		if (w->start->control.retiring)
			break;
	}
	scoreboard_set(w->start->slot, w->start->generation, SLOT_LEAVING);
}

/* ---- the process -------------------------------------------------------------------- */

/*
 * REQUIRETLS is offered when some upstream can honour it: then who needs it may try. Without one every such message
 * would come back, and who is told so at once can look for another way.
 */
static bool honours_requiretls(const struct config *cfg)
{
	for (size_t i = 0; i < cfg->upstream_count; i++)
		if (cfg->upstream[i].tls == UPSTREAM_TLS_REQUIRED || cfg->upstream[i].tls == UPSTREAM_TLS_IMPLICIT)
			return true;
	return false;
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
		.max_transactions = cfg->max_transactions,
		.bare_newline = cfg->bare_newline,
		.enable_smtputf8 = cfg->enable_smtputf8,
		.decode_data = cfg->decode_data,
		.requiretls = honours_requiretls(cfg),
		.unqualified_addresses = cfg->default_domain || cfg->aliases, /* rewrite_adds_domain() */
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

	auth_asker_init(&w->asker[index], &w->auth_line, l->auth_mechanisms ? l->auth_mechanisms : SMTP_MECHANISM_ALL);
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
	w->auth_line = (struct auth_asker_line){ .request_fd = w->service->auth_fd[1], .control = &w->start->control,
						 .mechanisms = &w->service->board->shared->auth_mechanisms };
	for (size_t i = 0; i < cfg->listener_count; i++) {
		w->session[i] = w->local_session[i] = session_config_for_all(w);
		w->session[i].tls = cfg->listener[i].tls;
		offer_auth(w, i);
	}
	w->outbox_session = session_config_for_all(w);
	w->events = (struct session_events){ .verb = on_verb, .accepted = on_accepted, .rejected = on_rejected,
					     .peer = on_peer, .tls = on_tls, .trace = cfg->debug ? on_trace : NULL, .ctx = w };
}

static int open_all(struct worker *w, struct err *e)
{
	const struct config *cfg = w->service->cfg;
	struct handler_setup setup = { .hostname = cfg->hostname, .spooled = on_spooled, .spooled_ctx = w,
				       .show_user = cfg->received_auth_user,
				       .min_free_bytes = cfg->min_free_bytes, .decode_data = cfg->decode_data };

	if (rights_drop(&w->service->worker_rights, e) < 0)
		return -1;
	if (w->service->has_relay) {
		if (spool_open(&w->spool, cfg->spool, SPOOL_CREATE, cfg->spool_sync, e) < 0)
			return -1;
		setup.spool = &w->spool;
	}
	w->handler = w->service->handler->open(&setup, e);
	if (!w->handler)
		return -1;
	if (rewrite_is_wanted(&w->service->rewriting.rules))
		w->handler = rewrite_handler_open(w->handler, &w->service->rewriting.rules);
	return acceptor_open(&w->acceptor, &w->service->listening, &w->start->control, e);
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

int worker_main(void *ctx, struct child_start *start)
{
	struct worker w = { .service = ctx, .start = start, .acceptor.epoll_fd = -1 };
	struct err e;
	int status = EXIT_FAILURE;

	start->control.retired = stop_listening;
	start->control.ctx = &w;
	proctitle_set("worker");
	/* what a message needed goes back to the system: a worker is idle most of its life */
	mallopt(M_MMAP_THRESHOLD, 32 << 10);
	mallopt(M_TRIM_THRESHOLD, 32 << 10);
	if (w.service->lock_fd >= 0)
		close(w.service->lock_fd); /* an old worker may finish its session beside a new service */
	if (w.service->notice_fd[0] >= 0)
		close(w.service->notice_fd[0]);
	if (w.service->event_fd[0] >= 0)
		close(w.service->event_fd[0]);
	if (w.service->auth_fd[0] >= 0)
		close(w.service->auth_fd[0]);
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
	acceptor_close(&w.acceptor);
	if (w.handler)
		w.handler->ops->close(w.handler);
	if (w.spool.path)
		spool_close(&w.spool);
	for (size_t i = 0; i < w.service->cfg->listener_count; i++)
		auth_asker_release(&w.asker[i]);
	free(w.asker);
	access_release(&w.access);
	free(w.session);
	free(w.local_session);
	return status;
}
