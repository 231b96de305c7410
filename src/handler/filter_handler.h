/* SPDX-License-Identifier: ISC */
/*
 * A handler that stands in front of another one and gives it what a program
 * made of the message (filter_command). The other one has MAIL and RCPT at
 * once; of the content it learns when the program has ended with status 0.
 * Any other end refuses the message, as for the handler "exec".
 */
#ifndef HANDLER_FILTER_HANDLER_H
#define HANDLER_FILTER_HANDLER_H

#include "handler/handler.h"

/* next is closed with it; the line outlives it. */
struct handler *filter_handler_open(struct handler *next, const struct program_line *line);

#endif
