/* SPDX-License-Identifier: ISC */
/*
 * Headers of the PROXY protocol. Promise: what is asked for is never more than
 * the header has, so nothing behind it is taken; the end comes within the
 * ceiling; a header that tells of a client has one with an address, never a
 * local socket, and an IPv4 address never in IPv6's clothes.
 */
#include <netinet/in.h>
#include <string.h>

#include "fuzz.h"
#include "listener/proxy.h"

/* As from the wire: as many octets as are asked for. 0: it is no header. */
static size_t take_header(const uint8_t *data, size_t size)
{
	struct err e = { 0, "" };
	size_t len = 0;
	int wants;

	while ((wants = proxy_wants(data, len, &e)) > 0) {
		len += (size_t)wants;
		ASSERT(len <= PROXY_HEADER_MAX);
		if (len > size)
			return 0;
	}
	ASSERT(wants == 0 || e.text[0]);
	return wants == 0 ? len : 0;
}

static void check_client(const struct sockaddr_storage *client)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)client;

	ASSERT(client->ss_family == AF_INET || client->ss_family == AF_INET6);
	ASSERT(client->ss_family == AF_INET || !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_storage client = { .ss_family = AF_UNIX };
	enum proxy_said said = PROXY_CLIENT;
	struct err e = { 0, "" };
	size_t len = take_header(data, size);

	if (len == 0)
		return 0;
	if (proxy_parse(data, len, &said, &client, &e) < 0) {
		ASSERT(e.text[0]);
		return 0;
	}
	if (data[0] == 'P') /* the line and no octet more */
		ASSERT(len <= PROXY_V1_MAX && memchr(data, '\n', len) == data + len - 1);
	if (said == PROXY_CLIENT)
		check_client(&client);
	return 0;
}
