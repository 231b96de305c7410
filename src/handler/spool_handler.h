/* SPDX-License-Identifier: ISC */
/* The handler "spool": durable before 250, delivered by the relay. */
#ifndef HANDLER_SPOOL_HANDLER_H
#define HANDLER_SPOOL_HANDLER_H

#include "handler/handler.h"

extern const struct handler_kind handler_spool;

#endif
