/* SPDX-License-Identifier: ISC */
/*
 * A handler that stands in front of another one and gives it an envelope of its own: sender and recipients
 * rewritten, aliases resolved, one more or one instead of all; and the content with its header rewritten
 * (rules.h). Works for every handler; only put in when something is configured. Runs in a worker, logs what
 * it changed.
 *
 * What the client is told: 451 4.3.0 when an address becomes one that cannot be; 452 4.5.3 when aliases lead
 * to more than max_recipients; the first refusal of the handler behind for one of the addresses an alias
 * leads to (the others may have been taken by then: a duplicate is possible, a loss is not).
 *
 * NOTIFY of a recipient goes to each of its addresses. A changed recipient that came without ORCPT gets one
 * with the address the client named (RFC 3461 5.2.1), so that a report tells the sender of an address it
 * knows.
 */
#ifndef REWRITE_REWRITE_HANDLER_H
#define REWRITE_REWRITE_HANDLER_H

#include "handler/handler.h"
#include "rewrite/rules.h"

/* next is closed with it; the rules outlive it. */
struct handler *rewrite_handler_open(struct handler *next, const struct rewrite_rules *rules);

#endif
