/* SPDX-License-Identifier: ISC */
/* See content.h. Memory does not grow with the message. */
#include "cli/content.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define BLOCK (64u << 10)
#define LINE_CEILING (1u << 20)

/* Where the empty line is in what was read so far: the header's length, or false. */
static bool find_end(const struct buf *b, size_t *header_len)
{
	const char *at;

	if (b->len >= 2 && memcmp(b->data, "\r\n", 2) == 0) {
		*header_len = 0;
		return true;
	}
	at = memmem(b->data, b->len, "\r\n\r\n", 4);
	if (at)
		*header_len = (size_t)(at - b->data) + 2;
	return at != NULL;
}

int content_header(const struct spool_message *m, struct buf *out, uint64_t *body_offset, struct err *e)
{
	char *block = mem_alloc(BLOCK);
	uint64_t offset = 0;
	size_t header_len;
	ssize_t n;

	while ((n = spool_message_read(m, offset, block, BLOCK, e)) > 0) {
		if (!buf_add(out, block, (size_t)n))
			break;
		offset += (uint64_t)n;
		if (find_end(out, &header_len)) {
			offset = header_len + 2;
			out->len = header_len;
			out->data[header_len] = '\0';
			break;
		}
	}
	free(block);
	if (body_offset)
		*body_offset = offset;
	return n < 0 ? -1 : 0;
}

/* The shown form of a stream that comes in blocks: line by line, over-long lines in pieces. */
struct screen {
	const struct term *term;
	FILE *out;
	struct buf line, escaped;
};

static void screen_flush(struct screen *s, bool line_ends)
{
	size_t len = s->line.len;

	if (line_ends && len > 0 && s->line.data[len - 1] == '\r')
		len--;
	buf_clear(&s->escaped);
	term_escape(s->term, s->line.data, len, TERM_KEEP_TABS, &s->escaped);
	fwrite(s->escaped.data, 1, s->escaped.len, s->out);
	if (line_ends)
		putc('\n', s->out);
	buf_clear(&s->line);
}

static void screen_add(struct screen *s, const char *data, size_t len)
{
	while (len > 0) {
		const char *newline = memchr(data, '\n', len);
		size_t n = newline ? (size_t)(newline - data) : len;

		if (!buf_add(&s->line, data, n)) {
			screen_flush(s, false);
			buf_add(&s->line, data, n);
		}
		if (newline) {
			screen_flush(s, true);
			n++;
		}
		data += n;
		len -= n;
	}
}

int content_put(const struct spool_message *m, enum content_part part, const struct term *term, FILE *out,
		struct err *e)
{
	struct screen screen = { .term = term, .out = out };
	char *block = mem_alloc(BLOCK);
	uint64_t offset = 0, end = m->content_bytes;
	struct buf header;
	ssize_t n = 0;
	int r = 0;

	buf_init(&screen.line, LINE_CEILING);
	buf_init(&screen.escaped, 4 * LINE_CEILING);
	buf_init(&header, CONTENT_HEADER_MAX);
	if (part != CONTENT_ALL) {
		r = content_header(m, &header, &offset, e);
		if (part == CONTENT_HEADER) {
			end = header.len;
			offset = 0;
		}
	}
	buf_release(&header);
	while (r == 0 && offset < end && !ferror(out)) {
		uint64_t left = end - offset;

		n = spool_message_read(m, offset, block, left < BLOCK ? (size_t)left : BLOCK, e);
		if (n <= 0)
			break;
		if (term)
			screen_add(&screen, block, (size_t)n);
		else
			fwrite(block, 1, (size_t)n, out);
		offset += (uint64_t)n;
	}
	if (screen.line.len > 0)
		screen_flush(&screen, true);
	buf_release(&screen.line);
	buf_release(&screen.escaped);
	free(block);
	return n < 0 ? -1 : r;
}
