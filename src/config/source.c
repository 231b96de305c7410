/* SPDX-License-Identifier: ISC */
/* See source.h; reading is in reader.c. */
#include "config/source.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* ---- errors ------------------------------------------------------------------- */

static void add_escaped(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			buf_addf(out, "\\x%02x", (unsigned)(unsigned char)*text);
		else
			buf_addc(out, *text);
	}
}

void source_error(struct source *s, struct source_place place, const char *fmt, ...)
{
	struct source_error *err;
	struct buf raw, text;
	va_list ap;

	if (s->error_count == SOURCE_ERRORS_MAX) {
		s->error_dropped++;
		return;
	}
	buf_init(&raw, 65536);
	buf_init(&text, 300000);
	if (place.file < s->file_count)
		add_escaped(&text, s->file[place.file]);
	if (place.line > 0)
		buf_addf(&text, ":%u", place.line);
	buf_adds(&text, ": ");
	va_start(ap, fmt);
	buf_vaddf(&raw, fmt, ap);
	va_end(ap);
	add_escaped(&text, raw.data);
	s->error = mem_resize(s->error, s->error_count + 1, sizeof(*s->error));
	err = &s->error[s->error_count];
	err->place = place;
	err->order = s->error_count++;
	err->text = mem_strdup(text.data);
	buf_release(&raw);
	buf_release(&text);
}

static int compare_errors(const void *a, const void *b)
{
	const struct source_error *x = a, *y = b;

	if (x->place.file != y->place.file)
		return x->place.file < y->place.file ? -1 : 1;
	if (x->place.line != y->place.line)
		return x->place.line < y->place.line ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

void source_report(struct source *s, config_report *report, void *ctx)
{
	char more[80];

	if (s->error_count > 0)
		qsort(s->error, s->error_count, sizeof(*s->error), compare_errors);
	for (size_t i = 0; i < s->error_count; i++)
		report(ctx, s->error[i].text);
	if (s->error_dropped > 0) {
		snprintf(more, sizeof(more), "and %zu more errors", s->error_dropped);
		report(ctx, more);
	}
}

/* ---- the text ------------------------------------------------------------------- */

void source_map_line(struct source *s, struct source_place place)
{
	if (s->place_count == s->place_cap) {
		s->place_cap = s->place_cap ? s->place_cap * 2 : 256;
		s->place = mem_resize(s->place, s->place_cap, sizeof(*s->place));
	}
	s->place[s->place_count++] = place;
}

struct source_place source_place(const struct source *s, unsigned line)
{
	struct source_place none = { 0, 0 };

	if (s->place_count == 0)
		return none;
	if (line < 1)
		line = 1;
	return s->place[line <= s->place_count ? line - 1 : s->place_count - 1];
}

void source_init(struct source *s)
{
	memset(s, 0, sizeof(*s));
	/* A line of one short key grows by the newline and spaces put around its tokens. */
	buf_init(&s->text, 16 * SOURCE_BYTES_MAX);
}

void source_release(struct source *s)
{
	buf_release(&s->text);
	free(s->place);
	for (size_t i = 0; i < s->file_count; i++)
		free(s->file[i]);
	free(s->file);
	for (size_t i = 0; i < s->error_count; i++)
		free(s->error[i].text);
	free(s->error);
	memset(s, 0, sizeof(*s));
}
