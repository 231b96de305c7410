/* SPDX-License-Identifier: ISC */
/*
 * Who checks a client's credentials: the SASL side of AUTH (RFC 4954). The
 * session speaks SMTP and passes the base64 text of both sides through
 * unread; implemented by auth/client.c, which asks the auth process, and by
 * fakes in the tests. Calls block, within the deadline.
 */
#ifndef SESSION_AUTHENTICATOR_H
#define SESSION_AUTHENTICATOR_H

#include <stdint.h>

#include "base/buf.h"
#include "session/policy.h"

#define AUTHENTICATOR_USER_MAX 256 /* octets of a user's name, with the NUL */

enum authenticator_result {
	AUTHENTICATOR_CONTINUE, /* `challenge` is to be sent, then step() with the answer */
	AUTHENTICATOR_OK, /* `user` is who it is */
	AUTHENTICATOR_FAILED, /* 535: wrong, or nobody */
	AUTHENTICATOR_MALFORMED, /* 501: what the client sent is not what this mechanism sends, or no base64 */
	AUTHENTICATOR_NO_MECHANISM, /* 504: not one of ours */
	AUTHENTICATOR_TEMPORARY, /* 454: it cannot be told now */
	AUTHENTICATOR_BANNED, /* 421: too many failures from there; the session ends */
	AUTHENTICATOR_SHED /* 421: there are more clients than workers, and this one has to go */
};

struct authenticator_answer {
	const char *challenge; /* base64, "" for none; valid until the next call */
	char user[AUTHENTICATOR_USER_MAX];
};

struct session_authenticator;

struct session_authenticator_ops {
	/* Appends the mechanisms for this client, separated by blanks; nothing: AUTH is not offered. */
	void (*mechanisms)(struct session_authenticator *a, const struct session_client *client, struct buf *out);
	/* initial: base64, "" for an empty one ("="), NULL: none. Anything but CONTINUE ends the exchange. */
	enum authenticator_result (*begin)(struct session_authenticator *a, const struct session_client *client,
					   const char *mechanism, const char *initial, int64_t deadline_mono_ms,
					   struct authenticator_answer *out);
	enum authenticator_result (*step)(struct session_authenticator *a, const char *response,
					  int64_t deadline_mono_ms, struct authenticator_answer *out);
	/* Ends an exchange that is to go no further; always safe. */
	void (*cancel)(struct session_authenticator *a);
};

struct session_authenticator { /* embedded as first member */
	const struct session_authenticator_ops *ops;
};

#endif
