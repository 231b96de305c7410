/* SPDX-License-Identifier: ISC */
/*
 * What happens to a message: the interface between the SMTP session and a
 * handler (the classes of Python's smtpd: spool, PureProxy, DebuggingServer, ...).
 *
 * A handler lives in a worker and serves one transaction at a time, always
 * in this order; every call may block, within the deadlines of its own I/O:
 *
 *   mail            sender is set in the envelope
 *   rcpt            once a recipient, the new one is the last of the envelope;
 *                   when it is refused the session takes it out again
 *   data_begin      the client asked for DATA and at least one recipient stands
 *   data_chunk      any number of times: the content in order, dots unstuffed,
 *                   lines ended by CRLF (bare_newline = normalize has been applied)
 *   data_end        the end of data was seen; the reply goes to the client.
 *                   After a positive reply the handler owns the message: for
 *                   "spool" that means content and directory entry are durable
 *   abort           instead of data_end, or before data_begin (RSET, QUIT, a lost
 *                   client, a message too big, a new MAIL); always safe, also
 *                   after a refusal and when nothing was begun
 *
 * data_end and abort both end the transaction.
 */
#ifndef HANDLER_HANDLER_H
#define HANDLER_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "handler/facts.h"
#include "smtp/envelope.h"
#include "smtp/extension.h"
#include "smtp/reply.h"

struct proxy_setup;
struct program_line;
struct spool;
struct handler_processor;

enum handler_verdict {
	HANDLER_ACCEPT, /* go on; the session words the reply unless the handler filled it (code != 0) */
	HANDLER_REFUSE /* the handler filled the reply (4yz or 5yz); the session sends it */
};

struct handler; /* each handler embeds it as its first member */

/*
 * What a session may offer of the extensions that are a matter of where the mail goes: 8BITMIME, DSN,
 * SMTPUTF8, REQUIRETLS, CHUNKING, BINARYMIME, DELIVERBY. The others are the session's own business.
 */
struct handler_offer {
	unsigned extensions; /* a set of SMTP_EXTENSION_BIT */
	uint64_t size_limit_bytes; /* of a message, besides the session's own limit; 0: none */
};

struct handler_ops {
	const struct handler_facts *facts; /* constant */
	unsigned extensions; /* a set: what it takes at best (struct handler_offer) */
	/*
	 * At each EHLO: takes out of *offer (extensions, no size limit) what cannot be had in this session.
	 * May block as the others. NULL: always all of it.
	 */
	void (*narrow)(struct handler *h, struct handler_offer *offer);

	enum handler_verdict (*mail)(struct handler *h, struct envelope *env, struct smtp_reply *reply);
	enum handler_verdict (*rcpt)(struct handler *h, struct envelope *env, struct smtp_reply *reply);
	/* may set env->id */
	enum handler_verdict (*data_begin)(struct handler *h, struct envelope *env, struct smtp_reply *reply);
	/* After a refusal the session reads and drops the rest and sends the reply at the end of data. */
	enum handler_verdict (*data_chunk)(struct handler *h, const char *data, size_t len,
					   struct smtp_reply *reply);
	enum handler_verdict (*data_end)(struct handler *h, struct envelope *env, struct smtp_reply *reply);
	void (*abort)(struct handler *h);
	void (*close)(struct handler *h); /* frees it; no transaction is open */
	/*
	 * Between two sessions: ends what was kept for the next one for too long. Returns when it wants to be
	 * asked again (monotonic milliseconds; CLOCK_NEVER: only after the next session). NULL: it keeps
	 * nothing.
	 */
	int64_t (*idle)(struct handler *h);
};

struct handler {
	const struct handler_ops *ops;
};

/* What a handler may need to be made; the pointers outlive it. */
struct handler_setup {
	const char *hostname; /* for trace headers */
	struct spool *spool; /* "spool" only */
	void (*spooled)(void *ctx, const struct envelope *env); /* called after each durable commit: tells the relay */
	void *spooled_ctx;
	bool show_user; /* "spool": Received says who logged in */
	uint64_t min_free_bytes; /* "spool": MAIL is refused with 452 when less would be left */
	const struct proxy_setup *proxy; /* "proxy" only (proxy_handler.h) */
	const struct program_line *program; /* "exec" only (program/client.h) */
	bool decode_data; /* "debug": lines as text instead of Python's b'...'; "module": content must be UTF-8 */
	struct handler_processor *processor; /* "module" only: handler/module_handler.h */
};

/* Each handler has one of these in handler/table.c. NULL and e on failure. */
struct handler_kind {
	const struct handler_ops *ops;
	struct handler *(*open)(const struct handler_setup *setup, struct err *e);
};

/* As handler_find (facts.h); NULL when there is none. Whoever calls it links every handler. */
const struct handler_kind *handler_kind_find(const char *name);

#endif
