/* SPDX-License-Identifier: ISC */
/*
 * One SMTP session, server side (RFC 5321): reads commands through io, drives
 * one handler, words the replies. Pure protocol: no descriptor, no disk, no
 * log, no TLS library. Runs in a worker; memory does not grow with a message.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "handler/handler.h"
#include "session/authenticator.h"
#include "session/io.h"
#include "session/policy.h"
#include "smtp/envelope.h"

struct session_hooks;

enum bare_newline { BARE_NEWLINE_REJECT, BARE_NEWLINE_NORMALIZE };

/*
 * What a listener does about TLS. Implicit TLS is up before the session begins, so the session sees no more
 * of it.
 */
enum session_tls_mode { SESSION_TLS_NONE, SESSION_TLS_STARTTLS, SESSION_TLS_REQUIRED, SESSION_TLS_IMPLICIT };

enum session_auth_mode { SESSION_AUTH_NONE, SESSION_AUTH_OFFERED, SESSION_AUTH_REQUIRED };

/* What a client wants tried now (ETRN, RFC 1985): what waits for ... */
enum session_flush_of { SESSION_FLUSH_DOMAIN, SESSION_FLUSH_SUBDOMAINS, SESSION_FLUSH_UPSTREAM };
/* ... and what becomes of that. */
enum session_flush {
	SESSION_FLUSH_BEGUN, /* it will be */
	SESSION_FLUSH_NOTHING, /* nothing waits for anybody */
	SESSION_FLUSH_NO_SUCH, /* upstream */
	SESSION_FLUSH_FAILED /* for now */
};

/* Time-outs in milliseconds, 0: none; the defaults are RFC 5321 4.5.3.2's and stand in config/. */
struct session_config {
	const char *hostname; /* in greeting, EHLO and Received */
	uint64_t data_size_limit_bytes; /* SIZE (RFC 1870); 0: no limit */
	size_t max_recipients; /* a transaction, at least 1000 wanted (452 4.5.3 beyond) */
	unsigned max_received; /* Received: headers before a message is taken for a loop (554 5.4.6); 0: no limit */
	/* 5yz replies since the last accepted message before 421 4.7.0 ends the session; 0: no limit */
	unsigned max_errors;
	/* since the last accepted message, but recipients and chunks, before 421 4.7.0; 0: no limit */
	unsigned max_commands;
	unsigned max_transactions; /* messages in one session before 421 4.7.0; 0: no limit */
	enum bare_newline bare_newline;
	bool enable_smtputf8; /* RFC 6531 */
	/* NULL: there is no queue. The name of a domain is well formed. Does not block. */
	enum session_flush (*flush)(void *ctx, enum session_flush_of what, const char *name);
	void *flush_ctx;
	bool verifies; /* the policy has something to say to VRFY and EXPN */
	bool enable_binarymime; /* RFC 3030 */
	int64_t deliver_by_minimum_ms; /* RFC 2852 2: announced when it is a second or more */
	bool decode_data; /* smtpd's: 8BITMIME is not offered */
	unsigned discard; /* extensions (SMTP_EXTENSION_BIT) that are switched off */
	bool requiretls; /* RFC 8689, in sessions with TLS: what is behind us can honour it */
	bool unqualified_addresses; /* are taken: the handler knows a domain for them */
	enum session_tls_mode tls; /* STARTTLS (RFC 3207); other than NONE only with an io that can */
	enum session_auth_mode auth; /* RFC 4954; REQUIRED: no MAIL without */
	bool auth_without_tls; /* AUTH is offered in the clear, too */
	struct session_authenticator *authenticator; /* NULL: auth is NONE */
	struct session_policy *policy; /* NULL: nobody may relay, and nothing else is asked */
	struct session_hooks *hooks; /* session/hooks.h; NULL: none */
	int64_t command_timeout_ms; /* waiting for a command: 5 minutes */
	int64_t data_timeout_ms; /* waiting for a block of the content: 5 minutes (3 for the client's side) */
	int64_t message_timeout_ms; /* one message from MAIL to its end */
	int64_t session_timeout_ms; /* the whole session */
};

/* Who is there; the strings outlive the session. */
struct session_peer {
	const char *text; /* "192.0.2.1:4711", "unix:uid=0,pid=7" */
	const char *address; /* "192.0.2.1", for Received and X-Peer; "unix" */
	const char *listener;
	bool may_xclient; /* a proxy that is believed when it says for whom it speaks (XCLIENT) */
	/*
	 * 4yz or 5yz instead of the greeting, and the end: this client is not wanted now. NULL: it is welcome
	 */
	const struct smtp_reply *refusal;
};

/* How a session ended. */
enum session_end {
	SESSION_QUIT,
	SESSION_LOST, /* the client vanished */
	SESSION_TIMED_OUT, /* 421 4.4.2 was sent */
	SESSION_TOO_MANY_ERRORS, /* 421 4.7.0 was sent */
	SESSION_STOPPED, /* 421 4.3.2 was sent: the service stops */
	SESSION_SHED, /* 421 4.3.2 was sent: there are more clients than workers */
	SESSION_REFUSED, /* the handler or a limit ended it with 421, or peer->refusal was sent */
	SESSION_TLS_FAILED /* the handshake after STARTTLS failed */
};

/*
 * What the worker wants to know while it happens (scoreboard, log, counters).
 * Any may be NULL. The arguments live only during the call.
 */
struct session_events {
	void (*verb)(void *ctx, const char *verb); /* a command begins ("MAIL", "DATA" ...), "" between commands */
	/* a message was accepted: the positive reply to the end of data is about to be sent */
	void (*accepted)(void *ctx, const struct envelope *env, uint64_t size_bytes, const struct smtp_reply *reply);
	/* so much of a message came in, and is taken */
	void (*content)(void *ctx, size_t octets);
	/*
	 * A command or message was refused (4yz, 5yz). verb is "?" for what is no command; line is the raw
	 * command line, cut and unescaped, "." for the end of data.
	 */
	void (*rejected)(void *ctx, const struct envelope *env, const char *verb, const char *line, size_t line_len,
			 const struct smtp_reply *reply);
	/* STARTTLS is over: tls, or NULL and why it failed */
	void (*tls)(void *ctx, const struct session_tls *tls, const struct err *why);
	/* a proxy said who the client is; text as session_peer.text */
	void (*peer)(void *ctx, const char *text);
	/*
	 * every line in both directions, for -d; text without CRLF, unescaped; content lines are not passed
	 */
	void (*trace)(void *ctx, bool from_client, const char *text, size_t len);
	void *ctx;
};

/* Runs the whole session; blocks until it is over. The connection is not closed here. */
enum session_end session_run(const struct session_config *cfg, const struct session_peer *peer,
			     struct session_io *io, struct handler *handler, const struct session_events *events);

/* "quit", "lost", "timeout", ...: for log lines */
const char *session_end_name(enum session_end end);

#endif
