/* SPDX-License-Identifier: ISC */
/*
 * A table for people: columns as wide as their content, shrunk to the
 * terminal. Memory is bounded: the widths are taken from the first rows, the
 * rest streams through.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"
#include "cli/term.h"

#define TABLE_COLUMNS_MAX 24
#define TABLE_SAMPLE_ROWS 500 /* rows kept back to choose the widths */

enum table_align { TABLE_LEFT, TABLE_RIGHT };

struct table_column {
	const char *title;
	enum table_align align;
	size_t shrink_to; /* columns it may be cut to on a narrow terminal; 0: never cut */
};

struct table {
	const struct table_column *column;
	size_t count;
	const struct term *term;
	FILE *out;
	char **row[TABLE_SAMPLE_ROWS]; /* kept back; owned */
	size_t rows;
	bool streaming; /* widths are chosen, the title is out */
	size_t width[TABLE_COLUMNS_MAX];
	const unsigned char *drop_order;
	size_t drop_count;
	bool dropped[TABLE_COLUMNS_MAX];
	struct buf line, cut; /* of the row that is being written */
};

/* The pointers outlive the table. */
void table_begin(struct table *t, const struct table_column *columns, size_t count, const struct term *term,
		 FILE *out);
/*
 * Which columns, the first of them first, may be left out where the terminal is too narrow even when the others
 * are cut. Before the first row; the array outlives the table.
 */
void table_may_drop(struct table *t, const unsigned char *order, size_t count);
/* One cell a column, escaped (term_escape) and copied. */
void table_row(struct table *t, const char *const *cells);
/* Writes what was kept back and releases all. A table without rows writes nothing, not even its title. */
void table_end(struct table *t);

#endif
