/* SPDX-License-Identifier: ISC */
/*
 * Who may do what: struct session_policy over networks, certificates, tables
 * and limits. Who may relay is decided in one function here (may_relay), and nothing else
 * lets mail through to a handler that relays.
 *
 * The master makes the tables before the fork, each worker has one struct access.
 */
#ifndef ACCESS_ACCESS_H
#define ACCESS_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "access/limits.h"
#include "access/owners.h"
#include "access/rules.h"
#include "base/cidr.h"
#include "base/client_wait.h"
#include "session/policy.h"
#include "smtp/path.h"

/* What was read from files; only read after that. */
struct access_tables {
	struct rules rules[RULES_KINDS]; /* an empty one where none is configured */
	struct owners owners;
	bool has_owners; /* else users may send as anybody */
};

/* Where the tables are; NULL: there is none. */
struct access_files {
	const char *rules[RULES_KINDS];
	const char *owners;
	bool may_hold; /* the handler keeps mail in the spool */
};

/* 0; -1 after every error of all files was reported (nothing is to be released then). */
int access_tables_load(struct access_tables *t, const struct access_files *files, access_report *report, void *ctx);
void access_tables_release(struct access_tables *t);

/* 0: no limit */
struct access_numbers {
	unsigned connections, messages_per_minute, recipients_per_minute;
};

/* What goes for all sessions; all of it outlives them. */
struct access_settings {
	bool relays; /* the handler passes mail on: a client must be allowed to relay */
	bool verifies; /* there is a table for VRFY and EXPN */
	bool verifies_for_anyone; /* also for clients that may not relay */
	const char *default_domain; /* of addresses without one, for the tables */
	const struct cidr *relay_from;
	size_t relay_from_count;
	const char *const *relay_from_cert; /* "sha256:hex", "name:host", "name:*.domain" (config/types_list.c has checked them) */
	size_t relay_from_cert_count;
	const struct cidr *exempt; /* from the limits of clients */
	size_t exempt_count;
	struct access_numbers client, user;
	unsigned crowd; /* sessions of all clients that are many; 0: any number is fine */
	unsigned share; /* connections that one client may have while there are that many */
	const struct access_tables *tables;
	struct limits *limits; /* NULL: nothing is counted */
	size_t slot; /* this worker's */
};

/* How a client could log in, for the words of a refusal; and whether it may do nothing before it did. */
struct access_login {
	bool offered, in_clear, required;
};

struct access {
	struct session_policy policy; /* first member: the session's */
	const struct access_settings *settings;
	struct access_login login;
	/* the present client */
	int family; /* AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC: none that is known */
	unsigned char address[16];
	bool exempt; /* from the limits of clients */
	limits_key client_key, user_key; /* user_key 0: nobody */
	char *hold; /* why its mail is held, NULL: it is not; owned */
	char whole[2 * SMTP_PATH_MAX]; /* an address that was completed */
	char rule[80]; /* what the last refusal came from: "sender_access:12", "client_connections" ...; "" for none */
};

void access_init(struct access *a, const struct access_settings *settings);
void access_release(struct access *a);

/*
 * A client came. sessions: how many there are, it included. Refused: `reply` is the greeting (RFC 5321 3.1),
 * and nothing was taken. peer->address: "192.0.2.1", "2001:db8::1", "unix" for a local socket.
 */
enum policy_verdict access_begin(struct access *a, const struct session_peer *peer, struct access_login login,
				 unsigned sessions, struct smtp_reply *reply);
/* Who it is when some have to go for others; after AUTH it may be more. */
enum client_rank access_rank(const struct access *a);
/* It is gone: what it counted for is given back. */
void access_end(struct access *a);

#endif
