/* SPDX-License-Identifier: ISC */
/*
 * Replies of a server. The first octet chooses where the stream is cut.
 * Promise: the same replies come out however it is cut; each is one that can
 * be written and read again; what is no reply is refused, and stays so.
 */
#include <string.h>

#include "base/buf.h"
#include "fuzz.h"
#include "smtp/reply.h"

static void check_text(const char *text, size_t cap, bool newline_ok)
{
	ASSERT(strnlen(text, cap) < cap);
	for (; *text; text++)
		ASSERT((*text >= ' ' && *text < 0x7f) || (newline_ok && *text == '\n'));
}

/* What was read can be written, and reads as the same. */
static void check_round_trip(const struct smtp_reply *r)
{
	static struct smtp_reply_parser p;
	struct buf wire;
	size_t used;

	buf_init(&wire, 1 << 16);
	ASSERT(smtp_reply_write(r, &wire));
	smtp_reply_parser_init(&p);
	ASSERT(smtp_reply_parse(&p, wire.data, wire.len, &used) == SMTP_REPLY_DONE && used == wire.len);
	ASSERT(p.reply.code == r->code);
	/* a text that itself begins like an enhanced code may read as one */
	ASSERT(r->enhanced[0] == '\0' || strcmp(p.reply.enhanced, r->enhanced) == 0);
	buf_release(&wire);
}

static void read_cut(const char *data, size_t size, uint8_t cut, struct buf *log)
{
	static struct smtp_reply_parser p;
	unsigned step = cut;

	smtp_reply_parser_init(&p);
	for (size_t at = 0, used; at < size; at += used) {
		size_t n = size - at;

		step = step * 75 + 74; /* any sequence will do */
		if (cut && n > step % cut + 1)
			n = step % cut + 1;
		switch (smtp_reply_parse(&p, data + at, n, &used)) {
		case SMTP_REPLY_MORE:
			ASSERT(used == n);
			break;
		case SMTP_REPLY_DONE:
			ASSERT(used > 0 && used <= n && p.reply.code >= 200 && p.reply.code <= 599);
			check_text(p.reply.text, sizeof(p.reply.text), true);
			check_text(p.reply.enhanced, sizeof(p.reply.enhanced), false);
			check_round_trip(&p.reply);
			buf_addf(log, "%d %s %s\n", p.reply.code, p.reply.enhanced, p.reply.text);
			break;
		case SMTP_REPLY_BAD:
			check_text(p.why, sizeof(p.why), false);
			ASSERT(p.why[0]);
			ASSERT(smtp_reply_parse(&p, "250 OK\r\n", 8, &used) == SMTP_REPLY_BAD);
			buf_addf(log, "bad\n");
			return;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, cut;

	if (size == 0 || size > 1 << 18)
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
