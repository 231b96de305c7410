/* SPDX-License-Identifier: ISC */
/*
 * One client of a worker: who it is (the socket, or a proxy's header), whether it is let in, TLS where that
 * comes first, then the session, and the end. Runs as smtp_user and holds nothing from one client to the
 * next.
 */
#include "daemon/worker_internal.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/proctitle.h"
#include "daemon/listener_tls.h"
#include "figures/figures.h"
#include "listener/proxy.h"

#define PROXY_TIMEOUT_MS 10000 /* a proxy sends its header at once */
#define LINGER_MS 500 /* for a client that we sent away to hear why */
#define LINGER_SHED_MS 50 /* the same when others wait for this worker */

static size_t listener_index(const struct worker *w, const struct listening *from)
{
	size_t i = 0;

	while (w->service->cfg->listener[i].name != from->listener)
		i++;
	return i;
}

/* Behind a proxy the client is somebody else. False: the proxy did not say who. */
static bool learn_client(struct worker *w, int fd, const struct config_listener *l)
{
	struct sockaddr_storage client;
	enum proxy_said said;
	enum io_result result;
	struct err e;

	if (!peer_is_in(&w->peer, l->proxy_protocol, l->proxy_protocol_count))
		return true;
	result = proxy_read(fd, &w->start->control, clock_mono_ms() + PROXY_TIMEOUT_MS, &said, &client, &e);
	if (result != IO_OK) {
		worker_log_proxy_failed(w, &e);
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

static struct access_login login_of(const struct config_listener *l, const struct listening *from)
{
	return (struct access_login){ .offered = l->auth != SESSION_AUTH_NONE,
				      .in_clear = l->auth_without_tls,
				      .required = l->auth == SESSION_AUTH_REQUIRED &&
						  from->endpoint.kind != ENDPOINT_UNIX };
}

/*
 * What is said on a unix socket does not leave this machine, and the kernel tells who speaks: no TLS and no
 * AUTH there, whatever holds for the listener.
 */
static const struct session_config *prepare_stream(struct worker *w, int fd, const struct listening *from,
						   size_t index)
{
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
		worker_log_handshake(w, w->stream.io.ops->tls(&w->stream.io), NULL);
	else if (result != IO_EOF) /* who just looks whether the port is open is no failure */
		worker_log_handshake(w, NULL, &e);
	return result == IO_OK;
}

static int64_t shorter(int64_t a, int64_t b)
{
	return b > 0 && b < a ? b : a;
}

/*
 * What begins in stress has short time-outs by itself; what began before is told to go when it has used them
 * up (master/overload.c).
 */
static void configure_for_stress(const struct worker *w, struct session_config *session)
{
	const struct config *cfg = w->service->cfg;

	if (!atomic_load(&w->start->board->shared->stressed) || access_rank(&w->access) == CLIENT_LOCAL)
		return;
	session->command_timeout_ms = shorter(session->command_timeout_ms, cfg->stress_timeout_ms);
	session->data_timeout_ms = shorter(session->data_timeout_ms, cfg->stress_timeout_ms);
	if (cfg->stress_max_errors < session->max_errors)
		session->max_errors = cfg->stress_max_errors;
}

static enum session_end converse(struct worker *w, int fd, const struct listening *from, size_t index)
{
	const struct config_listener *l = &w->service->cfg->listener[index];
	/* may_xclient: by the address that speaks to us, and behind a proxy that is not the proxy's */
	struct session_peer peer = { .text = w->peer.text,
				     .address = w->peer.host,
				     .listener = from->listener,
				     .may_xclient =
					     peer_is_in(&w->peer, l->xclient_from, l->xclient_from_count) };
	struct smtp_reply refusal = { .code = 0 };
	enum session_end end = SESSION_TLS_FAILED;
	struct session_config session;

	if (access_begin(&w->access, &peer, login_of(l, from), w->busy, &refusal) == POLICY_REFUSE)
		peer.refusal = &refusal;
	atomic_store(&w->start->slot->wait.rank, access_rank(&w->access));
	session = *prepare_stream(w, fd, from, index);
	configure_for_stress(w, &session);
	if (w->module)
		module_connected(w->module, fd);
	w->in_session = true;
	if (session.tls == SESSION_TLS_IMPLICIT && peer.refusal) {
		/* Not worth a handshake, and without one nothing can be said that the client understands. */
		worker_log_refused(w, peer.refusal);
		end = SESSION_REFUSED;
	} else if (session.tls != SESSION_TLS_IMPLICIT || begin_tls(w, &session)) {
		end = session_run(&session, &peer, &w->stream.io, w->handler, &w->events);
	}
	w->in_session = false;
	if (w->module)
		module_connected(w->module, -1);
	access_end(&w->access);
	return end;
}

void worker_serve(struct worker *w, int fd, const struct listening *from)
{
	size_t index = listener_index(w, from);
	int64_t began_mono_ms = clock_mono_ms();
	enum session_end end;

	w->messages = 0;
	w->unsaid = false;
	client_wait_new_episode(&w->start->slot->wait);
	atomic_store(&w->start->slot->wait.rank, CLIENT_STRANGER);
	w->listener = from->listener;
	w->figure = figures_find(FIGURES_LISTENERS, from->listener);
	peer_of(fd, &w->peer);
	scoreboard_note(w->start->slot, w->peer.text, "");
	proctitle_set("worker %s", w->peer.text);
	if (!learn_client(w, fd, &w->service->cfg->listener[index])) {
		close(fd);
		proctitle_set("worker");
		return;
	}
	scoreboard_note(w->start->slot, w->peer.text, NULL);
	proctitle_set("worker %s", w->peer.text);
	end = converse(w, fd, from, index);
	worker_log_session(w, end, began_mono_ms);
	stream_close(&w->stream);
	if (end != SESSION_QUIT && end != SESSION_LOST)
		stream_linger(&w->stream,
			      end == SESSION_SHED ? LINGER_SHED_MS : LINGER_MS); /* our 421 is to arrive */
	close(fd);
	proctitle_set("worker");
}
