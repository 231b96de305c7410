/* SPDX-License-Identifier: ISC */
/*
 * Which URLs we ask for secrets: https, and plain http only where it does not
 * leave this machine. Pure: names are not looked up.
 */
#ifndef BASE_URL_H
#define BASE_URL_H

#include <stdbool.h>

#include "base/err.h"

#define URL_MAX 1000

/* -1 and e: "it ..." (the caller names the key or file). No user, no password, no fragment, printable ASCII. */
int url_check(const char *url, struct err *e);
/* Of one that url_check took: http and not https. */
bool url_is_plain(const char *url);

#endif
