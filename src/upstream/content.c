/* SPDX-License-Identifier: ISC */
/* See content.h. */
#include "upstream/content.h"

#include <string.h>

#include "base/assert.h"

#define PIECE_BYTES 16384 /* read at once where dots are looked for */

void content_init(struct content *c, bool chunk)
{
	c->chunk = chunk;
	c->offset = 0;
	memcpy(c->last, CONTENT_BEGIN, sizeof(c->last));
}

static int read_piece(struct content *c, struct upstream_txn *t, char *data, size_t cap, size_t *got,
		      struct err *e)
{
	uint64_t left = t->content_bytes - c->offset;
	size_t want = left < cap ? (size_t)left : cap;
	ssize_t n = t->read(t, c->offset, data, want, e);

	if (n < 0)
		return -1;
	if (n == 0) {
		err_set(e, "the content ends after %llu of %llu bytes", (unsigned long long)c->offset,
			(unsigned long long)t->content_bytes);
		return -1;
	}
	ASSERT((size_t)n <= want);
	c->offset += (uint64_t)n;
	*got = (size_t)n;
	return 0;
}

void content_remember_last(char last[2], const char *data, size_t len)
{
	last[0] = len > 1 ? data[len - 2] : last[1];
	last[1] = data[len - 1];
}

size_t content_stuff(const char *data, size_t len, bool at_line_start, char *out)
{
	const char *end = data + len;
	size_t n = 0;

	while (data < end) {
		const char *lf = memchr(data, '\n', (size_t)(end - data));
		size_t line = lf ? (size_t)(lf + 1 - data) : (size_t)(end - data);

		if (at_line_start && *data == '.')
			out[n++] = '.';
		memcpy(out + n, data, line);
		n += line;
		data += line;
		at_line_start = true;
	}
	return n;
}

size_t content_finish(const char last[2], char out[CONTENT_FINISH_MAX])
{
	/* content whose last line is not ended gets its end: the dot must stand alone (RFC 5321 4.1.1.4) */
	const char *end = last[0] == '\r' && last[1] == '\n' ? ".\r\n" : "\r\n.\r\n";

	memcpy(out, end, strlen(end));
	return strlen(end);
}

enum content_result content_write(struct content *c, struct upstream_txn *t, char *out, size_t room,
				  size_t *written, struct err *e)
{
	char piece[PIECE_BYTES];
	size_t n = 0, got;

	ASSERT(room >= CONTENT_ROOM_MIN);
	*written = 0;
	while (c->offset < t->content_bytes) {
		size_t free_bytes = room - n;

		if (free_bytes < CONTENT_ROOM_MIN)
			goto more;
		if (!t->has_dot_lines || c->chunk) {
			if (read_piece(c, t, out + n, free_bytes, &got, e) != 0)
				return CONTENT_FAILED;
			content_remember_last(c->last, out + n, got);
			n += got;
		} else {
			size_t cap = free_bytes / 2 < sizeof(piece) ? free_bytes / 2 : sizeof(piece);
			bool at_line_start = c->last[1] == '\n';

			if (read_piece(c, t, piece, cap, &got, e) != 0)
				return CONTENT_FAILED;
			content_remember_last(c->last, piece, got);
			n += content_stuff(piece, got, at_line_start, out + n);
		}
	}
	if (room - n < CONTENT_FINISH_MAX)
		goto more;
	if (!c->chunk)
		n += content_finish(c->last, out + n);
	*written = n;
	return CONTENT_END;
more:
	*written = n;
	return CONTENT_MORE;
}
