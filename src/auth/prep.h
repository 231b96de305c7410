/* SPDX-License-Identifier: ISC */
/*
 * Names and passwords in the one form in which they are compared: SASLprep
 * (RFC 4013), as PLAIN (RFC 4616 2) and SCRAM (RFC 5802 2.2) want it. Pure.
 */
#ifndef AUTH_PREP_H
#define AUTH_PREP_H

#include <stdbool.h>

#include "auth/backend.h"
#include "base/err.h"

enum prep_use {
	PREP_QUERY, /* what a client says: characters newer than the tables pass (RFC 3454 7) */
	PREP_STORE /* what is to be kept */
};

/*
 * *out is the caller's, to be released with prep_free. -1 and e (never the text itself): it may not stand
 * there.
 */
int prep_text(const char *text, enum prep_use use, char **out, struct err *e);
/* Overwrites, then frees. NULL is allowed. */
void prep_free(char *text);

/*
 * A user's name, which can stand in a users file, in a log and in a header: 1 to 255 octets of UTF-8 behind
 * SASLprep, without blanks, controls and ':', and not beginning with '#'.
 */
int prep_name(const char *name, enum prep_use use, char out[AUTH_USER_MAX], struct err *e);
/* Whether two prepared names mean the same user: the letters A to Z are not told from a to z. */
bool prep_same_name(const char *a, const char *b);

#endif
