/* SPDX-License-Identifier: ISC */
/* An auth process with a backend of our own, and a worker's end of it, for test_auth and test_mechanism. */
#ifndef TESTS_AUTH_WORLD_H
#define TESTS_AUTH_WORLD_H

#include <stdatomic.h>
#include <sys/types.h>

#include "auth/client.h"
#include "auth/server.h"
#include "session/session.h"

/* Shared between the test, the auth process and its children. */
struct auth_world_shared {
	_Atomic unsigned mechanisms;
	_Atomic bool ready;
	_Atomic int working, most_working; /* verifications at a time */
	_Atomic int verified;
	_Atomic pid_t slow_pid; /* of the child that verifies "slow" */
	_Atomic bool broken; /* the backend cannot tell what it can do */
};

struct auth_world {
	struct auth_server_config config; /* to be changed before start */
	struct auth_world_shared *shared;
	int request_fd[2];
	int server_line[2], worker_line[2]; /* control lines: read end, write end */
	struct control worker_control;
	pid_t pid; /* of the auth process; 0: none */
	int log_fd; /* what it wrote to standard error */
	struct auth_asker_line line;
	struct auth_asker asker;
	struct session_peer peer;
	struct session_client client;
	struct session_tls tls;
	struct authenticator_answer answer;
};

/*
 * The users: alice with "secret" (known in the clear, so for all mechanisms), "scram" with "pencil" (a verifier, that of
 * RFC 7677 3), "Ala" whom the backend calls "ala"; "slow" (takes a minute), "busy" (50 ms, wrong), "die" (ends the process),
 * "later" (temporary). Whoever else is unknown.
 */
void auth_world_init(struct auth_world *w);
void auth_world_start(struct auth_world *w); /* and waits until it is ready */
void auth_world_kill(struct auth_world *w); /* as kill -9 does */
void auth_world_release(struct auth_world *w);
/* What the auth process logged so far, NUL ended; valid until the next call. */
const char *auth_world_log(struct auth_world *w);

/* One more worker's end. */
void auth_world_asker(struct auth_world *w, struct auth_asker *asker);

/* The base64 of text, with \0 for NUL in a string literal: AUTH_BASE64("\0alice\0secret"). Static storage. */
const char *auth_base64(const char *text, size_t len);
#define AUTH_BASE64(literal) auth_base64(literal, sizeof(literal) - 1)

enum authenticator_result auth_begin(struct auth_world *w, const char *mechanism, const char *initial);
enum authenticator_result auth_step(struct auth_world *w, const char *response);
/* Whole exchange by PLAIN. */
enum authenticator_result auth_plain(struct auth_world *w, const char *name, const char *password);

#endif
