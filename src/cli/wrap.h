/* SPDX-License-Identifier: ISC */
/* Paragraphs broken into lines at spaces, for a terminal. */
#ifndef CLI_WRAP_H
#define CLI_WRAP_H

#include <stdio.h>

#include "cli/term.h"

/* Where lines are not limited, text for reading still is. */
#define WRAP_WIDTH 78
#define WRAP_MOST 100

/* Escaped text; lines behind the first begin with indent spaces. A word that is too long has a line of its own. */
void wrap_put(const struct term *t, size_t indent, const char *text, FILE *out);
/* The same where so many columns of the first line are written already. */
void wrap_put_from(const struct term *t, size_t column, size_t indent, const char *text, FILE *out);

#endif
