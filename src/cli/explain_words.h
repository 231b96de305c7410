/* SPDX-License-Identifier: ISC */
/* Replies and events in plain words, for `posthouse explain`. Tables and pure functions. */
#ifndef CLI_EXPLAIN_WORDS_H
#define CLI_EXPLAIN_WORDS_H

#include <stdint.h>

#include "base/buf.h"
#include "cli/term.h"
#include "spool/state.h"

/* What a reply on one line, as the state keeps it, begins with. */
struct reply_codes {
	int code; /* 0: it begins with none, so it is an error of ours and no reply */
	unsigned cls, subject, detail; /* RFC 3463 2; cls 0: no enhanced code */
};
void reply_codes_read(const char *reply, struct reply_codes *out);

/* "a permanent answer to MAIL ... (RFC 5321 4.2.1)": the reason in upstream/outcome.h's table. */
const char *explain_because(const struct reply_codes *codes);
/* RFC 3463 3: "the recipient's mailbox is full", NULL: not in the tables. */
const char *explain_detail(const struct reply_codes *codes);
/* RFC 3463 3: what the second number speaks of, "the mailbox"; NULL: not in the table. */
const char *explain_subject(const struct reply_codes *codes);

/* A sentence for something that happened, its texts escaped for the terminal, the first letter small. */
void explain_event(const struct spool_event *ev, const struct term *term, struct buf *out);
/* "3 minutes", "2 hours", "5 days": a length of time in words. */
void explain_time(int64_t ms, struct buf *out);

#endif
