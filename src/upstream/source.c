/* SPDX-License-Identifier: ISC */
/* See source.h. */
#include "upstream/source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static int bind_interface(int fd, const char *name, struct err *e)
{
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name) + 1) == 0)
		return 0;
	err_set_os(e, errno, "source_address: cannot use interface \"%s\"", name);
	return -1;
}

static int bind_address(int fd, int family, const char *text, struct err *e)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} address = { .any.sa_family = (sa_family_t)family };
	socklen_t len = family == AF_INET ? sizeof(address.in) : sizeof(address.in6);
	int on = 1;

	ASSERT(inet_pton(family, text,
			 family == AF_INET ? (void *)&address.in.sin_addr : (void *)&address.in6.sin6_addr) ==
	       1);
	/* the port is chosen when it is known where to: one can serve several destinations */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, &address.any, len) == 0)
		return 0;
	err_set_os(e, errno, "source_address: cannot connect from %s", text);
	return -1;
}

int source_bind(int fd, int family, const struct upstream_settings *settings, struct err *e)
{
	const char *address = family == AF_INET    ? settings->source_ipv4
			      : family == AF_INET6 ? settings->source_ipv6
						   : NULL;

	if (settings->source_interface && (family == AF_INET || family == AF_INET6) &&
	    bind_interface(fd, settings->source_interface, e) != 0)
		return -1;
	return address ? bind_address(fd, family, address, e) : 0;
}
