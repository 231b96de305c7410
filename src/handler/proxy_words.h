/* SPDX-License-Identifier: ISC */
/*
 * What an upstream's answer becomes in the mouth of the handler "proxy": its
 * own words, but for what would be untrue there. 421 (we do not leave), 530
 * and 534 to 538 (it is our credentials that it wants), and what makes no
 * sense are 451, as upstream/outcome.c knows them. Pure.
 */
#ifndef HANDLER_PROXY_WORDS_H
#define HANDLER_PROXY_WORDS_H

#include <stdbool.h>

#include "handler/handler.h"
#include "upstream/upstream.h"

/* It answered with a code of this class (2: 200 to 299). */
bool proxy_is_accepted(const struct upstream_outcome *o, int class);
/* An answer that was accepted, for the client. */
enum handler_verdict proxy_accept(const struct upstream_outcome *o, struct smtp_reply *reply);
/* What was refused, or not answered, for the client. */
enum handler_verdict proxy_refuse(const struct upstream_outcome *o, struct smtp_reply *reply);
/* 451 in words of ours. */
enum handler_verdict proxy_put_off(struct smtp_reply *reply, const char *enhanced, const char *text);

#endif
