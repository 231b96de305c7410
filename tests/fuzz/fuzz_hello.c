/* SPDX-License-Identifier: ISC */
/*
 * The beginning of an LMTP session with a server that says anything; LHLO is said at once when it is due. Promise: how it
 * ends, and what was announced, does not depend on the cuts; nothing is asked twice; an end comes with its reason.
 */
#include <string.h>

#include "fuzz.h"
#include "upstream/hello.h"

static enum hello_result play(const char *data, size_t size, size_t step, struct upstream_features *features, int *code)
{
	const struct upstream_settings settings = { .hostname = "relay.example.org", .lmtp = true };
	enum hello_result result = HELLO_MORE;
	struct hello h;

	memset(features, 0, sizeof(*features));
	hello_init(&h, features, &settings);
	for (size_t at = 0, used; at < size; at += used) {
		result = hello_take(&h, data + at, size - at < step ? size - at : step, &used);
		ASSERT(used > 0 || result == HELLO_BROKEN);
		ASSERT(h.out_len == 0 || strcmp(h.out, "LHLO relay.example.org\r\n") == 0);
		h.out_from = h.out_len;
		if (result == HELLO_BROKEN)
			ASSERT(h.parser.why[0]);
		if (result == HELLO_DONE)
			ASSERT(h.greeted && features->esmtp && h.parser.reply.code == 250);
		if (result != HELLO_MORE && result != HELLO_LINE)
			break;
	}
	*code = result == HELLO_REFUSED ? h.parser.reply.code : 0;
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct upstream_features whole, bytes;
	int code[2];

	if (size < 1 || size > 1 << 16)
		return 0;
	ASSERT(play((const char *)data, size, size, &whole, &code[0]) == play((const char *)data, size, 1, &bytes, &code[1]));
	ASSERT(code[0] == code[1] && memcmp(&whole, &bytes, sizeof(whole)) == 0);
	return 0;
}
