/* SPDX-License-Identifier: ISC */
/*
 * What the session asks before it lets a client do something: who may relay,
 * to and from whom, how often. Implemented by access/ (networks, tables,
 * limits) and by fakes in the tests. Calls are quick: no network, no disk.
 *
 * Before the handler is asked, and only about what is well formed. A refusal
 * is sent as it is; a reply of code 421 ends the session.
 */
#ifndef SESSION_POLICY_H
#define SESSION_POLICY_H

#include "session/io.h"
#include "smtp/envelope.h"
#include "smtp/reply.h"

struct session_peer;

/* The client as it is known at the moment of the call; nothing in it outlives the call. */
struct session_client {
	const struct session_peer *peer;
	const struct session_tls *tls; /* NULL: in the clear */
	const char *helo; /* "" before HELO */
	const char *auth_user; /* NULL: nobody */
};

enum policy_verdict {
	POLICY_PASS,
	POLICY_REFUSE /* the reply is filled (4yz or 5yz) */
};

struct session_policy;

struct session_policy_ops {
	/* The client just proved to be client->auth_user. Refused: it is nobody again. */
	enum policy_verdict (*authenticated)(struct session_policy *p, const struct session_client *client,
					     struct smtp_reply *reply);
	/* The reverse-path is in env->sender. */
	enum policy_verdict (*mail)(struct session_policy *p, const struct session_client *client,
				    struct envelope *env, struct smtp_reply *reply);
	/* The recipient in question is the last one of env. May set env->hold. */
	enum policy_verdict (*rcpt)(struct session_policy *p, const struct session_client *client,
				    struct envelope *env, struct smtp_reply *reply);
	/*
	 * What may be told this client of an address (VRFY), or of who is behind it (expand: EXPN). False:
	 * nothing, and the session says just that. Else the reply is filled, whatever it is.
	 */
	bool (*verify)(struct session_policy *p, const struct session_client *client, const char *address, bool expand,
		       struct smtp_reply *reply);
	/* Whether it is one of those who may relay: others do not set our queue going (ETRN). */
	bool (*may_relay)(struct session_policy *p, const struct session_client *client);
	/* The client turned out to be another one: a proxy told so (XCLIENT). Refused: the session ends. */
	enum policy_verdict (*peer_changed)(struct session_policy *p, const struct session_client *client,
					    struct smtp_reply *reply);
};

struct session_policy { /* embedded as first member */
	const struct session_policy_ops *ops;
};

#endif
