/* SPDX-License-Identifier: ISC */
/* The handler "exec", smtpd's SMTPServer.process_message for any language: a program gets each message. */
#ifndef HANDLER_EXEC_HANDLER_H
#define HANDLER_EXEC_HANDLER_H

#include "handler/handler.h"

extern const struct handler_kind handler_exec;

#endif
