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
	size_t recipients, refused;
	size_t ended; /* recipients of transactions that ended */
	bool done; /* the transaction was answered, or is known to have failed */
	bool accepted; /* by the final dot */
	bool unreachable; /* no answer worth the name */
};

/* The strings outlive the report. */
void send_report_init(struct send_report *r, const char *server, const char *message, size_t recipients);
/* A reply to RCPT; a refusal is said. */
void send_report_recipient(struct send_report *r, const char *address, const struct smtp_reply *reply);
/* The end of a transaction of count recipients: success on standard output, all else on standard error. */
void send_report_done(struct send_report *r, size_t count, const struct upstream_outcome *outcome, const char *remote);
/* The end of the connection; said only when the message did not get that far, for all its recipients. */
void send_report_closed(struct send_report *r, const struct upstream_outcome *why, bool ever_ready);
/* Done when all recipients were accepted, NOTHING when some or all were refused, else UNREACHABLE. */
enum cli_status send_report_status(const struct send_report *r);

#endif
