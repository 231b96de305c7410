/* SPDX-License-Identifier: ISC */
/*
 * BY= of MAIL (RFC 2852). The first octet is how many seconds the message waits here. Promise: the next hop is told a
 * value that it can read, and never more time than was left.
 */
#include <string.h>

#include "fuzz.h"
#include "smtp/deliver_by.h"

#define NOW_US INT64_C(1700000000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct deliver_by by = { .mode = DELIVER_BY_NONE }, next;
	char text[DELIVER_BY_TEXT_MAX];
	const char *why = NULL;
	int64_t later, left;

	if (size < 1)
		return 0;
	later = NOW_US + data[0] * INT64_C(1000000);
	if (deliver_by_parse((const char *)data + 1, size - 1, NOW_US, &by, &why) < 0) {
		ASSERT(why && by.mode == DELIVER_BY_NONE);
		return 0;
	}
	left = deliver_by_seconds(&by, NOW_US);
	ASSERT(by.mode != DELIVER_BY_NONE && left <= DELIVER_BY_SECONDS_MAX && left >= -DELIVER_BY_SECONDS_MAX);
	ASSERT(by.mode == DELIVER_BY_NOTIFY || left > 0);
	deliver_by_format(&by, later, text);
	if (deliver_by_parse(text, strlen(text), later, &next, &why) < 0) {
		ASSERT(by.mode == DELIVER_BY_RETURN && deliver_by_seconds(&by, later) <= 0);
		return 0;
	}
	ASSERT(next.mode == by.mode && next.trace == by.trace);
	ASSERT(next.wall_us <= by.wall_us || by.wall_us - later < -DELIVER_BY_SECONDS_MAX * INT64_C(1000000));
	return 0;
}
