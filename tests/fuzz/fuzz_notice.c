/* SPDX-License-Identifier: ISC */
/*
 * What a worker may write to the relay's pipe: new messages, and requests to flush (ETRN). The first octet is how many
 * octets come at a time, 0: all. Promise: what is taken is an ID, or a request that could have been said so, and it does
 * not depend on the cuts.
 */
#include <string.h>

#include "base/buf.h"
#include "fuzz.h"
#include "relay/notice.h"

static void on_mail(void *ctx, const char *id)
{
	ASSERT(spool_id_is_valid(id));
	buf_addf(ctx, "%s\n", id);
}

static void on_urgent(void *ctx, const char *id)
{
	ASSERT(spool_id_is_valid(id));
	buf_addf(ctx, "%s!\n", id);
}

static void on_flush(void *ctx, const struct flush *one)
{
	static struct flushes kept; /* of all inputs: no more than there is room for */
	char line[FLUSH_LINE_MAX];
	size_t len = flush_line(line, one->kind, one->name);
	struct flush again;

	ASSERT(len > 0 && len < FLUSH_LINE_MAX && strlen(line) == len && line[len - 1] == '\n');
	ASSERT(flush_parse(line, len - 1, &again) && again.kind == one->kind && strcmp(again.name, one->name) == 0);
	if (!flushes_add(&kept, one))
		kept.count = 0;
	ASSERT(kept.count <= FLUSHES_MAX);
	(void)flushes_want_address(&kept, "a@b.example.org");
	(void)flushes_want_upstream(&kept, one->name);
	buf_addf(ctx, "%s", line);
}

static const struct notice_ops ops = { .mail = on_mail, .urgent = on_urgent, .flush = on_flush };

static void feed(const char *data, size_t size, size_t step, struct buf *out)
{
	struct notice_reader r;

	buf_init(out, 1 << 24);
	notice_reader_init(&r);
	for (size_t at = 0; at < size; at += step)
		notice_read(&r, data + at, size - at < step ? size - at : step, &ops, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, cut;

	if (size < 1 || size > 1 << 16)
		return 0;
	feed((const char *)data + 1, size - 1, size, &whole);
	feed((const char *)data + 1, size - 1, data[0] ? data[0] : size, &cut);
	ASSERT(whole.len == cut.len && (whole.len == 0 || memcmp(whole.data, cut.data, whole.len) == 0));
	buf_release(&whole);
	buf_release(&cut);
	return 0;
}
