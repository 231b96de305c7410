/* SPDX-License-Identifier: ISC */
/*
 * What the log says of rewriting: `event=rewritten id=ID from=NEW from_was=OLD`, the same with to= and
 * to_was=, a line each, before the line `event=accepted` with what the client said. All of it escaped, as the
 * log does.
 */
#ifndef REWRITE_REWRITE_LOG_H
#define REWRITE_REWRITE_LOG_H

#include "rewrite/header_filter.h"
#include "smtp/envelope.h"

/* env: the rewritten one. Nothing is logged of what stayed as it was. */
void rewrite_log_sender(const struct envelope *env, const char *was);
/* was NULL: one that was added, nobody named it */
void rewrite_log_recipient(const struct envelope *env, const char *was, const char *is);
void rewrite_log_header(const struct envelope *env, const struct header_filter *filter);
/* Why a message or recipient is refused for now; what: "from", "to", "header", "always_bcc". */
void rewrite_log_failed(const struct envelope *env, const char *what, const char *address, const char *why);

#endif
