/* SPDX-License-Identifier: ISC */
/*
 * One transaction on its way through the pipeline: its commands by number,
 * how many of them were sent and how many answered. Pure; pipeline.c moves it.
 *
 *                         answered        sent           total
 *                            v              v              v
 *   [RSET] MAIL RCPT RCPT RCPT RCPT RCPT ... DATA content+dot
 *   [RSET] MAIL RCPT RCPT RCPT RCPT RCPT ... BDAT+content         (RFC 3030)
 *
 * Two counters are the window of expected replies, and they cost the same for
 * one recipient as for thousands. With LMTP the content is answered once for
 * each accepted recipient, in their order (RFC 2033 4.2): it counts as so
 * many, and a bit a recipient says who is meant.
 */
#ifndef UPSTREAM_FLIGHT_H
#define UPSTREAM_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "upstream/content.h"
#include "upstream/upstream.h"

struct flight {
	struct upstream_txn *txn; /* NULL after its done(): what was sent is drained */
	size_t rcpt_count;
	size_t rcpt_accepted;
	unsigned char *accepted; /* LMTP: a bit a recipient; owned. NULL: the content has one answer */
	size_t next_final; /* LMTP: no recipient before this one waits for the answer to the content */
	bool rset; /* command 0 is RSET */
	bool bdat; /* BDAT instead of DATA */
	bool is_first; /* of the connection */
	bool mail_accepted;
	bool lone_dot; /* the content is only the final dot: nobody is to receive it */
	bool has_begun; /* some of the content, or its BDAT, is in the output */
	bool is_whole; /* all of it, and its end */
	size_t sent, answered, total; /* commands */
	uint64_t begin_at, end_at; /* where it begins, and what is sent of it ends, in bytes ever put out */
	struct content content;
};

enum flight_step { FLIGHT_RSET, FLIGHT_MAIL, FLIGHT_RCPT, FLIGHT_DATA, FLIGHT_CONTENT };

void flight_init(struct flight *f, struct upstream_txn *t, bool rset, bool bdat, bool lmtp);
void flight_release(struct flight *f);

/* What command i is; *rcpt: which recipient, for RCPT. */
enum flight_step flight_step(const struct flight *f, size_t i, size_t *rcpt);
/* The number of DATA, or of BDAT with its content. */
size_t flight_data_index(const struct flight *f);
size_t flight_content_index(const struct flight *f);

/* The content is whole on the wire: from now on the upstream may have the message. */
bool flight_is_out(const struct flight *f, uint64_t wire_bytes);
/* What its next answer is about. */
enum upstream_phase flight_phase(const struct flight *f, uint64_t wire_bytes);

void flight_accept(struct flight *f, size_t rcpt);
/* LMTP: whom the next answer to the content is about. */
size_t flight_take_final(struct flight *f);
/* The content's answers are known now: so many as recipients were accepted with LMTP, else one. */
void flight_expect_content(struct flight *f);
/* The transaction came to nothing: what is not sent yet is not sent any more. */
void flight_cut_short(struct flight *f);

#endif
