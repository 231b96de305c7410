/* SPDX-License-Identifier: ISC */
/*
 * One exchange, in the child that the auth process forks for it: reads what
 * the worker passes on, runs the mechanism, leaves what came of it where the
 * auth process finds it when the child has ended. Everything in it may block:
 * while it works an alarm clock ends the process after AUTH_ANSWER_MS, while
 * the client is awaited there is a deadline.
 */
#ifndef AUTH_EXCHANGE_H
#define AUTH_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/backend.h"
#include "auth/gate.h"
#include "auth/protocol.h"
#include "smtp/mechanism.h"

struct introspect_settings;

enum exchange_end {
	EXCHANGE_DIED, /* 0: the child said nothing */
	EXCHANGE_OK,
	EXCHANGE_FAILED,
	EXCHANGE_NO_SECRET, /* failed, as any password of any user would have: no guess */
	EXCHANGE_MALFORMED,
	EXCHANGE_NO_MECHANISM,
	EXCHANGE_TEMPORARY,
	EXCHANGE_CANCELLED /* by the client, or it went away */
};

/* Shared memory, written by the child, read by the auth process, which trusts no NUL to be there. */
struct exchange_outcome {
	enum exchange_end end;
	char mechanism[SMTP_MECHANISM_MAX];
	char user[AUTH_USER_MAX]; /* OK: who it is; else who it wanted to be, as far as it is known */
	char reason[sizeof(((struct err *)0)->text)]; /* for the log; "" when it is good */
	uint64_t guess; /* tells one guess from another; 0: unknown */
	uint64_t name; /* tells one user's name from another; 0: unknown */
	bool by_challenge; /* the password was not said (CRAM-MD5, SCRAM) */
};

#define EXCHANGE_SECRET_BYTES 32

/* The same for all exchanges of an auth process. */
struct exchange_setup {
	struct auth_backend *backend;
	const struct introspect_settings *introspect; /* NULL: no mechanism with tokens */
	int64_t client_timeout_ms; /* waiting for the client's response */
	struct gate gate; /* before a hashing */
	unsigned char secret[EXCHANGE_SECRET_BYTES]; /* random, made at the start */
};

/* Runs to the end. fd is the worker's other end; outcome is zeroed. */
void exchange_run(const struct exchange_setup *setup, int fd, const struct auth_address *client,
		  struct exchange_outcome *outcome);

#endif
