/* SPDX-License-Identifier: ISC */
/*
 * An upstream that is a program: what a connection of the SMTP client is to
 * the relay (upstream/upstream.h, whose callbacks these are), made of runs of
 * one of the programs of program/command.h, one for each recipient. Runs in
 * the relay's event loop and never waits; the program is another process's
 * child (program/client.h).
 */
#ifndef RELAY_PROGRAM_CONN_H
#define RELAY_PROGRAM_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "program/client.h"
#include "upstream/upstream.h"

struct event_base;

struct relay_program {
	enum program_command command;
	int request_fd; /* of the process that runs programs */
	int64_t timeout_ms; /* of a run */
	/*
	 * What this recipient's run is told besides sender and recipient. -1 and e: there is nothing to be
	 * run for it.
	 */
	int (*put)(void *ctx, struct program_job *job, const char *recipient, struct err *e);
	void *ctx;
};

struct program_conn;

/* Each as its namesake upstream_conn_...; the callbacks get NULL for the connection. */
struct program_conn *program_conn_open(struct event_base *base, const struct relay_program *program,
				       int64_t idle_timeout_ms, const struct upstream_conn_ops *ops, void *ctx);
void program_conn_kick(struct program_conn *c);
void program_conn_quit(struct program_conn *c);
void program_conn_abort(struct program_conn *c);
size_t program_conn_in_flight(const struct program_conn *c);

#endif
