/* SPDX-License-Identifier: ISC */
/* See load.h: errors counted by what was said. Pure. */
#include <string.h>

#include "submit/load.h"

/* Digits of a text are ids, ports and times more often than not: texts that differ in them alone are one. */
static bool same_text(const char *a, const char *b)
{
	const char *digits = "0123456789";

	for (;;) {
		size_t x = strspn(a, digits), y = strspn(b, digits);

		if ((x > 0) != (y > 0))
			return false;
		a += x;
		b += y;
		if (*a != *b)
			return false;
		if (*a == '\0')
			return true;
		a++;
		b++;
	}
}

static bool is_same(const struct load_error *e, enum upstream_phase phase, const struct smtp_reply *reply)
{
	return e->phase == phase && e->reply.code == reply->code &&
	       strcmp(e->reply.enhanced, reply->enhanced) == 0 && same_text(e->reply.text, reply->text);
}

void load_count_error(struct load_figures *f, enum upstream_phase phase, const struct smtp_reply *reply)
{
	size_t i = 0;

	while (i < f->error_count && !is_same(&f->error[i], phase, reply))
		i++;
	if (i == LOAD_ERRORS_MAX) {
		f->other_errors++;
		return;
	}
	if (i == f->error_count)
		f->error[f->error_count++] = (struct load_error){ .phase = phase, .reply = *reply };
	f->error[i].count++;
}
