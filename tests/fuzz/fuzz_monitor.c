/* SPDX-License-Identifier: ISC */
/*
 * What somebody says who asks for figures. Promise: what is made of a request does not depend on the cuts in which it
 * came, nor on what follows it; without its end it is none, however long, but for the ceiling.
 */
#include <string.h>

#include "fuzz.h"
#include "monitor/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct monitor_request first, whole;
	const char *text = (const char *)data;
	size_t n = 0;
	int status;

	if (size > 2 * MONITOR_REQUEST_MAX)
		return 0;
	do
		status = monitor_request_parse(text, n, &first);
	while (status == 0 && n++ < size);
	ASSERT(status == 0 || status == 200 || status == 400 || status == 405 || status == 431);
	ASSERT(status != 0 || size < MONITOR_REQUEST_MAX);
	ASSERT(memchr(first.path, '\0', sizeof(first.path)));
	ASSERT(monitor_request_parse(text, size, &whole) == status);
	ASSERT(first.head == whole.head && first.prefers_plain == whole.prefers_plain &&
	       strcmp(first.path, whole.path) == 0);
	return 0;
}
