/* SPDX-License-Identifier: ISC */
/* The "debug" handler, smtpd's DebuggingServer: prints each message on standard output, relays nothing. */
#ifndef HANDLER_DEBUG_H
#define HANDLER_DEBUG_H

#include "handler/handler.h"

extern const struct handler_kind handler_debug;

#endif
