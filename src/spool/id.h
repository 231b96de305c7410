/* SPDX-License-Identifier: ISC */
/*
 * Queue IDs: 16 characters of Crockford's base 32 in lower case, 11 for the
 * microseconds since 1970 and 5 random ones. Sorting them sorts by arrival;
 * they are safe as file names, in shells and over the telephone; none is made
 * twice (a clock set back leaves 25 random bits and link-style exclusive
 * creation, see txn.c). A unique prefix names a message for the CLI.
 */
#ifndef SPOOL_ID_H
#define SPOOL_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_ID_LEN 16

struct spool_id {
	char text[SPOOL_ID_LEN + 1];
};

/* A new one for this moment; within a process strictly increasing. */
void spool_id_new(struct spool_id *id);
/* Exactly one valid ID, NUL terminated. */
bool spool_id_is_valid(const char *text);
/* The moment in it. */
int64_t spool_id_wall_us(const char *text);

/* The 80 bits of it packed into 10 octets, which sort as it does, and back, for those who keep a million. */
#define SPOOL_ID_PACKED 10
void spool_id_pack(const char *text, unsigned char packed[SPOOL_ID_PACKED]);
void spool_id_unpack(const unsigned char packed[SPOOL_ID_PACKED], struct spool_id *id);

#endif
