/* SPDX-License-Identifier: ISC */
/* An event of the log as verbs show it: watch as it happens, log afterwards. */
#ifndef CLI_EVENT_PRINT_H
#define CLI_EVENT_PRINT_H

#include <stdbool.h>

#include <jansson.h>

#include "cli/term.h"

/*
 * A line on standard output: the local time, the event, its pairs in the notation of the
 * log, with nothing in them that could move a terminal. Members whose names begin with _ are not shown.
 */
void event_print(const struct term *term, const json_t *o, bool with_date);

#endif
