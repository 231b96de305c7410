/* SPDX-License-Identifier: ISC */
/*
 * The text of a delivery status notification: multipart/report (RFC 6522)
 * with a part for people, message/delivery-status (RFC 3464) and the original
 * header or message. Writes into a sink and knows nothing of the spool's
 * order of events (bounce.h does).
 */
#ifndef MANAGE_REPORT_H
#define MANAGE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "spool/message.h"
#include "spool/state.h"

enum report_kind {
	REPORT_FAILED, /* Action: failed */
	REPORT_DELAYED, /* Action: delayed; still being tried */
	REPORT_RELAYED /* Action: relayed; NOTIFY=SUCCESS and an upstream without DSN (RFC 3461 5.2.2) */
};

struct report {
	enum report_kind kind;
	const char *hostname; /* who reports (Reporting-MTA) */
	const char *to; /* address it goes to */
	bool for_postmaster; /* the message was itself a report, or has no sender */
	const struct spool_message *original; /* its file is open */
	const struct spool_state *state;
	const size_t *rcpt; /* whom it is about: indices of recipients; at least one */
	size_t rcpt_count;
	const char *report_id; /* of the report's own message: for Message-ID and the boundary */
	int64_t now_wall_us;
	int64_t retry_until_wall_us; /* DELAYED: Will-Retry-Until; 0: not said */
	uint64_t return_limit_bytes; /* the original is returned whole up to this size, unless RET=HDRS */
};

/* Content in order, canonical CRLF. -1 and e ends it. */
typedef int report_sink(void *ctx, const char *data, size_t len, struct err *e);

/*
 * It holds non-ASCII addresses, or returns a header that may hold UTF-8: it is in the form of RFC 6533, and its
 * envelope must say SMTPUTF8.
 */
bool report_is_utf8(const struct report *report);
/* Some octet of it is, or may be, >= 0x80. */
bool report_is_eightbit(const struct report *report);

/* Writes the whole content, header first. */
int report_write(const struct report *report, report_sink *sink, void *ctx, struct err *e);

#endif
