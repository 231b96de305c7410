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
 *                         answered        sent           total
 *                            v              v              v
 *   [RSET] MAIL RCPT RCPT RCPT RCPT RCPT ... DATA content+dot      one flight
 *
 * The commands of a transaction are numbered; two counters say how many were
 * sent and how many answered. That is the window of expected replies, and it
 * costs the same for one recipient as for thousands.
 */
#ifndef UPSTREAM_PIPELINE_H
#define UPSTREAM_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "upstream/content.h"
#include "upstream/upstream.h"

#define PIPELINE_OUT_BYTES 65536
/*
 * Commands written ahead of their replies. Replies are read while commands
 * are written, so nothing can deadlock on our side; the bound keeps the
 * replies within what the peer's socket buffers hold, for a peer that does
 * not read while it writes.
 */
#define PIPELINE_UNANSWERED_MAX 500

struct pipeline_ops {
	/* As in upstream_conn_ops. */
	struct upstream_txn *(*next)(void *ctx);
	/* A command line (no CRLF) was put into the output. */
	void (*command)(void *ctx, const char *line, size_t len);
};

struct pipeline_flight {
	struct upstream_txn *txn; /* NULL after its done(): what was sent is drained */
	size_t rcpt_count;
	size_t rcpt_accepted;
	bool rset; /* command 0 is RSET */
	bool is_first; /* of the connection */
	bool mail_accepted;
	bool lone_dot; /* the content is only the final dot: nobody is to receive it */
	size_t sent, answered, total; /* commands */
	uint64_t begin_at, end_at; /* where it begins and its final dot ends, in bytes ever put out */
	struct content content;
};

struct pipeline {
	const struct upstream_features *features;
	enum upstream_eightbit eightbit;
	bool ahead; /* PIPELINING is offered and wanted */
	const struct pipeline_ops *ops;
	void *ctx;
	char *out; /* PIPELINE_OUT_BYTES; never moved while it holds bytes: OpenSSL wants a blocked write
		      repeated from the same address */
	size_t out_from, out_len; /* [out_from, out_len) is to be sent */
	uint64_t put_bytes, wire_bytes; /* ever put out, ever sent */
	struct pipeline_flight flight[2];
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

/* features and ops must outlive p. */
void pipeline_init(struct pipeline *p, const struct upstream_features *features,
		   enum upstream_eightbit eightbit, bool pipelining, const struct pipeline_ops *ops,
		   void *ctx);
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
