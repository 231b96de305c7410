/* SPDX-License-Identifier: ISC */
/*
 * Mailman, as the relay finds it (the member "mailman" of its status), in a few words: posthouse status,
 * queue.
 */
#ifndef CLI_STATUS_MAILMAN_H
#define CLI_STATUS_MAILMAN_H

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/term.h"

/* "up, 12 lists in 2 domains, asked 5s ago", or what is wrong; nothing without handler "mailman". */
void status_add_mailman(const struct term *term, const json_t *mailman, int64_t now_wall_us, struct buf *out);

#endif
