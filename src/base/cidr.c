/* SPDX-License-Identifier: ISC */
/* See cidr.h. */
#include "base/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/num.h"

static bool equal_prefix(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

int cidr_parse(const char *text, struct cidr *out, struct err *e)
{
	char host[64];
	unsigned char masked[16] = { 0 };
	const char *slash = strchr(text, '/');
	size_t host_len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned most;
	uint64_t bits;

	memset(out, 0, sizeof(*out));
	if (host_len >= sizeof(host)) {
		err_set(e, "\"%s\" is not a network (ADDRESS/BITS)", text);
		return -1;
	}
	memcpy(host, text, host_len);
	host[host_len] = '\0';
	if (inet_pton(AF_INET, host, out->address) == 1) {
		out->family = AF_INET;
		most = 32;
	} else if (inet_pton(AF_INET6, host, out->address) == 1) {
		out->family = AF_INET6;
		most = 128;
	} else {
		err_set(e, "\"%s\" is not a network (ADDRESS/BITS)", text);
		return -1;
	}
	bits = most;
	if (slash && !num_parse_u64(slash + 1, strlen(slash + 1), most, &bits)) {
		err_set(e, "\"%s\": the prefix length must be a number from 0 to %u", text, most);
		return -1;
	}
	out->prefix_bits = (unsigned)bits;
	memcpy(masked, out->address, bits / 8);
	if (bits % 8)
		masked[bits / 8] = (unsigned char)(out->address[bits / 8] & (0xff << (8 - bits % 8)));
	if (memcmp(masked, out->address, sizeof(masked)) != 0) {
		err_set(e, "\"%s\": bits are set behind the prefix length %u; write the network's first address", text,
			out->prefix_bits);
		return -1;
	}
	return 0;
}

bool cidr_contains(const struct cidr *net, const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;

		return net->family == AF_INET &&
		       equal_prefix((const unsigned char *)&in->sin_addr, net->address, net->prefix_bits);
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
		const unsigned char *bytes = in6->sin6_addr.s6_addr;

		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
			return net->family == AF_INET && equal_prefix(bytes + 12, net->address, net->prefix_bits);
		return net->family == AF_INET6 && equal_prefix(bytes, net->address, net->prefix_bits);
	}
	return false;
}
