/* SPDX-License-Identifier: ISC */
/*
 * The content of one message on its way into the handler, whichever command
 * brings it (DATA, BDAT): its size, its lines, its trace fields, and what
 * becomes of it when it is there. Whatever is wrong with it is kept for the
 * end: the client hears of it when all its octets were read.
 */
#ifndef SESSION_INTAKE_H
#define SESSION_INTAKE_H

#include "session/datastream.h"
#include "session/received_count.h"
#include "smtp/reply.h"

struct session;

enum intake_kind {
	INTAKE_DOTTED, /* of DATA: lines, with dots stuffed in front, and a dot at its end */
	INTAKE_LINES, /* of BDAT: lines, as they are */
	INTAKE_BINARY /* of BDAT after BODY=BINARYMIME: the header is lines, the rest anything */
};

struct intake {
	enum intake_kind kind;
	struct datastream stream;
	struct received_count received;
	/* BINARY: how much of the CRLF CRLF at the end of the header was met; 4: it is over */
	unsigned header_end;
	uint64_t size_bytes; /* without stuffed dots (RFC 1870 3) */
	char last; /* octet, of those that went to the handler */
	bool aborted; /* the handler was told so and gets no more */
	struct smtp_reply refusal; /* the handler's own, code 0 when it had none */
};

/*
 * Tells the handler. False: it refused, the reply is in `refusal`, and it is to be told of the end of the
 * transaction.
 */
bool intake_begin(struct session *s, enum intake_kind kind, struct smtp_reply *refusal);

/*
 * Takes what there is of it in [*at, end) and moves *at; true when that was the
 * end of the data (DOTTED only: the others take all and never say so).
 */
bool intake_take(struct session *s, const char **at, const char *end);

/* So much was taken of it just now, for whoever wants to know (session_events.content). */
void intake_tell(const struct session *s, size_t octets);

/* All of it is there, or it is known that it will be refused: the reply, and the end of the transaction. */
void intake_finish(struct session *s);

#endif
