/* SPDX-License-Identifier: ISC */
/*
 * The handler "spool": durable before 250, delivered by the relay. And "mailman", smtpd's MailmanProxy, which
 * is the same for a worker: the relay sends what is for mailing lists to Mailman.
 */
#ifndef HANDLER_SPOOL_HANDLER_H
#define HANDLER_SPOOL_HANDLER_H

#include "handler/handler.h"

extern const struct handler_kind handler_spool, handler_mailman;

#endif
