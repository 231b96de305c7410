/* SPDX-License-Identifier: ISC */
/* A network in CIDR notation (RFC 4632, RFC 4291 2.3) and whether an address lies in it. Pure. */
#ifndef BASE_CIDR_H
#define BASE_CIDR_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/err.h"

struct cidr {
	int family; /* AF_INET or AF_INET6 */
	unsigned prefix_bits;
	unsigned char address[16]; /* network order; bits behind the prefix are zero */
};

/* "10.1.0.0/16", "2001:db8::/32", a bare address is a network of one. Bits set behind the prefix are an error. */
int cidr_parse(const char *text, struct cidr *out, struct err *e);
/* An IPv4-mapped IPv6 address (::ffff:192.0.2.1) counts as the IPv4 address it carries. */
bool cidr_contains(const struct cidr *net, const struct sockaddr *sa);

#endif
