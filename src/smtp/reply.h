/* SPDX-License-Identifier: ISC */
/*
 * An SMTP reply (RFC 5321 4.2): what a server says, and what a client reads.
 * One type for both directions, for the handlers in between, and for the
 * last reply kept in the spool. Pure.
 */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define SMTP_REPLY_TEXT_MAX 1024 /* bytes kept of a reply's text */
#define SMTP_REPLY_LINE_MAX 2048 /* RFC 5321 4.5.3.1.5 says 512; real servers pass it */
#define SMTP_REPLY_LINES_MAX 128 /* continuation lines before the peer is taken for hostile */

struct smtp_reply {
	int code; /* 200..599, 0: none */
	char enhanced[12]; /* RFC 3463 "5.7.1", "" when there is none */
	char text[SMTP_REPLY_TEXT_MAX]; /* without code and enhanced code; lines joined by '\n'; cut if longer */
};

/* enhanced may be "" or NULL. The text's bytes outside printable ASCII (and '\n') become '?'. */
void smtp_reply_set(struct smtp_reply *r, int code, const char *enhanced, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static inline bool smtp_reply_is_positive(const struct smtp_reply *r)
{
	return r->code >= 200 && r->code < 400;
}
static inline bool smtp_reply_is_permanent(const struct smtp_reply *r)
{
	return r->code >= 500 && r->code < 600;
}

/* Appends the reply as it goes over the wire, CRLF ended, one "250-" line per text line but the last. */
bool smtp_reply_write(const struct smtp_reply *r, struct buf *out);

/* "250 2.0.0 OK" on one line for logs and listings; '\n' in the text becomes " / ". */
void smtp_reply_oneline(const struct smtp_reply *r, struct buf *out);

enum smtp_reply_event {
	SMTP_REPLY_MORE, /* all input was used, the reply is not complete */
	SMTP_REPLY_DONE, /* a reply is complete in parser->reply; *used bytes were taken */
	SMTP_REPLY_BAD /* not an SMTP reply: the connection cannot be used any more */
};

/*
 * Reads replies from a stream, however it is cut. Accepts a bare LF as line end from a peer we chose to talk
 * to.
 */
struct smtp_reply_parser {
	struct smtp_reply reply; /* valid after SMTP_REPLY_DONE until the next call */
	char line[SMTP_REPLY_LINE_MAX]; /* the unfinished line, */
	size_t line_len;
	size_t taken_len; /* or without one the last that was taken, without its line end */
	unsigned lines; /* of the unfinished reply */
	bool complete; /* the next call starts a new reply */
	char why[128]; /* after SMTP_REPLY_BAD: what was wrong, escaped */
};

void smtp_reply_parser_init(struct smtp_reply_parser *p);
enum smtp_reply_event smtp_reply_parse(struct smtp_reply_parser *p, const char *data, size_t len,
				       size_t *used);

#endif
