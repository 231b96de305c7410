/* SPDX-License-Identifier: ISC */
/* See report_text.h. */
#include "manage/report_text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

#define PENDING_MAX (64u << 10)
#define FLUSH_AT (16u << 10)
#define LINE_WANTED 76 /* octets a line of words should have at most (RFC 5322 2.1.1: 78) */
#define TOKEN_MAX 900 /* what fits on a line of 998 with its field's name (RFC 5322 2.1.1) */

void report_out_init(struct report_out *o, bool utf8, report_sink *sink, void *ctx, struct err *e)
{
	memset(o, 0, sizeof(*o));
	o->sink = sink;
	o->ctx = ctx;
	o->utf8 = utf8;
	o->e = e;
	buf_init(&o->pending, PENDING_MAX);
}

static void flush(struct report_out *o)
{
	if (!o->failed && o->pending.len > 0 && o->sink(o->ctx, o->pending.data, o->pending.len, o->e) < 0)
		o->failed = true;
	buf_clear(&o->pending);
}

int report_out_finish(struct report_out *o)
{
	flush(o);
	buf_release(&o->pending);
	return o->failed ? -1 : 0;
}

void report_raw(struct report_out *o, const char *data, size_t len)
{
	const char *newline = len > 0 ? memrchr(data, '\n', len) : NULL;

	o->column = newline ? (size_t)(data + len - newline - 1) : o->column + len;
	while (len > 0) {
		size_t n = len < FLUSH_AT ? len : FLUSH_AT;

		ASSERT(buf_add(&o->pending, data, n));
		if (o->pending.len >= FLUSH_AT)
			flush(o);
		data += n;
		len -= n;
	}
}

void report_puts(struct report_out *o, const char *text)
{
	report_raw(o, text, strlen(text));
}

void report_printf(struct report_out *o, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ASSERT(n >= 0 && (size_t)n < sizeof(text));
	report_raw(o, text, (size_t)n);
}

/* Controls of C1, line and paragraph separators, what turns the direction of writing, the byte order mark. */
static bool is_shown(uint32_t code)
{
	return code >= 0xa0 && !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2066 && code <= 0x2069) &&
	       code != 0x200e && code != 0x200f && code != 0xfeff;
}

/* How many octets the character at p takes in the input; *safe: they can be written, else one '?' stands for them. */
static size_t character(const struct report_out *o, const char *p, size_t left, bool *safe)
{
	uint32_t code = 0;
	size_t n = utf8_decode(p, left, &code);

	if (n == 1)
		*safe = code >= ' ' && code < 0x7f;
	else
		*safe = n > 1 && o->utf8 && is_shown(code);
	return *safe ? n : 1;
}

static void put_clean(struct report_out *o, const char *text, size_t len)
{
	while (len > 0) {
		bool safe;
		size_t n = character(o, text, len, &safe);

		report_raw(o, safe ? text : "?", n);
		text += n;
		len -= n;
	}
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Where a word of more than a line must be cut: not within a character. */
static size_t cut(const char *word, size_t len)
{
	size_t n = len;

	if (n <= TOKEN_MAX)
		return n;
	for (n = TOKEN_MAX; n > TOKEN_MAX - 4 && ((unsigned char)word[n] & 0xc0) == 0x80;)
		n--;
	return n;
}

static void words(struct report_out *o, const char *text, size_t len, const char *indent)
{
	const char *end = text + len;
	bool first = true; /* on its line: no space belongs before it */

	while (text < end) {
		const char *word = text;
		size_t n;

		if (is_space(*text)) {
			text++;
			continue;
		}
		while (text < end && !is_space(*text))
			text++;
		n = cut(word, (size_t)(text - word));
		text = word + n;
		if (o->column + 1 + n > LINE_WANTED && (!first || o->column + n > TOKEN_MAX)) {
			report_puts(o, "\r\n");
			report_puts(o, indent);
		} else if (!first) {
			report_puts(o, " ");
		}
		put_clean(o, word, n);
		first = false;
	}
}

void report_words(struct report_out *o, const char *text, const char *indent)
{
	size_t len = strnlen(text, REPORT_WORDS_MAX + 1);

	if (len <= REPORT_WORDS_MAX) {
		words(o, text, len, indent);
		return;
	}
	for (len = REPORT_WORDS_MAX; len > REPORT_WORDS_MAX - 4 && ((unsigned char)text[len] & 0xc0) == 0x80;)
		len--;
	words(o, text, len, indent);
	report_puts(o, "...");
}

void report_token(struct report_out *o, const char *text, size_t len)
{
	if (len <= TOKEN_MAX - 100)
		put_clean(o, text, len);
	else
		words(o, text, len < REPORT_WORDS_MAX ? len : REPORT_WORDS_MAX, " ");
}
