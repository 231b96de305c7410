/* SPDX-License-Identifier: ISC */
/* Who is at the other end of an accepted connection. */
#ifndef LISTENER_PEER_H
#define LISTENER_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/cidr.h"

struct peer {
	struct sockaddr_storage address; /* family AF_UNIX for a local socket */
	char text[80]; /* "192.0.2.1:4711", "[2001:db8::1]:4711", "unix:uid=1000,pid=42" */
	char host[64]; /* "192.0.2.1", "2001:db8::1", "unix" */
};

/* Fills it for a connected socket; unix peers by SO_PEERCRED. */
void peer_of(int fd, struct peer *p);
/* The same for a client that a proxy told of: IPv4 or IPv6. */
void peer_set(struct peer *p, const struct sockaddr_storage *address);
/* "192.0.2.1:25", "[2001:db8::1]:25"; returns out. */
const char *peer_format_address(const struct sockaddr *sa, char *out, size_t cap);
/* In one of the networks; the local socket is in none. */
bool peer_is_in(const struct peer *p, const struct cidr *nets, size_t count);

#endif
