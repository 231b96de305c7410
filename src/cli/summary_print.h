/* SPDX-License-Identifier: ISC */
/* What `posthouse summary` counted, as a table with bars or as JSON lines. */
#ifndef CLI_SUMMARY_PRINT_H
#define CLI_SUMMARY_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/tally.h"
#include "cli/term.h"

enum summary_by { SUMMARY_DOMAIN, SUMMARY_SENDER, SUMMARY_SENDER_DOMAIN, SUMMARY_UPSTREAM, SUMMARY_REASON };
#define SUMMARY_BY_COUNT (SUMMARY_REASON + 1)
int summary_by_find(const char *name, enum summary_by *out); /* -1: there is none */

struct summary_look {
	size_t top; /* rows, 0: all */
	bool top_given; /* else JSON has all */
	bool json;
};

void summary_print(const struct tally *t, enum summary_by by, const struct summary_look *look,
		   const struct term *term, FILE *out);

/* A bar of at most `columns` for part of whole: eighths of a column in UTF-8, else '#'. Never nothing for something. */
void summary_bar(const struct term *term, uint64_t part, uint64_t whole, size_t columns, struct buf *out);

#endif
