/* SPDX-License-Identifier: ISC */
/*
 * The status object (posthouse-json(5)) as lines for people: `posthouse status` writes them, `posthouse top` draws
 * them. Every member may be missing or of another type; every text in it is escaped.
 */
#ifndef CLI_STATUS_PRINT_H
#define CLI_STATUS_PRINT_H

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "cli/term.h"

enum status_sort { STATUS_SORT_NAME, STATUS_SORT_WAITING, STATUS_SORT_BUSY };
#define STATUS_SORT_COUNT (STATUS_SORT_BUSY + 1)
const char *status_sort_name(enum status_sort sort);

void status_print(const json_t *status, const struct term *term, enum status_sort sort, int64_t now_wall_us, FILE *out);

#endif
