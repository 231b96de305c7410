/* SPDX-License-Identifier: ISC */
/*
 * What reaches the relay from its local sockets: 'r' and a request line, 'e'
 * and the datagram of a worker on its way to watchers.
 * Promise: what is accepted keeps to the ceilings, and what is passed on is
 * printable ASCII on one line.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "fuzz.h"
#include "manage/json.h"
#include "manage/protocol.h"

#define CEILING (1u << 24)

static void check_text(const char *text, size_t max)
{
	if (!text)
		return;
	ASSERT(*text && strlen(text) <= max);
	for (; *text; text++)
		ASSERT((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void fuzz_request(const char *line, size_t len)
{
	struct protocol_request r;
	struct err e = { 0 };

	if (protocol_parse(&r, line, len, &e) < 0) {
		ASSERT(e.text[0] && !r.json && !r.id);
		return;
	}
	ASSERT(r.id_count <= (r.verb == PROTOCOL_OPEN ? PROTOCOL_OPEN_MAX : ACTION_BATCH_MAX));
	ASSERT((r.id_count > 0) == (r.verb == PROTOCOL_OPEN || r.verb == PROTOCOL_ACTION));
	for (size_t i = 0; i < r.id_count; i++)
		ASSERT(spool_id_is_valid(r.id[i].text));
	check_text(r.reason, PROTOCOL_REASON_MAX);
	check_text(r.upstream, PROTOCOL_UPSTREAM_MAX);
	ASSERT(r.until_wall_us >= 0);
	if (!protocol_is_change(r.verb))
		ASSERT(!r.reason && !r.upstream && !r.until_wall_us);
	protocol_request_release(&r);
}

static void fuzz_event(char *line, size_t len)
{
	json_t *o = protocol_event(line, len, 1795000000000000);
	struct buf out;

	if (!o)
		return;
	buf_init(&out, CEILING);
	ASSERT(json_add_line(o, &out) && out.len > 0 && out.data[out.len - 1] == '\n');
	for (size_t i = 0; i + 1 < out.len; i++)
		ASSERT(out.data[i] >= 0x20 && out.data[i] < 0x7f);
	buf_release(&out);
	json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;

	if (size == 0)
		return 0;
	/* of exactly that size: nothing may be read or written behind it */
	copy = mem_alloc(size);
	memcpy(copy, data + 1, size - 1);
	if (data[0] == 'r')
		fuzz_request(copy, size - 1);
	else if (data[0] == 'e')
		fuzz_event(copy, size - 1);
	free(copy);
	return 0;
}
