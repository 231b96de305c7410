/* SPDX-License-Identifier: ISC */
/* See table.h. Runs in the operator's command only. */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

#define GAP 2 /* spaces between columns */
#define LINE_MAX_BYTES 65536

void table_begin(struct table *t, const struct table_column *columns, size_t count, const struct term *term,
		 FILE *out)
{
	ASSERT(count > 0 && count <= TABLE_COLUMNS_MAX);
	memset(t, 0, sizeof(*t));
	t->column = columns;
	t->count = count;
	t->term = term;
	t->out = out;
	buf_init(&t->line, LINE_MAX_BYTES);
	buf_init(&t->cut, LINE_MAX_BYTES);
}

static size_t line_width(const struct table *t)
{
	size_t total = 0;

	for (size_t i = 0; i < t->count; i++)
		if (!t->dropped[i])
			total += t->width[i] + GAP;
	return total > GAP ? total - GAP : 0;
}

/* Takes from the widest column that may be cut until the line fits or nothing can give. */
static void shrink(struct table *t)
{
	while (line_width(t) > t->term->width) {
		size_t widest = t->count;

		for (size_t i = 0; i < t->count; i++) {
			size_t least = t->column[i].shrink_to;

			if (least > 0 && t->width[i] > least && !t->dropped[i] &&
			    (widest == t->count || t->width[i] > t->width[widest]))
				widest = i;
		}
		if (widest == t->count)
			return;
		t->width[widest]--;
	}
}

void table_may_drop(struct table *t, const unsigned char *order, size_t count)
{
	t->drop_order = order;
	t->drop_count = count;
}

/* Leaves out one column after the other until the rest can be made to fit. */
static void make_fit(struct table *t)
{
	size_t natural[TABLE_COLUMNS_MAX];

	memcpy(natural, t->width, sizeof(natural));
	shrink(t);
	for (size_t i = 0; i < t->drop_count && line_width(t) > t->term->width; i++) {
		t->dropped[t->drop_order[i]] = true;
		memcpy(t->width, natural, sizeof(natural));
		shrink(t);
	}
}

static void choose_widths(struct table *t)
{
	for (size_t i = 0; i < t->count; i++) {
		t->width[i] = strlen(t->column[i].title);
		for (size_t r = 0; r < t->rows; r++) {
			size_t n = term_columns(t->term, t->row[r][i]);

			if (n > t->width[i])
				t->width[i] = n;
		}
	}
	if (t->term->width != TERM_NO_LIMIT)
		make_fit(t);
}

static void pad(struct buf *line, size_t n)
{
	while (n-- > 0)
		buf_addc(line, ' ');
}

static void put_line(struct table *t, const char *const *cells)
{
	bool bounded = t->term->width != TERM_NO_LIMIT;
	struct buf *line = &t->line, *cut = &t->cut;

	buf_clear(line);
	for (size_t i = 0; i < t->count; i++) {
		bool last = i + 1 == t->count;
		size_t used = term_columns(t->term, cells[i]);
		size_t fill;

		if (t->dropped[i])
			continue;
		buf_clear(cut);
		if (bounded && t->column[i].shrink_to > 0)
			used = term_cut(t->term, cells[i], t->width[i], cut);
		else
			buf_adds(cut, cells[i]);
		fill = used < t->width[i] ? t->width[i] - used : 0;
		if (t->column[i].align == TABLE_RIGHT)
			pad(line, fill);
		buf_adds(line, cut->data);
		if (!last && t->column[i].align == TABLE_LEFT)
			pad(line, fill);
		if (!last)
			pad(line, GAP);
	}
	while (line->len > 0 && line->data[line->len - 1] == ' ')
		line->data[--line->len] = '\0';
	/* the whole must not wrap even where no column could give any more */
	buf_clear(cut);
	term_cut(t->term, line->data, t->term->width, cut);
	buf_addc(cut, '\n');
	fwrite(cut->data, 1, cut->len, t->out);
}

static void flush(struct table *t)
{
	const char *titles[TABLE_COLUMNS_MAX];

	choose_widths(t);
	for (size_t i = 0; i < t->count; i++)
		titles[i] = t->column[i].title;
	put_line(t, titles);
	for (size_t r = 0; r < t->rows; r++) {
		put_line(t, (const char *const *)t->row[r]);
		for (size_t i = 0; i < t->count; i++)
			free(t->row[r][i]);
		free(t->row[r]);
	}
	t->rows = 0;
	t->streaming = true;
}

void table_row(struct table *t, const char *const *cells)
{
	char **row;

	if (t->streaming) {
		put_line(t, cells);
		return;
	}
	row = mem_array(t->count, sizeof(*row));
	for (size_t i = 0; i < t->count; i++)
		row[i] = mem_strdup(cells[i]);
	t->row[t->rows++] = row;
	if (t->rows == TABLE_SAMPLE_ROWS)
		flush(t);
}

void table_end(struct table *t)
{
	if (t->rows > 0)
		flush(t);
	buf_release(&t->line);
	buf_release(&t->cut);
}
