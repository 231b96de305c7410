/* SPDX-License-Identifier: ISC */
/*
 * A message made ready to be sent, as submission software may (RFC 6409 8):
 * line ends made CRLF, the envelope from options or header, Bcc taken out,
 * Date, Message-ID and From added when missing. Its content goes through an
 * unlinked temporary file, so that a message of any size costs no memory and
 * its length is known before MAIL (SIZE).
 */
#ifndef SUBMIT_SUBMIT_H
#define SUBMIT_SUBMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "smtp/envelope.h"

#define SUBMIT_HEADER_MAX (1u << 20)
#define SUBMIT_RCPT_MAX 50000

struct submit_options {
	const char *from; /* NULL: from the header; "" or "<>": the null reverse-path */
	char *const *to; /* recipients named by the operator */
	size_t to_count;
	/*
	 * To, Cc and Bcc are recipients too, and Bcc fields are taken out. In a message with Resent-To,
	 * Resent-Cc or Resent-Bcc it is those, and the sender is Resent-Sender or Resent-From; with two
	 * blocks of them it is refused.
	 */
	bool read_recipients;
	bool add_headers; /* Date, Message-ID, From when missing */
	const char *hostname; /* for Message-ID */

	/*
	 * The rules of sendmail(1), as Postfix has them: two blocks of Resent- fields are one;
	 * Bcc, Resent-Bcc, Content-Length and Return-Path are always taken out; an address without a domain
	 * gets hostname in the envelope; what is added has Resent- in front in a resent message.
	 */
	bool sendmail_rules;
	bool dot_ends; /* a line with only a dot ends the message, what follows it is not read */
	const char *full_name; /* for a From that is added; NULL or "": none */
};

struct submission {
	struct envelope env; /* sender, recipients, body, smtputf8 */
	int fd; /* the content: canonical CRLF, not dot-stuffed */
	uint64_t content_bytes;
	bool has_dot_lines, has_eightbit;
	bool has_nul; /* which mail cannot have; only looked at here */
	unsigned received; /* Received fields */
};

enum submit_result {
	SUBMIT_OK,
	SUBMIT_INVALID, /* the message or the options do not make an envelope: e says what to do */
	SUBMIT_NOBODY, /* neither options nor header name a recipient: e says so */
	SUBMIT_FAILED /* reading the message or writing the temporary file failed */
};

/* Reads a message from in_fd to its end. After SUBMIT_OK release it with submission_release. */
enum submit_result submission_read(struct submission *s, int in_fd, const struct submit_options *options,
				   struct err *e);
void submission_release(struct submission *s);

/* The same for who has the message in pieces. s and what the options point to must outlive it. */
struct submission_txn;
struct submission_txn *submission_begin(struct submission *s, const struct submit_options *options);
/*
 * False: nothing more is wanted, for it is refused, has failed, or has had its closing dot; commit says
 * which.
 */
bool submission_write(struct submission_txn *t, const char *data, size_t len);
/* Frees t in every case; as submission_read. */
enum submit_result submission_commit(struct submission_txn *t, struct err *e);
/* Leaves nothing behind. Frees t; NULL is allowed. */
void submission_abort(struct submission_txn *t);

/*
 * The envelope that options and header make (exposed for the tests). The
 * sender: options->from, else the first address of Sender, From or Return-Path.
 * Recipients named twice are taken once.
 * Not SUBMIT_FAILED.
 */
enum submit_result envelope_from_header(struct envelope *env, const struct buf *header,
					const struct submit_options *options, struct err *e);

/*
 * Line ends of all kinds (LF, CRLF, bare CR, as smtplib does it) into CRLF,
 * however the input is cut. *after_cr is false at first and belongs to this.
 */
bool crlf_convert(bool *after_cr, const char *data, size_t len, struct buf *out);

/* How far a line with only a dot was seen; 0 at the beginning of a text. */
enum dot_seen { DOT_LINE_START, DOT_DOT, DOT_CR, DOT_INSIDE };
/*
 * Takes the part of canonical text (from crlf_convert) up to such a line, however it is cut: appends to out
 * (of room for len + 2 more), holds back what may be that line. True: it was seen, the text is over.
 */
bool dot_filter(enum dot_seen *seen, const char *data, size_t len, struct buf *out);

/* A display name for a header (RFC 5322 3.4): as it is, quoted, or as encoded words (RFC 2047), folded. */
bool phrase_write(const char *name, struct buf *out);

#endif
