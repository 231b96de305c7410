/* SPDX-License-Identifier: ISC */
/*
 * How `posthouse explain` makes its paragraphs: pieces are said into one, which is then wrapped to the terminal.
 * Strangers' text goes through say_escaped and say_quoted only.
 */
#ifndef CLI_EXPLAIN_SAY_H
#define CLI_EXPLAIN_SAY_H

#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "cli/explain_facts.h"

#define SAY_TEXT_MAX 65536

struct teller {
	const struct explain *x;
	FILE *out;
	struct buf text; /* the paragraph being made */
};

void say_heading(const struct teller *t, const char *title);
/* The paragraph is written, its lines behind the first indented. */
void say_end(struct teller *t, size_t indent);

void say(struct teller *t, const char *text); /* ours */
void say_escaped(struct teller *t, const char *text); /* NULL: "?" */
void say_quoted(struct teller *t, const char *text);
void say_length(struct teller *t, int64_t ms);
void say_ago(struct teller *t, int64_t wall_us);
void say_moment(struct teller *t, int64_t wall_us);
void say_until(struct teller *t, int64_t wall_us); /* "now" or "in 3 minutes" */

/* explain_next.c: the section about what comes. */
void tell_next(struct teller *t);

#endif
