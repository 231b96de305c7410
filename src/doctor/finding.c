/* SPDX-License-Identifier: ISC */
/* See finding.h. */
#include "doctor/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

const char *finding_level_name(enum finding_level level)
{
	static const char *const names[FINDING_LEVEL_COUNT] = { "ok", "warning", "skipped", "failed" };

	return names[level];
}

void findings_init(struct findings *f)
{
	*f = (struct findings){ 0 };
}

void findings_release(struct findings *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->item[i].what);
		free(f->item[i].advice);
	}
	free(f->item);
	findings_init(f);
}

static char *text_of(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
static char *text_of(const char *fmt, va_list ap)
{
	char text[FINDING_TEXT_MAX];

	vsnprintf(text, sizeof(text), fmt, ap);
	return mem_strdup(text);
}

void finding_add(struct findings *f, enum finding_level level, const char *fmt, ...)
{
	va_list ap;

	ASSERT(f->check);
	if (f->count == FINDINGS_MAX)
		return;
	if (f->count == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 32;
		f->item = mem_resize(f->item, f->cap, sizeof(*f->item));
	}
	va_start(ap, fmt);
	f->item[f->count++] = (struct finding){ f->check, level, text_of(fmt, ap), NULL };
	va_end(ap);
}

void finding_advise(struct findings *f, const char *fmt, ...)
{
	struct finding *last;
	va_list ap;

	ASSERT(f->count > 0);
	last = &f->item[f->count - 1];
	free(last->advice);
	va_start(ap, fmt);
	last->advice = text_of(fmt, ap);
	va_end(ap);
}

void findings_count(const struct findings *f, size_t count[FINDING_LEVEL_COUNT])
{
	memset(count, 0, FINDING_LEVEL_COUNT * sizeof(*count));
	for (size_t i = 0; i < f->count; i++)
		count[f->item[i].level]++;
}

enum finding_level findings_worst(const struct findings *f, const char *check)
{
	enum finding_level worst = FINDING_OK;

	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->item[i].check, check) == 0 && f->item[i].level > worst)
			worst = f->item[i].level;
	return worst;
}

/* The check that failed, because of which this one is not reached; NULL: it can be run. */
static const char *in_the_way(const struct doctor_check *table, const struct findings *f, const char *needs)
{
	const struct doctor_check *row = table;
	const char *above;

	if (!needs || findings_worst(f, needs) < FINDING_SKIPPED)
		return NULL;
	while (strcmp(row->name, needs) != 0)
		row++;
	above = in_the_way(table, f, row->needs);
	return above ? above : needs;
}

void doctor_run(const struct doctor_check *table, size_t count, void *subject, struct findings *f,
		void (*told)(void *ctx, const struct findings *f, size_t first), void *ctx)
{
	for (size_t i = 0; i < count; i++) {
		size_t first = f->count;
		const char *failed = in_the_way(table, f, table[i].needs);

		f->check = table[i].name;
		if (table[i].applies && !table[i].applies(subject))
			continue;
		if (failed)
			finding_add(f, FINDING_SKIPPED, "not reached: %s %s", failed,
				    findings_worst(f, failed) == FINDING_FAILED ? "failed" : "was skipped");
		else
			table[i].run(subject, f);
		if (told && f->count > first)
			told(ctx, f, first);
	}
}
