/* SPDX-License-Identifier: ISC */
/* What `posthouse send` says of a message on its way: each refusal, how it ended, the exit status. */
#ifndef CLI_SEND_REPORT_H
#define CLI_SEND_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "upstream/upstream.h"

struct send_report {
	const char *server; /* HOST:PORT as asked for */
	const char *message; /* which one, where there are several; NULL: the only one */
	size_t recipients, refused, refused_for_now;
	size_t ended; /* recipients of transactions that ended */
	bool done; /* the transaction was answered, or is known to have failed */
	bool accepted; /* by the final dot; LMTP: for somebody */
	size_t finals; /* LMTP: replies to the content so far, one for each recipient */
	enum cli_status failure; /* why it was not; DONE: refusals of recipients alone decide */
};

/* The strings outlive the report. */
void send_report_init(struct send_report *r, const char *server, const char *message, size_t recipients);
/* A reply to RCPT; a refusal is said. */
void send_report_recipient(struct send_report *r, const char *address, const struct smtp_reply *reply);
/* LMTP's reply to the content for one recipient; either way it is said. */
void send_report_final(struct send_report *r, const char *address, const struct smtp_reply *reply);
/* The end of a transaction of count recipients: success on standard output, all else on standard error. */
void send_report_done(struct send_report *r, size_t count, const struct upstream_outcome *outcome, const char *remote);
/* The end of the connection; said only when the message did not get that far, for all its recipients. */
void send_report_closed(struct send_report *r, const struct upstream_outcome *why, bool ever_ready);
/*
 * The class of how it ended: DONE; PARTLY, when some recipients were refused; when nothing was accepted
 * NOTHING (for good) or LATER (every refusal was 4yz), UNSUPPORTED, UNCERTAIN; TLS, AUTH or UNREACHABLE when
 * there was no session, or it broke.
 */
enum cli_status send_report_status(const struct send_report *r);

/*
 * The class of several messages, one more behind those before it: theirs, where they are one; else UNCERTAIN,
 * or that of a session that failed, where there is such a message, or PARTLY.
 */
enum cli_status send_report_combine(enum cli_status before, enum cli_status next);

/* The class of a session that failed, or ended, with that. */
enum cli_status send_session_failure(const struct upstream_outcome *why);
/* That of a reply: DONE, LATER or NOTHING. */
enum cli_status send_reply_status(const struct smtp_reply *reply);

#endif
