/* SPDX-License-Identifier: ISC */
/*
 * What the files of the handler "proxy" share: proxy_handler.c (sessions, MAIL and RCPT) and proxy_content.c
 * (DATA to the end of data). Nobody else includes this.
 */
#ifndef HANDLER_PROXY_INTERNAL_H
#define HANDLER_PROXY_INTERNAL_H

#include "base/buf.h"
#include "handler/blank_line.h"
#include "handler/proxy_line.h"
#include "handler/proxy_words.h"
#include "smtp/received.h"

#define PROXY_PEER_FIELD_MAX (SMTP_PEER_ADDRESS_MAX + 16)
#define PROXY_ADDED_MAX                                                                                      \
	(SMTP_RECEIVED_MAX + PROXY_PEER_FIELD_MAX) /* octets that we add to a message, at most */
#define PROXY_CHUNK_BYTES 65536 /* of BDAT: each waits for its answer */

enum proxy_state {
	PROXY_NOTHING, /* no transaction, or MAIL was not said upstream yet */
	PROXY_OPEN, /* MAIL was accepted upstream */
	PROXY_CONTENT, /* 354 */
	PROXY_BROKEN /* the connection was lost with the transaction */
};

struct proxy {
	struct handler handler;
	const struct proxy_setup *setup;
	const char *hostname; /* for Received */
	bool show_user;
	struct proxy_line *line; /* by upstream; owned */
	enum proxy_state state;
	struct proxy_line *to; /* the upstream of the transaction; NULL: not chosen yet */
	unsigned recipients; /* accepted there */
	/* the content */
	bool binary; /* BINARYMIME: it goes in chunks, as it is (RFC 3030) */
	struct buf chunk; /* the one being filled */
	bool peer_field_is_due; /* X-Peer goes in front of the empty line */
	struct blank_line blank_line;
	char peer_field[PROXY_PEER_FIELD_MAX];
};

/*
 * As proxy_refuse. The connection may have ended with the answer, or be of no use after it: then it is
 * dropped.
 */
enum handler_verdict proxy_refuse_and_look(struct proxy *p, const struct upstream_outcome *o,
					   struct smtp_reply *reply);
/* The transaction is over. */
void proxy_forget(struct proxy *p);

/* proxy_content.c: of handler_ops */
enum handler_verdict proxy_data_begin(struct handler *h, struct envelope *env, struct smtp_reply *reply);
enum handler_verdict proxy_data_chunk(struct handler *h, const char *data, size_t len,
				      struct smtp_reply *reply);
enum handler_verdict proxy_data_end(struct handler *h, struct envelope *env, struct smtp_reply *reply);

#endif
