/* SPDX-License-Identifier: ISC */
/* See pyrepr.h. */
#include "base/pyrepr.h"

#include <stdio.h>

void pyrepr_look(struct pyrepr_quotes *q, char octet)
{
	q->single |= octet == '\'';
	q->twofold |= octet == '"';
}

char pyrepr_quote(const struct pyrepr_quotes *q)
{
	return q->single && !q->twofold ? '"' : '\'';
}

void pyrepr_put(struct sink *out, char octet, char quote)
{
	char esc[5] = { '\\', octet };

	if (octet == quote || octet == '\\') {
		sink_put(out, esc, 2);
	} else if (octet >= 0x20 && octet < 0x7f) {
		sink_put(out, &octet, 1);
	} else if (octet == '\t') {
		sink_puts(out, "\\t");
	} else if (octet == '\n') {
		sink_puts(out, "\\n");
	} else if (octet == '\r') {
		sink_puts(out, "\\r");
	} else {
		snprintf(esc, sizeof(esc), "\\x%02x", (unsigned char)octet);
		sink_puts(out, esc);
	}
}

void pyrepr_put_text(struct sink *out, const char *text, size_t len)
{
	struct pyrepr_quotes quotes = { 0, 0 };
	char quote;

	for (size_t i = 0; i < len; i++)
		pyrepr_look(&quotes, text[i]);
	quote = pyrepr_quote(&quotes);
	sink_put(out, &quote, 1);
	for (size_t i = 0; i < len; i++)
		pyrepr_put(out, text[i], quote);
	sink_put(out, &quote, 1);
}
