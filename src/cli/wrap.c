/* SPDX-License-Identifier: ISC */
/* See wrap.h. */
#include "cli/wrap.h"

#include <string.h>

void wrap_put(const struct term *t, size_t indent, const char *text, FILE *out)
{
	wrap_put_from(t, 0, indent, text, out);
}

void wrap_put_from(const struct term *t, size_t column, size_t indent, const char *text, FILE *out)
{
	size_t width = t->width == TERM_NO_LIMIT ? WRAP_WIDTH : t->width > WRAP_MOST ? WRAP_MOST : t->width - 1;
	size_t used = column;
	struct buf word;

	buf_init(&word, 65536);
	while (*text == ' ') { /* of the first line */
		putc(' ', out);
		text++;
		used++;
	}
	for (bool first = true; *text; first = false) {
		size_t len = strcspn(text, " "), columns;

		buf_clear(&word);
		buf_add(&word, text, len);
		columns = term_columns(t, word.data);
		if (!first && used + 1 + columns > width && used > indent) {
			fprintf(out, "\n%*s", (int)indent, "");
			used = indent;
		} else if (!first) {
			putc(' ', out);
			used++;
		}
		fputs(word.data, out);
		used += columns;
		text += len;
		text += strspn(text, " ");
	}
	putc('\n', out);
	buf_release(&word);
}
