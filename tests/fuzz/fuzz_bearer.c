/* SPDX-License-Identifier: ISC */
/*
 * What clients with tokens say. The first octet chooses the mechanism.
 * Promise: a token is never empty and has no octet that could end or begin
 * anything in a request; a user has no controls; what is refused is refused in printable
 * words, and without the token in them.
 */
#include <string.h>

#include "auth/bearer.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bearer_message message;
	struct err e = { 0, "" };
	const char *text = (const char *)data + 1;
	int r;

	if (size < 1)
		return 0;
	memset(&message, 'x', sizeof(message));
	r = data[0] & 1 ? bearer_parse_xoauth2(text, size - 1, &message, &e) :
			  bearer_parse_oauthbearer(text, size - 1, &message, &e);
	if (r < 0) {
		ASSERT(e.text[0]);
		for (const char *c = e.text; *c; c++)
			ASSERT(*c >= ' ' && *c < 0x7f);
		return 0;
	}
	ASSERT(message.token[0] && strlen(message.token) < sizeof(message.token));
	for (const char *c = message.token; *c; c++)
		ASSERT(*c > ' ' && *c < 0x7f && *c != '&' && *c != '"');
	ASSERT(strlen(message.user) < sizeof(message.user) && (message.user[0] || !(data[0] & 1)));
	for (const char *c = message.user; *c; c++)
		ASSERT((unsigned char)*c >= ' ' && *c != 0x7f);
	return 0;
}
