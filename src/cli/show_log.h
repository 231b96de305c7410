/* SPDX-License-Identifier: ISC */
/* The history of one message (spool/state.h, struct spool_event), for show and explain. */
#ifndef CLI_SHOW_LOG_H
#define CLI_SHOW_LOG_H

#include <stdio.h>

#include <jansson.h>

#include "cli/listing.h"
#include "cli/term.h"

/* As a table, the arrival first; needs the message to be readable. */
void show_log_table(const struct listing *l, const struct term *term, int64_t now_wall_us, FILE *out);
/* One object a line. */
void show_log_json(const struct listing *l, FILE *out);
/* The same objects in an array; the reference is the caller's. */
json_t *show_log_array(const struct listing *l);

#endif
