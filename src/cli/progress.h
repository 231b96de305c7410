/* SPDX-License-Identifier: ISC */
/*
 * How far a long piece of work is: one line on standard error that is drawn
 * again, only where that is a terminal, and gone at the end. In a pipe
 * nothing is written.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/term.h"

struct progress {
	const char *what; /* "removing" */
	uint64_t total; /* 0: not known, only counted */
	bool is_shown;
	bool is_drawn; /* something of it stands on the terminal */
	struct term term;
	int64_t began_mono_ms, drawn_mono_ms;
};

/* what outlives it. Nothing is drawn in the first half second: short work needs no bar. */
void progress_begin(struct progress *p, const char *what, uint64_t total);
/* So much is done; cheap enough to be called for every message. */
void progress_at(struct progress *p, uint64_t done);
/* Takes the line away, before anything else is written or at the end; it may be drawn again. */
void progress_clear(struct progress *p);

/* The line itself, pure: appends it, at most columns wide. */
void progress_format(const struct progress *p, uint64_t done, int64_t elapsed_ms, size_t columns, struct buf *out);

#define COUNT_TEXT_MAX 28
/* "1,234,567"; returns out. */
const char *count_text(uint64_t n, char out[COUNT_TEXT_MAX]);

#endif
