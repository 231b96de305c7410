/* SPDX-License-Identifier: ISC */
/*
 * XXH3-64 of a message or state file, from libxxhash: it finds torn and
 * damaged files at memory speed, and an operator can recompute it with
 * xxhsum -H3. It does not defend against someone who can write the spool.
 */
#ifndef SPOOL_CHECKSUM_H
#define SPOOL_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct checksum; /* a running one */

struct checksum *checksum_new(void);
void checksum_free(struct checksum *c); /* NULL is allowed */
void checksum_add(struct checksum *c, const void *data, size_t len);
uint64_t checksum_value(const struct checksum *c);
uint64_t checksum_of(const void *data, size_t len);

/* The last line of a text file of the spool: "xxh3=HHHHHHHHHHHHHHHH\n", over everything before it. */
#define CHECKSUM_SEAL_LEN 22
bool checksum_seal(struct buf *text); /* appends it; false when it does not fit */
bool checksum_is_sealed(const char *text, size_t len); /* ends with the right one */

#endif
