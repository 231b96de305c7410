/* SPDX-License-Identifier: ISC */
/*
 * Patterns of addresses as keys of a table, and the keys that an address is
 * looked up by, the most specific first:
 *   user@example.org
 *   example.org (or *@example.org, @example.org), then .example.org for its subdomains, then .org
 *   user@ (in every domain)
 *   *
 * and for the null reverse-path <> and *. Compared without regard to case
 * (ASCII), and a quoted local part as the text it quotes: "user"@example.org
 * is user@example.org. Pure.
 */
#ifndef ACCESS_ADDRESS_H
#define ACCESS_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define ADDRESS_KEY_MAX 512 /* octets, with the NUL */

/* The key of a pattern; -1 and e: it is none. null_ok: <> may be written. */
int address_pattern_key(const char *pattern, bool null_ok, char key[ADDRESS_KEY_MAX], struct err *e);

/* An address taken apart. */
struct address {
	char text[ADDRESS_KEY_MAX]; /* as a key */
	const char *domain; /* in text, NULL: it has none */
	size_t local_len;
};

void address_take(struct address *a, const char *address);

/* Its keys one after the other, from *step 0 on; false: there are no more. */
bool address_next_key(const struct address *a, unsigned *step, char key[ADDRESS_KEY_MAX]);

#endif
