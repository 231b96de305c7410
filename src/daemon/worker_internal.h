/* SPDX-License-Identifier: ISC */
/*
 * The worker in five files: worker.c (the process and its loop), worker_session.c (one client, from accept to
 * close), worker_probe.c (a health check of our own), worker_module.c (a module that takes part), worker_log.c
 * (what of it is logged and counted). This is what they share.
 */
#ifndef DAEMON_WORKER_INTERNAL_H
#define DAEMON_WORKER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "access/access.h"
#include "auth/client.h"
#include "config/programs.h"
#include "daemon/service.h"
#include "listener/acceptor.h"
#include "listener/peer.h"
#include "listener/stream.h"
#include "program/client.h"
#include "session/session.h"
#include "spool/spool.h"

struct worker {
	struct service *service;
	struct child_start *start;
	struct acceptor acceptor;
	struct spool spool;
	struct handler *handler;
	struct proxying *proxying; /* handler "proxy"; NULL: another */
	struct module_settings module_settings;
	struct module_guard guard;
	struct module *module; /* NULL: none */
	struct session_config *session; /* by listener of the configuration; owned */
	struct session_config *local_session; /* the same for its unix sockets; owned */
	struct session_config outbox_session; /* for mail of the outbox */
	struct config_programs programs;
	struct program_line program_line;
	struct auth_asker_line auth_line;
	struct auth_asker *asker; /* by listener; owned */
	struct session_events events;
	struct access_settings access_settings; /* the service's, and this worker's slot */
	struct access access; /* the policy of all sessions */
	int64_t outbox_due_mono_ms; /* when to look at it again */
	unsigned busy; /* workers that had a client when this one got its own, itself included */
	struct peer peer; /* of the present session */
	struct stream stream; /* of the present session */
	const char *listener; /* it came in by */
	unsigned figure; /* that listener, for the figures */
	unsigned messages; /* accepted in the present session */
	bool in_session;
	bool unsaid; /* of the present session there is no line in the log: it is one of a flood */
};

/* worker_session.c: closes fd; blocks until the client is gone. */
void worker_serve(struct worker *w, int fd, const struct listening *from);

/* worker_probe.c: the same for a health check of our own. */
void worker_answer_probe(struct worker *w, int fd);

/* worker_module.c: the module, if there is one; before there is a handler. */
int worker_open_module(struct worker *w, struct err *e);
/* It takes part in all sessions, in front of the handler. */
void worker_use_module(struct worker *w);

/* worker_log.c: what sessions tell goes to the log, the scoreboard and the process title. */
void worker_listen_to_sessions(struct worker *w);
void worker_log_session(struct worker *w, enum session_end end, int64_t began_mono_ms);
void worker_log_proxy_failed(struct worker *w, const struct err *why);
/* A handshake is over: tls, or NULL and why it failed. */
void worker_log_handshake(struct worker *w, const struct session_tls *tls, const struct err *why);
/* A client asked for what waits for this domain or upstream. */
void worker_log_flush(const struct worker *w, const char *name);
/* Refused before a word was said. */
void worker_log_refused(struct worker *w, const struct smtp_reply *reply);

#endif
