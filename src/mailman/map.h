/* SPDX-License-Identifier: ISC */
/*
 * The maps that Mailman writes for a mail server, as a set of addresses: the
 * postfix_lmtp of Mailman 3 (hash or regex) and the aliases of Mailman 2
 * (data/aliases). Pure.
 *
 *   list-owner@lists.example.org       lmtp:[127.0.0.1]:8024
 *   /^list-confirm(\+.*)?@lists\.example\.org$/  lmtp:[127.0.0.1]:8024
 *   list-owner:  "|/usr/lib/mailman/mail/mailman owner list"
 */
#ifndef MAILMAN_MAP_H
#define MAILMAN_MAP_H

#include <stddef.h>

#include "base/err.h"
#include "mailman/lists.h"

#define MAP_BYTES_MAX (32u << 20)

/*
 * Adds what is in the text to a set (LISTS_OF_ADDRESSES); of an alias the value is the command's arguments,
 * "owner list". Lines that are none of these are an error: -1, e without the file's name.
 */
int map_read(struct lists *into, const char *text, size_t len, struct err *e);

#endif
