/* SPDX-License-Identifier: ISC */
/* The exit status (sysexits.h) that a server's refusal becomes. Pure. */
#ifndef SENDMAIL_STATUS_H
#define SENDMAIL_STATUS_H

#include "smtp/reply.h"
#include "upstream/upstream.h"

/* Of a 4yz or 5yz reply to that step. */
int sendmail_status(enum upstream_phase phase, const struct smtp_reply *reply);
/* Of two, the one to end with: who may try again is told so, else the first. EX_OK is none. */
int sendmail_worse(int a, int b);

#endif
