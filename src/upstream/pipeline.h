/* SPDX-License-Identifier: ISC */
/*
 * The transaction engine: which bytes go to the upstream next, and which
 * command a reply answers. Between conn.c, which owns the socket, and the
 * callbacks of struct upstream_txn. Pure: no socket, no clock, no events, so
 * that every order of replies and every moment of a loss is tested in memory.
 *
 * With PIPELINING (RFC 2920 3.1) MAIL, RCPT ... and DATA go out as one group,
 * and the content, its final dot and the next transaction's MAIL, RCPT ...,
 * DATA as the next one: one round trip a message. So at most two transactions
 * are under way: the one whose final dot waits for its answer and the one
 * behind it, which cannot pass its DATA before that. Without PIPELINING the
 * same code sends a command only when the one before it is answered.
 *
 * With BDAT (RFC 3030) nobody waits for a 354: RSET, MAIL, RCPT ..., BDAT and a
 * content that is small go out at once, one transaction behind the other, up
 * to PIPELINE_WINDOW of them and no round trip a message. RSET, because what
 * a refused BDAT leaves behind it is not known when the next MAIL is written.
 * A larger content goes when its recipients are answered, so it is never sent
 * in vain. The price: when the connection is lost, each message that was whole
 * on the wire may have been delivered, and not only the one before the last.
 *
 * LMTP (RFC 2033) differs in the answers to the content: flight.h.
 */
#ifndef UPSTREAM_PIPELINE_H
#define UPSTREAM_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "upstream/flight.h"
#include "upstream/upstream.h"

#define PIPELINE_OUT_BYTES 65536
/*
 * Commands written ahead of their replies. Replies are read while commands
 * are written, so nothing can deadlock on our side; the bound keeps the
 * replies within what the peer's socket buffers hold, for a peer that does
 * not read while it writes.
 */
#define PIPELINE_UNANSWERED_MAX 500
#define PIPELINE_WINDOW 8 /* transactions under way */
#define PIPELINE_AHEAD_MAX 16384 /* octets of a content that goes out before its recipients are answered */

struct pipeline_ops {
	/* As in upstream_conn_ops. */
	struct upstream_txn *(*next)(void *ctx);
	/* A command line (no CRLF) was put into the output. */
	void (*command)(void *ctx, const char *line, size_t len);
};

struct pipeline {
	const struct upstream_features *features;
	const struct upstream_settings *settings;
	bool ahead; /* PIPELINING is offered and wanted */
	const struct pipeline_ops *ops;
	void *ctx;
	char *out; /* PIPELINE_OUT_BYTES; never moved while it holds bytes: OpenSSL wants a blocked write
		      repeated from the same address */
	size_t out_from, out_len; /* [out_from, out_len) is to be sent */
	uint64_t put_bytes, wire_bytes; /* ever put out, ever sent */
	struct flight flight[PIPELINE_WINDOW];
	size_t first, count;
	uint64_t left; /* flights that were first and are no more: which one is first now */
	bool any_taken;
	bool need_rset; /* the upstream still has an open transaction that came to nothing */
	bool quitting, quit_sent;
	bool more; /* fill stopped to be fair, not because there was nothing to do */
	bool over;
	struct upstream_outcome why; /* once over */
};

enum pipeline_result {
	PIPELINE_GO_ON,
	PIPELINE_OVER /* the connection must be closed: pipeline_end comes next */
};

/* features, settings and ops must outlive p; of the settings it needs what is not of the way there. */
void pipeline_init(struct pipeline *p, const struct upstream_features *features,
		   const struct upstream_settings *settings, const struct pipeline_ops *ops, void *ctx);
void pipeline_release(struct pipeline *p);

/*
 * Puts out what may go now: commands, content, new transactions from
 * ops.next. May call done() of transactions the upstream cannot take.
 */
enum pipeline_result pipeline_fill(struct pipeline *p);
/* What is to be sent now; the address stays until pipeline_sent took all of it. */
size_t pipeline_output(const struct pipeline *p, const char **data);
void pipeline_sent(struct pipeline *p, size_t n);
/* One reply arrived. May call recipient() and done(). Fill again afterwards. */
enum pipeline_result pipeline_reply(struct pipeline *p, const struct smtp_reply *reply);

/* Takes no more transactions; QUIT follows the last one (with the next pipeline_fill). */
void pipeline_quit(struct pipeline *p);
/*
 * The connection is lost or given up; the text is for an operator. by_us:
 * it was our will, so nobody is to blame for what was not answered yet.
 */
void pipeline_lost(struct pipeline *p, bool by_us, const char *text);
/* Ends every transaction under way as its position and p->why command. Only when p->over. */
void pipeline_end(struct pipeline *p);

/* What is being waited for; decides the deadline. */
enum upstream_phase pipeline_phase(const struct pipeline *p);
/* Transactions taken and not done. */
size_t pipeline_in_flight(const struct pipeline *p);

#endif
