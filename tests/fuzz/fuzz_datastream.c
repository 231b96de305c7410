/* SPDX-License-Identifier: ISC */
/*
 * The content of DATA, and the same octets as those of BDAT. The first octet
 * chooses the mode and where the stream is cut. Promise: content, faults and
 * the place of the end are those of a reader that goes octet by octet and
 * looks at what came before; and in both modes nothing but CRLF.CRLF ends the
 * data, and nothing at all in BDAT.
 */
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "fuzz.h"
#include "session/datastream.h"
#include "session/received_count.h"

struct result {
	struct buf content;
	unsigned faults;
	size_t end; /* octets up to and with the end of data; SIZE_MAX: not found */
};

static bool ends_with(const char *data, size_t at, const char *tail, size_t len)
{
	return at >= len && memcmp(data + at - len, tail, len) == 0;
}

/* True where a line starts: at the beginning and behind CRLF. */
static bool line_starts(const char *data, size_t at)
{
	return at == 0 || ends_with(data, at, "\r\n", 2);
}

/* Looks at the whole, with hindsight; takes the data to be complete. */
static void read_simply(const char *data, size_t size, bool dots, enum bare_newline mode, struct result *r)
{
	for (size_t i = 0; i < size; i++) {
		bool cr = data[i] == '\r', lf = data[i] == '\n';
		bool pair =
			(cr && i + 1 < size && data[i + 1] == '\n') || (lf && i > 0 && data[i - 1] == '\r');

		if (dots && data[i] == '.' && line_starts(data, i)) {
			if (size - i >= 3 && data[i + 1] == '\r' && data[i + 2] == '\n') {
				r->end = i + 3;
				return;
			}
			continue;
		}
		if (data[i] == '\0')
			r->faults |= DATASTREAM_NUL;
		if ((cr || lf) && !pair)
			r->faults |= cr ? DATASTREAM_BARE_CR : DATASTREAM_BARE_LF;
		if ((cr || lf) && !pair && mode == BARE_NEWLINE_NORMALIZE)
			buf_add(&r->content, "\r\n", 2);
		else
			buf_addc(&r->content, data[i]);
	}
}

static void read_cut(const char *data, size_t size, bool dots, enum bare_newline mode, uint8_t cut,
		     struct result *r)
{
	struct datastream ds;
	unsigned step = cut;
	size_t done = 0, len;
	const char *piece;

	datastream_init(&ds, dots, mode);
	while (done < size && r->end == SIZE_MAX) {
		const char *at = data + done, *end = data + size;
		enum datastream_event event;

		step = step * 75 + 74;
		if (cut && (size_t)(end - at) > step % cut + 1)
			end = at + step % cut + 1;
		while ((event = datastream_next(&ds, &at, end, &piece, &len)) == DATASTREAM_CHUNK) {
			ASSERT(len > 0);
			buf_add(&r->content, piece, len);
		}
		done = (size_t)(at - data);
		if (event == DATASTREAM_END)
			r->end = done;
		else
			ASSERT(at == end);
	}
	if (!dots && datastream_finish(&ds, &piece, &len))
		buf_add(&r->content, piece, len);
	r->faults = ds.faults;
}

static void check_received_count(const struct buf *content, uint8_t cut)
{
	struct received_count whole, pieces;

	received_count_init(&whole);
	received_count_init(&pieces);
	received_count_add(&whole, content->data, content->len);
	for (size_t at = 0, n; at < content->len; at += n) {
		n = content->len - at < cut % 7U + 1 ? content->len - at : cut % 7U + 1;
		received_count_add(&pieces, content->data + at, n);
	}
	ASSERT(whole.fields == pieces.fields);
}

static void check(const char *text, size_t size, bool dots, enum bare_newline mode, uint8_t pieces)
{
	struct result simple = { .end = SIZE_MAX }, cut = { .end = SIZE_MAX };

	buf_init(&simple.content, 1 << 20);
	buf_init(&cut.content, 1 << 20);
	read_simply(text, size, dots, mode, &simple);
	read_cut(text, size, dots, mode, pieces, &cut);
	ASSERT(simple.end == cut.end && (dots || cut.end == SIZE_MAX));
	if (cut.end != SIZE_MAX || !dots) {
		ASSERT(!dots || cut.end == 3 || ends_with(text, cut.end, "\r\n.\r\n", 5));
		ASSERT(simple.faults == cut.faults && simple.content.len == cut.content.len);
		ASSERT(memcmp(simple.content.data, cut.content.data, cut.content.len) == 0);
		check_received_count(&cut.content, pieces);
	} else {
		/* what is held back at the end of the input is still open */
		ASSERT(cut.content.len <= simple.content.len);
		ASSERT(memcmp(simple.content.data, cut.content.data, cut.content.len) == 0);
		ASSERT((cut.faults & ~simple.faults) == 0);
	}
	buf_release(&simple.content);
	buf_release(&cut.content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum bare_newline mode;

	if (size == 0 || size > 1 << 18)
		return 0;
	mode = data[0] & 1 ? BARE_NEWLINE_NORMALIZE : BARE_NEWLINE_REJECT;
	check((const char *)data + 1, size - 1, true, mode, data[0] >> 1);
	check((const char *)data + 1, size - 1, false, mode, data[0] >> 1);
	return 0;
}
