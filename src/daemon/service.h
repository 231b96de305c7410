/* SPDX-License-Identifier: ISC */
/*
 * The service put together: what the master makes before the first fork and
 * every child inherits. worker.c and relay_role.c are the children's parts.
 */
#ifndef DAEMON_SERVICE_H
#define DAEMON_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config.h"
#include "daemon/activation.h"
#include "daemon/admission.h"
#include "daemon/confine.h"
#include "daemon/modules.h"
#include "daemon/notify.h"
#include "daemon/rewriting.h"
#include "handler/handler.h"
#include "listener/socket.h"
#include "master/rights.h"
#include "master/scoreboard.h"
#include "master/supervise.h"

struct listener_tls;
struct reload;

struct service {
	const struct config *cfg;
	struct reload *reload; /* what workers inherit of files; the relay and others that need none of it free it */
	struct listener_tls *tls; /* of clients; belongs to reload */
	unsigned keys_turn; /* listener_tls_turn() of those in use */
	const struct handler_kind *handler;
	struct listening_set listening;
	struct scoreboard *board;
	struct admission admission; /* who may do what */
	struct rewriting rewriting; /* of the workers' mail */
	struct modules modules; /* what the workers load */
	struct rights worker_rights, relay_rights, auth_rights, program_rights, keys_rights;
	bool has_relay; /* the handler hands its mail to the relay, over the spool */
	int lock_fd; /* of the spool: held by the master and the relay, so that no second relay starts beside an old one */
	gid_t view_gid, control_gid; /* who may use the relay's sockets; (gid_t)-1: nobody but root and the relay's user */
	int event_fd[2]; /* datagrams: the others' log lines for the relay's watchers; the master keeps both ends */
	bool has_auth; /* a listener offers AUTH */
	int auth_fd[2]; /* workers write to the second, the auth process reads (auth/protocol.h); the master keeps both */
	bool has_monitor; /* somebody wants figures, or to know of our health (daemon/monitor_role.c) */
	struct listening_set metrics; /* where they are asked for */
	int probe_fd[2]; /* the monitor's questions to whichever worker is free; workers read from the first */
	bool has_programs; /* some are to be run (daemon/programs.h) */
	int program_fd[2]; /* who wants one run writes to the second, the program process reads (program/protocol.h) */
	int notice_fd[2]; /* pipe: workers name new messages, the relay reads; the master keeps both ends */
	int64_t turned_away_mono_ms; /* when clients were last (daemon/turn_away.h) */
	struct confine confine; /* what each role may still do */
	bool has_pid_file; /* written, so to be removed */
	struct activation *passed; /* sockets that the supervisor opened; not owned */
	struct notify notify; /* what the supervisor is told */
	int64_t started_wall_us;
	pid_t master_pid;
	void (*on_ready)(void *ctx); /* besides the log line; may be NULL */
	void *on_ready_ctx;
};

/*
 * Binds, prepares the spool and runs until stopped. 0 after an orderly stop; -1 and e when it could not
 * start. passed: sockets that are open already, which it takes over.
 */
int service_run(const struct config *cfg, struct activation *passed, void (*on_ready)(void *ctx), void *ctx, struct err *e);

/*
 * What is in files besides the configuration (certificates, tables): all of it is read, what is wrong is
 * reported; warn: also what soon will be. In a process of its own that ends at once, as this one must not
 * have held a secret.
 */
bool service_check_files(const struct config *cfg, bool warn, void (*report)(void *ctx, const char *text), void *ctx);

/* view_group and control_group; with s->relay_rights known. */
int service_find_groups(const struct config *cfg, gid_t *view_gid, gid_t *control_gid, struct err *e);

/* Roles for master_run; ctx is the service. Each returns an exit status. */
int worker_main(void *ctx, struct child_start *start);
int relay_main(void *ctx, struct child_start *start);
int auth_main(void *ctx, struct child_start *start);
int keys_main(void *ctx, struct child_start *start);
int programs_main(void *ctx, struct child_start *start);
int monitor_main(void *ctx, struct child_start *start);

#endif
