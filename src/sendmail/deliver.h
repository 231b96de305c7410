/* SPDX-License-Identifier: ISC */
/* sendmail's main job: a message from standard input to the daemon, or into the outbox. */
#ifndef SENDMAIL_DELIVER_H
#define SENDMAIL_DELIVER_H

#include "sendmail/options.h"
#include "sendmail/target.h"

/* "sendmail: text" on standard error, escaped; nothing after -oeq. */
void sendmail_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void sendmail_say_nothing(void);

/* Reads, submits, says what went wrong; an exit status of sysexits.h. */
int sendmail_deliver(const struct sendmail_options *o, const struct target *t);
/* -bs: bytes both ways between standard input and output and the daemon. */
int sendmail_converse(const struct target *t);

#endif
