/* SPDX-License-Identifier: ISC */
/*
 * What a transaction needs of the upstream's extensions, and the commands
 * that say so: MAIL with SIZE=, BODY=, SMTPUTF8, REQUIRETLS, BY=, RET= and
 * ENVID=, RCPT with NOTIFY= and ORCPT=, as far as they were announced. Pure,
 * but for the clock: BY= is what is left now.
 */
#ifndef UPSTREAM_COMMAND_H
#define UPSTREAM_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "upstream/upstream.h"

/*
 * A command line we write never gets longer, CRLF included. RFC 5321
 * 4.5.3.1.4 gives 512 octets plus what the extensions add: RFC 3461 5 500
 * and more for ORCPT=, which are only written to who announced DSN.
 */
#define COMMAND_MAX 2048
#define COMMAND_ADDRESS_MAX 512 /* octets of an address; SMTP_PATH_MAX is what the server side lets in */

/*
 * Whether this upstream can take the transaction at all. False: *reply is
 * the permanent refusal to give in its place: 552 5.3.4 (larger than its
 * SIZE), 554 5.6.3 (8-bit or binary content it does not take), 550 5.6.7 (an
 * address needs SMTPUTF8), 550 5.7.30 (REQUIRETLS), 550 5.4.7 or 5.3.3 (BY=
 * with R: too late, or not promised), 553 5.1.3 (an address that cannot be
 * written into a command: too long, or with control characters, CR and LF
 * among them), 550 5.7.0 (what it asks for in `more` is not announced).
 */
bool command_can_take(const struct upstream_features *f, const struct upstream_settings *settings,
		      const struct upstream_txn *t, struct smtp_reply *reply);

/* The command without CRLF, NUL terminated; returns its length. Only for a transaction that can be taken. */
size_t command_mail(char out[COMMAND_MAX], const struct upstream_features *f, const struct upstream_txn *t);
size_t command_rcpt(char out[COMMAND_MAX], const struct upstream_features *f, const struct upstream_txn *t,
		    size_t i);

#endif
