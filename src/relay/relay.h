/* SPDX-License-Identifier: ISC */
/*
 * The relay process: drains the spool to the upstreams. One event loop, many
 * upstream connections. Only this process (and a CLI that holds the spool's
 * lock) changes or removes queued files.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/control.h"
#include "base/err.h"
#include "manage/bounce.h"
#include "manage/route.h"
#include "relay/credentials.h"
#include "relay/flush.h"
#include "relay/lists.h"
#include "spool/spool.h"
#include "upstream/retry.h"
#include "upstream/upstream.h"

struct relay_program;

/* One address of an upstream. */
struct relay_remote_config {
	const char *name; /* as configured, "smtp.example.net:587" */
	unsigned weight; /* 0: none was given (upstream/remotes.h) */
	struct upstream_settings settings;
	const struct relay_program *program; /* run instead of connecting (relay/program_conn.h); NULL: no program */
};

struct relay_upstream_config {
	const char *name;
	const struct relay_remote_config *remote; /* at least one */
	size_t remote_count;
	unsigned max_connections; /* at least 1 */
	unsigned messages_per_connection; /* 0: no limit */
	unsigned messages_per_minute; /* 0: no limit */
	unsigned recipients_per_message; /* 0: no limit */
	int64_t connection_max_age_ms; /* 0: no limit */
	struct retry_limits probe; /* pauses of a failing address */
	const struct relay_credentials *credentials; /* NULL: they never change */
};

/* All that is made from the configuration, in one piece. */
struct relay_config {
	const char *hostname;
	const struct relay_upstream_config *upstream; /* at least one, in the order of routes.upstream_name */
	size_t upstream_count; /* at most RELAY_UPSTREAMS_MAX */
	struct routes routes;
	const struct relay_lists *lists; /* who answers for routes.lists; NULL: nobody is asked */
	struct bounce_settings bounce;
	struct retry_limits retry; /* of a recipient */
	int64_t expire_after_ms;
	int64_t warn_after_ms; /* 0: never */
};
#define RELAY_UPSTREAMS_MAX 200 /* the configuration takes 100 sections of a kind */

struct json_t; /* jansson's */

struct relay_setup {
	struct spool *spool; /* opened SPOOL_MANAGE */
	const struct relay_config *config;
	int64_t started_wall_us; /* of the service, by clock_file_us(): what incoming/ holds from before is a leftover */
	int notice_fd; /* read end of the pipe on which workers name new messages; non-blocking */
	int unsaved_fd; /* a file in memory: what the disk did not take, for the next relay of this service; -1: none */
	_Atomic bool *rescan_wanted; /* set when a notice was lost */
	_Atomic bool *ready; /* set by the relay when it takes notices */
	_Atomic unsigned *queued; /* kept by the relay: messages it knows of; UINT_MAX while it lists them */
	struct control *control;
	bool trace; /* log every line of the SMTP dialogue at debug level */
	/* for operators (relay/door.h) */
	gid_t view_gid, control_gid; /* (gid_t)-1: nobody but root and ourselves */
	int event_fd; /* log lines of the other processes, one a datagram; -1: none */
	_Atomic bool *watched; /* kept true while somebody watches */
	_Atomic uint64_t *watch_lost; /* lines that could not be sent */
	pid_t master_pid;
	/*
	 * Adds what the other processes do to the answer to {"ask":"status"}: "workers", "processes". NULL:
	 * nothing.
	 */
	void (*add_processes)(void *ctx, struct json_t *status);
	void *processes_ctx;
};

/* Runs until the control line says stop. 0 after an orderly end, -1 and e when it could not start. */
int relay_run(const struct relay_setup *setup, struct err *e);

/*
 * By a worker, after a commit: names the message on the pipe. Never blocks:
 * when the pipe is full the relay is asked to list the spool instead.
 * has_deadline: its envelope names a time to deliver it by.
 */
void relay_notify(int notice_fd, _Atomic bool *rescan_wanted, const char *id, bool has_deadline);
/*
 * By a worker: asks for what waits to be tried now. False: no such name, or the pipe is full. Never blocks.
 */
bool relay_ask_flush(int notice_fd, enum flush_kind kind, const char *name);

#endif
