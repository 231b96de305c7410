/* SPDX-License-Identifier: ISC */
/*
 * The auth process at work (protocol.h): takes requests, forks a child for
 * each exchange (exchange.c) and tells the worker what came of it: at once
 * when it is good, later when it failed, and nothing to who failed too often (ban.h).
 * It never reads what a client sent: a child does, and dies with it.
 *
 * Log lines: authenticated, auth_failed, auth_banned, auth_error (posthouse.conf(5)).
 */
#ifndef AUTH_SERVER_H
#define AUTH_SERVER_H

#include <stdatomic.h>

#include "auth/backend.h"
#include "auth/ban.h"
#include "base/control.h"
#include "base/err.h"

struct introspect_settings;

struct auth_server_config {
	int request_fd; /* read end of the shared pair */
	struct control *control;
	struct auth_backend *backend;
	const struct introspect_settings *introspect; /* NULL: no mechanism with tokens */
	unsigned max_exchanges; /* at a time; more wait */
	unsigned max_hashings; /* at a time */
	int64_t client_timeout_ms; /* waiting for a client's response */
	struct ban_limits ban;
	_Atomic unsigned *mechanisms; /* shared memory: what can be offered */
	_Atomic bool *ready; /* set when requests are served */
};

/* Until the control line says to end: at a stop at once, told to retire when the exchanges under way are over. */
int auth_server_run(const struct auth_server_config *cfg, struct err *e);

#endif
