/* SPDX-License-Identifier: ISC */
/*
 * Replies of an upstream. The first octet chooses where the stream is cut.
 * Promise: the replies do not depend on the cuts; each is printable; written
 * again, it reads as the same.
 */
#include <string.h>

#include "base/buf.h"
#include "fuzz.h"
#include "smtp/reply.h"

static void check_reply(const struct smtp_reply *r)
{
	struct smtp_reply_parser again;
	struct buf wire;
	size_t used = 0;

	ASSERT(r->code >= 200 && r->code <= 599);
	ASSERT(memchr(r->enhanced, '\0', sizeof(r->enhanced)) && memchr(r->text, '\0', sizeof(r->text)));
	for (const char *p = r->text; *p; p++)
		ASSERT((*p >= ' ' && *p < 0x7f) || *p == '\n');
	buf_init(&wire, 1 << 20);
	ASSERT(smtp_reply_write(r, &wire));
	smtp_reply_parser_init(&again);
	ASSERT(smtp_reply_parse(&again, wire.data, wire.len, &used) == SMTP_REPLY_DONE);
	ASSERT(used == wire.len && again.reply.code == r->code);
	buf_release(&wire);
}

/* The replies found, one a line, then how it ended. */
static void read_cut(const char *data, size_t size, uint8_t cut, struct buf *log)
{
	enum smtp_reply_event event = SMTP_REPLY_MORE;
	struct smtp_reply_parser parser;
	unsigned step = cut;
	size_t at = 0;

	smtp_reply_parser_init(&parser);
	while (at < size && event != SMTP_REPLY_BAD) {
		size_t end = size, used = 0;

		step = step * 75 + 74;
		if (cut && end - at > step % cut + 1)
			end = at + step % cut + 1;
		event = smtp_reply_parse(&parser, data + at, end - at, &used);
		ASSERT(at + used <= end && (event != SMTP_REPLY_MORE || at + used == end));
		ASSERT(event != SMTP_REPLY_DONE || used > 0);
		at += used;
		if (event == SMTP_REPLY_DONE) {
			check_reply(&parser.reply);
			smtp_reply_oneline(&parser.reply, log);
			buf_addc(log, '\n');
		}
	}
	if (event == SMTP_REPLY_BAD) {
		ASSERT(parser.why[0] && memchr(parser.why, '\0', sizeof(parser.why)));
		buf_adds(log, "BAD\n");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, cut;

	if (size == 0 || size > 1 << 17)
		return 0;
	buf_init(&whole, 1 << 24);
	buf_init(&cut, 1 << 24);
	read_cut((const char *)data + 1, size - 1, 0, &whole);
	read_cut((const char *)data + 1, size - 1, data[0], &cut);
	ASSERT(whole.len == cut.len && memcmp(whole.data, cut.data, cut.len) == 0);
	buf_release(&whole);
	buf_release(&cut);
	return 0;
}
