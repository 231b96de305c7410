/* SPDX-License-Identifier: ISC */
/*
 * What an operator may write where addresses are to be matched: the pieces
 * that patterns of routes (manage/route.h) and of access tables are made of. Pure.
 */
#ifndef SMTP_PATTERN_H
#define SMTP_PATTERN_H

#include <stdbool.h>

/* What may stand behind the '@' of a pattern: a domain, one with a dot in front (its subdomains), an address literal. */
bool pattern_is_domain(const char *text);
/* user@domain. A '*' could stand in an address (RFC 5321 4.1.2), but who writes one means something else. */
bool pattern_is_address(const char *text);

#endif
