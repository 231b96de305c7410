/* SPDX-License-Identifier: ISC */
/*
 * Where users and their credentials are known: a file, PAM, Dovecot. Exactly
 * one backend is configured. Used by the auth process only, each exchange in
 * a child of its own (auth/server.c): every call may block, until the
 * deadline, and what it holds in memory dies with the exchange.
 */
#ifndef AUTH_BACKEND_H
#define AUTH_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define AUTH_USER_MAX 256 /* octets of a user's name, with the NUL */
#define AUTH_PASSWORD_MAX 1024 /* octets of a password, with the NUL */

enum auth_result {
	AUTH_OK,
	AUTH_FAILED, /* wrong or unknown: e says which, for our log only; the client hears 535 for both */
	AUTH_TEMPORARY /* cannot be told now: 454; e says why */
};

/* Who asks, for the backends that want to know and for the log. */
struct auth_client {
	const char *address; /* "192.0.2.1", "unix" */
	bool tls;
	int64_t deadline_mono_ms;
};

/* What SCRAM (RFC 5802) and CRAM-MD5 (RFC 2195) ask about a user. */
struct auth_secret {
	char user[AUTH_USER_MAX]; /* the name that is to stand in log and envelope, however the client spelt it */
	bool has_scram_sha256;
	unsigned iterations;
	char salt[128], stored_key[64], server_key[64]; /* base64, NUL ended */
	char password[AUTH_PASSWORD_MAX]; /* in the clear, for CRAM-MD5; "" when it is not known */
};

/* One SASL exchange as a backend sees it that does SASL itself (Dovecot). All text is base64. */
struct auth_conversation {
	/*
	 * Sends a challenge to the client and waits for its answer (a pointer valid until the next call).
	 * NULL: the client cancelled, went away, or the deadline passed.
	 */
	const char *(*ask)(struct auth_conversation *c, const char *challenge);
};

struct auth_backend;

struct auth_backend_ops {
	const char *name; /* for the log: "users file", "pam", "dovecot" */
	/* Appends the mechanisms it can serve now, separated by blanks: "PLAIN LOGIN SCRAM-SHA-256". -1 and e: cannot tell. */
	int (*mechanisms)(struct auth_backend *b, struct buf *out, struct err *e);
	/* A password. On AUTH_OK the name that is to stand in log and envelope is in user[]. NULL: exchange does it all. */
	enum auth_result (*verify)(struct auth_backend *b, const struct auth_client *client, const char *name,
				   const char *password, char user[AUTH_USER_MAX], struct err *e);
	/*
	 * The secrets of a user; AUTH_FAILED when there is none: then out holds the user's name if it is a known one
	 * that no secret would let in, and iterations as users that are there have them, for who makes one up. NULL: this
	 * backend knows none.
	 */
	enum auth_result (*lookup)(struct auth_backend *b, const char *name, struct auth_secret *out,
				   struct err *e);
	/* The whole exchange, for a backend that does SASL itself; else NULL. initial: NULL when there was none. */
	enum auth_result (*exchange)(struct auth_backend *b, const struct auth_client *client,
				     const char *mechanism, const char *initial, struct auth_conversation *c,
				     char user[AUTH_USER_MAX], struct err *e);
	void (*close)(struct auth_backend *b); /* frees it */
	bool hashes; /* verify computes a password hash here: not many at a time */
};

struct auth_backend { /* embedded as first member */
	const struct auth_backend_ops *ops;
};

/*
 * Each checks that it can be used at all (file readable and not by everyone; the socket's name is absolute) and
 * returns NULL and e if not. A users file is read at each exchange, so a change counts at once.
 */
struct auth_backend *auth_users_open(const char *file, struct err *e);
struct auth_backend *auth_pam_open(const char *service, struct err *e);
struct auth_backend *auth_dovecot_open(const char *socket_path, struct err *e);
/* For clients with tokens only (introspect.h): it knows nobody and has no mechanism. */
struct auth_backend *auth_tokens_open(void);

#endif
