/* SPDX-License-Identifier: ISC */
/*
 * What a client asks of delivery status notifications (RFC 3461): RET= and
 * ENVID= of MAIL, NOTIFY= and ORCPT= of RCPT. Where no DSN is offered,
 * as by a handler that keeps or shows the mail, the parameters are refused with 555 as in smtpd.
 */
#ifndef SESSION_DSN_H
#define SESSION_DSN_H

#include <stdbool.h>

#include "smtp/envelope.h"
#include "smtp/params.h"

struct session;

/* Each takes one parameter into the envelope, or replies with 501 5.5.4 and returns false. */
bool dsn_take_ret(struct session *s, const struct smtp_param *p);
bool dsn_take_envid(struct session *s, const struct smtp_param *p);

/* All parameters of a RCPT into rcpt, which gets copies; false when one was refused (the reply is sent). */
bool dsn_take_rcpt(struct session *s, const struct smtp_params *params, struct envelope_rcpt *rcpt);
/*
 * A recipient came again: who asked for any notification gets it, the first ORCPT stays. Takes what it needs.
 */
void dsn_merge(struct envelope_rcpt *rcpt, struct envelope_rcpt *again);

#endif
