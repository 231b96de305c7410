/* SPDX-License-Identifier: ISC */
/* Replies that say the same of different messages made one text, so that they can be counted together. Pure. */
#ifndef CLI_REASON_H
#define CLI_REASON_H

#include "base/buf.h"

#define REASON_MAX 200 /* octets of the result; what differs behind them is one */

/*
 * Appends text with everything that tells one message from another replaced:
 * addresses by <address>, words with digits in them (queue ids, IP addresses,
 * times, sizes) by '#', digits in host names and URLs by '#' each run, the
 * query of a URL left out. Reply code and enhanced status code stay.
 */
void reason_normalise(const char *text, struct buf *out);

#endif
