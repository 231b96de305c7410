/* SPDX-License-Identifier: ISC */
/* See address.h. */
#include "auth/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

struct auth_address auth_address_parse(const char *text)
{
	struct auth_address a = { .family = AUTH_FAMILY_UNKNOWN };
	char plain[INET6_ADDRSTRLEN] = "";
	size_t len = strcspn(text, "%"); /* the scope of a link-local address */
	struct in6_addr in6;

	if (len < sizeof(plain))
		memcpy(plain, text, len);
	if (strcmp(text, "unix") == 0) {
		a.family = AUTH_FAMILY_UNIX;
	} else if (inet_pton(AF_INET, plain, a.octets) == 1) {
		a.family = AUTH_FAMILY_IPV4;
	} else if (inet_pton(AF_INET6, plain, &in6) == 1) {
		if (IN6_IS_ADDR_V4MAPPED(&in6)) {
			a.family = AUTH_FAMILY_IPV4;
			memcpy(a.octets, in6.s6_addr + 12, 4);
		} else {
			a.family = AUTH_FAMILY_IPV6;
			memcpy(a.octets, in6.s6_addr, 16);
		}
	}
	return a;
}

bool auth_address_is_valid(const struct auth_address *a)
{
	static const unsigned char zero[16];

	switch (a->family) {
	case AUTH_FAMILY_UNIX:
	case AUTH_FAMILY_UNKNOWN:
		return memcmp(a->octets, zero, 16) == 0;
	case AUTH_FAMILY_IPV4:
		return memcmp(a->octets + 4, zero, 12) == 0;
	case AUTH_FAMILY_IPV6:
		return true;
	}
	return false;
}

const char *auth_address_format(const struct auth_address *a, char out[AUTH_ADDRESS_TEXT_MAX])
{
	bool ipv4 = a->family == AUTH_FAMILY_IPV4, ipv6 = a->family == AUTH_FAMILY_IPV6;

	if ((!ipv4 && !ipv6) || !inet_ntop(ipv4 ? AF_INET : AF_INET6, a->octets, out, AUTH_ADDRESS_TEXT_MAX))
		snprintf(out, AUTH_ADDRESS_TEXT_MAX, "%s",
			 a->family == AUTH_FAMILY_UNIX ? "unix" : "unknown");
	return out;
}

bool auth_address_is_local(const struct auth_address *a)
{
	static const unsigned char loopback6[16] = { [15] = 1 };

	switch (a->family) {
	case AUTH_FAMILY_IPV4:
		return a->octets[0] == 127;
	case AUTH_FAMILY_IPV6:
		return memcmp(a->octets, loopback6, 16) == 0;
	}
	return a->family == AUTH_FAMILY_UNIX;
}

struct auth_address auth_address_group(const struct auth_address *a)
{
	struct auth_address group = *a;

	bool on_link = a->octets[0] == 0xfe &&
		       (a->octets[1] & 0xc0) == 0x80; /* fe80::/10: all hosts have one network */

	/* a customer's network: who has one address of it has them all */
	if (a->family == AUTH_FAMILY_IPV6 && !on_link)
		memset(group.octets + 8, 0, 8);
	return group;
}

bool auth_address_same(const struct auth_address *a, const struct auth_address *b)
{
	return a->family == b->family && memcmp(a->octets, b->octets, sizeof(a->octets)) == 0;
}
