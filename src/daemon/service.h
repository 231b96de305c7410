/* SPDX-License-Identifier: ISC */
/*
 * The service put together: what the master makes and every child inherits. A child keeps the generation it was
 * forked with; generation.c makes them, succession.c puts one in the place of another. worker.c, relay_role.c and
 * the like are the children's parts.
 */
#ifndef DAEMON_SERVICE_H
#define DAEMON_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config.h"
#include "daemon/activation.h"
#include "daemon/admission.h"
#include "daemon/confine.h"
#include "daemon/modules.h"
#include "daemon/rewriting.h"
#include "handler/handler.h"
#include "listener/socket.h"
#include "master/rights.h"
#include "master/scoreboard.h"
#include "master/supervise.h"

struct listener_tls;
struct reload;

struct daemon_options;
struct handover;
struct house;

/* Between the workers of a generation and its auth process. */
struct service_shared {
	_Atomic unsigned auth_mechanisms; /* what the auth process can do now: bits of smtp/mechanism.h */
};

/*
 * One generation: a configuration, and all that is made of it. What stands under "lasts" is the same in each, and
 * belongs to the master (house.h).
 */
struct service {
	struct config *cfg; /* owned */
	struct reload *reload; /* what workers inherit of files; the relay and others that need none of it free it */
	struct listener_tls *tls; /* of clients; belongs to reload */
	unsigned keys_turn; /* listener_tls_turn() of those in use */
	const struct handler_kind *handler;
	struct listening_set listening;
	struct admission admission; /* who may do what */
	struct rewriting rewriting; /* of the workers' mail */
	struct modules modules; /* what the workers load */
	struct rights worker_rights, relay_rights, auth_rights, program_rights, keys_rights;
	bool has_relay; /* the handler hands its mail to the relay, over the spool */
	gid_t view_gid,
		control_gid; /* who may use the relay's sockets; (gid_t)-1: nobody but root and the relay's user */
	bool has_auth; /* a listener offers AUTH */
	int auth_fd[2]; /* workers write to the second, the auth process reads (auth/protocol.h); the master keeps both */
	bool has_monitor; /* somebody wants figures, or to know of our health (daemon/monitor_role.c) */
	struct listening_set metrics; /* where they are asked for */
	/* the monitor's questions to whichever worker is free; workers read from the first */
	int probe_fd[2];
	bool has_programs; /* some are to be run (daemon/programs.h) */
	int program_fd[2]; /* who wants one run writes to the second, the program process reads (program/protocol.h) */
	struct service_shared *shared;
	int64_t turned_away_mono_ms; /* when clients were last (daemon/turn_away.h) */
	struct confine confine; /* what each role may still do */

	/* lasts */
	struct house *house; /* the master's: for its children there is nothing in it */
	struct scoreboard *board;
	int lock_fd; /* of the spool: held by the master and the relay, so that no second relay starts beside an old one */
	/* packets: the others' log lines for the relay's watchers; the master keeps both ends */
	int event_fd[2];
	int notice_fd[2]; /* pipe: workers name new messages, the relay reads; the master keeps both ends */
	int unsaved_fd; /* from one relay to the next (relay/relay.h); nobody else has it */
	int64_t started_wall_us;
	pid_t master_pid;
};

/* How it is to run. All of it outlives the service. */
struct service_setup {
	const struct daemon_options *options; /* for reading the configuration again */
	struct activation *passed; /* sockets that are open already, which it takes over */
	char *const *argv; /* as it was started, for the executable that takes its place */
	const char *program; /* path of the executable; NULL: not known */
	struct handover *handover; /* NULL, or what the executable before this one left to it */
	void (*on_ready)(void *ctx); /* besides the log line; may be NULL */
	void *ctx;
};

/*
 * Binds, prepares the spool and runs until stopped. 0 after an orderly stop; -1 and e when it could not
 * start. cfg becomes its own; the configuration is read again at HUP.
 */
int service_run(struct config *cfg, const struct service_setup *setup, struct err *e);

/* Roles for master_run; ctx is the service. Each returns an exit status. */
int worker_main(void *ctx, struct child_start *start);
int relay_main(void *ctx, struct child_start *start);
int auth_main(void *ctx, struct child_start *start);
int keys_main(void *ctx, struct child_start *start);
int programs_main(void *ctx, struct child_start *start);
int monitor_main(void *ctx, struct child_start *start);

#endif
