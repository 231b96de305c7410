/* SPDX-License-Identifier: ISC */
/* See peer.h. Runs in a worker. */
#include "listener/peer.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static void format_host(const struct sockaddr *sa, char *out, size_t cap)
{
	socklen_t len = sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

	if (getnameinfo(sa, len, out, (socklen_t)cap, NULL, 0, NI_NUMERICHOST) != 0)
		snprintf(out, cap, "unknown");
}

const char *peer_format_address(const struct sockaddr *sa, char *out, size_t cap)
{
	char host[64];

	format_host(sa, host, sizeof(host));
	if (sa->sa_family == AF_INET6)
		snprintf(out, cap, "[%s]:%u", host,
			 (unsigned)ntohs(((const struct sockaddr_in6 *)(const void *)sa)->sin6_port));
	else
		snprintf(out, cap, "%s:%u", host,
			 (unsigned)ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port));
	return out;
}

void peer_of(int fd, struct peer *p)
{
	socklen_t len = sizeof(p->address);
	struct ucred cred;
	socklen_t cred_len = sizeof(cred);

	memset(p, 0, sizeof(*p));
	if (getpeername(fd, (struct sockaddr *)&p->address, &len) < 0) {
		/* gone already: the first read will say so */
		strcpy(p->text, "unknown");
		strcpy(p->host, "unknown");
	} else if (p->address.ss_family == AF_UNIX) {
		strcpy(p->host, "unix");
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len) == 0)
			snprintf(p->text, sizeof(p->text), "unix:uid=%ld,pid=%ld", (long)cred.uid, (long)cred.pid);
		else
			strcpy(p->text, "unix:unknown");
	} else {
		peer_set(p, &p->address);
	}
}

void peer_set(struct peer *p, const struct sockaddr_storage *address)
{
	if (&p->address != address)
		p->address = *address;
	format_host((const struct sockaddr *)&p->address, p->host, sizeof(p->host));
	peer_format_address((const struct sockaddr *)&p->address, p->text, sizeof(p->text));
}

bool peer_is_in(const struct peer *p, const struct cidr *nets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (p->address.ss_family != AF_UNIX &&
		    cidr_contains(&nets[i], (const struct sockaddr *)&p->address))
			return true;
	return false;
}
