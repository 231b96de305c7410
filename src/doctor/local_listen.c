/* SPDX-License-Identifier: ISC */
/*
 * Checks of the addresses that clients come to: free before the start, ours and answering when the daemon runs.
 * Nothing is bound to find out. See local.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "doctor/local.h"

struct sockets {
	struct doctor_listening *item;
	size_t count;
	bool known;
};

static uint16_t port_of(const struct doctor_address *a)
{
	if (a->address.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)(const void *)&a->address)->sin_port);
	return ntohs(((const struct sockaddr_in6 *)(const void *)&a->address)->sin6_port);
}

static bool is_any(const struct doctor_address *a)
{
	if (a->address.ss_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)&a->address)->sin_addr.s_addr ==
		       htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)(const void *)&a->address)->sin6_addr);
}

/* Whether a listening socket is in the way of (or is) one at `a`: same family here; a dual [::] is told by binding. */
static bool collides(const struct doctor_listening *l, const struct doctor_address *a)
{
	char one[DOCTOR_ADDRESS_TEXT_MAX], other[DOCTOR_ADDRESS_TEXT_MAX];

	if (l->at.address.ss_family != a->address.ss_family || port_of(&l->at) != port_of(a))
		return false;
	return is_any(&l->at) || is_any(a) ||
	       strcmp(doctor_address_format(&l->at, one), doctor_address_format(a, other)) == 0;
}

static const struct doctor_listening *find(const struct sockets *s, const struct doctor_address *a)
{
	for (size_t i = 0; i < s->count; i++)
		if (collides(&s->item[i], a))
			return &s->item[i];
	return NULL;
}

/* An address to listen on is not one to connect to when it means all of them. */
static void make_reachable(struct doctor_address *a)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&a->address;

	if (!is_any(a))
		return;
	if (a->address.ss_family == AF_INET)
		((struct sockaddr_in *)(void *)&a->address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		in6->sin6_addr = in6addr_loopback;
}

/* A listener that our daemon should answer on. */
static void greeting(const struct doctor_local *d, struct findings *f, const char *at,
		     const struct doctor_address *to)
{
	struct doctor_address reachable = *to;
	char line[600];
	struct err e;

	if (to->address.ss_family != AF_UNIX)
		make_reachable(&reachable);
	if (d->world->connect(d->world->ctx, &reachable, d->timeout_ms, line, sizeof(line), &e) < 0) {
		finding_add(f, FINDING_FAILED, "%s: cannot connect: %s", at, e.text);
		finding_advise(f, "a firewall, or the daemon hangs: look at its log");
	} else if (strncmp(line, "220 ", 4) == 0 || strncmp(line, "220-", 4) == 0) {
		finding_add(f, FINDING_OK, "%s: answers \"%s\"", at, line);
	} else if (line[0] == '\0') {
		finding_add(f, FINDING_FAILED, "%s: takes the connection, but does not greet", at);
		finding_advise(f, "all workers may be busy (max_workers): posthouse status");
	} else {
		finding_add(f, FINDING_WARNING, "%s: answers \"%s\"", at, line);
	}
}

static void taken(const struct doctor_local *d, struct findings *f, const char *at,
		  const struct doctor_address *a, const struct doctor_listening *l, bool greets)
{
	char name[64];
	pid_t pid = 0;
	bool known = d->world->owner(d->world->ctx, l->inode, d->master, &pid, name, sizeof(name));
	bool runs = d->daemon == DOCTOR_DAEMON_RUNS;

	if (known && d->master > 0 && pid != d->master) {
		finding_add(f, FINDING_FAILED, "%s: process %ld (%s) listens there, and not posthoused", at,
			    (long)pid, name);
		finding_advise(f, "end it, or choose another localaddr, then restart posthoused");
	} else if (runs || d->daemon == DOCTOR_DAEMON_DENIED) {
		if (greets)
			greeting(d, f, at, a);
		else
			finding_add(f, FINDING_OK, "%s: somebody listens, and is not to greet first", at);
	} else if (known) {
		finding_add(f, FINDING_FAILED, "%s: taken by process %ld (%s)", at, (long)pid, name);
		finding_advise(f, "end it, or choose another localaddr: posthoused could not start");
	} else {
		finding_add(f, FINDING_FAILED, "%s: another program listens there", at);
		finding_advise(f, "ss -ltnp, as root, tells which; posthoused could not start");
	}
}

static void tcp(const struct doctor_local *d, struct findings *f, const char *at,
		const struct doctor_address *a, const struct sockets *s, bool greets)
{
	const struct doctor_listening *l = find(s, a);

	if (!d->world->is_local(d->world->ctx, a)) {
		finding_add(f, FINDING_FAILED, "%s: no interface of this machine has that address", at);
		finding_advise(f, "ip address lists those there are");
	} else if (l) {
		taken(d, f, at, a, l, greets);
	} else if (!s->known) {
		finding_add(f, FINDING_SKIPPED, "%s: /proc/net/tcp cannot be read", at);
	} else if (d->daemon == DOCTOR_DAEMON_RUNS) {
		finding_add(f, FINDING_FAILED, "%s: nobody listens, though posthoused runs", at);
		finding_advise(f, "it was started with another configuration: restart it");
	} else {
		finding_add(f, FINDING_OK, "%s: free", at);
	}
}

static void unix_socket(const struct doctor_local *d, struct findings *f, const struct endpoint *ep)
{
	struct doctor_address a = { .len = sizeof(struct sockaddr_un) };
	struct sockaddr_un *un = (struct sockaddr_un *)(void *)&a.address;
	char folder[sizeof(ep->path)], *slash;
	struct stat st;

	un->sun_family = AF_UNIX;
	snprintf(un->sun_path, sizeof(un->sun_path), "%s", ep->path);
	strcpy(folder, ep->path);
	slash = strrchr(folder, '/');
	slash[slash == folder] = '\0';
	if (stat(folder, &st) != 0) {
		bool made = strcmp(folder, PH_RUNSTATEDIR "/posthouse") == 0; /* by root, at each start */

		finding_add(f, made && d->daemon != DOCTOR_DAEMON_RUNS ? FINDING_OK : FINDING_FAILED,
			    "%s: %s: %s", ep->path, folder, strerror(errno));
		finding_advise(f, made ? "posthoused makes it when started as root"
				       : "make that folder, for root alone to write");
	} else if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX)) {
		finding_add(f, FINDING_WARNING, "%s: others may put files into %s (mode %04o)", ep->path,
			    folder, (unsigned)st.st_mode & 07777);
		finding_advise(f, "who submits there cannot know whom it talks to: chmod go-w %s", folder);
	} else if (d->daemon == DOCTOR_DAEMON_RUNS || d->daemon == DOCTOR_DAEMON_DENIED) {
		greeting(d, f, ep->path, &a);
	} else {
		finding_add(f, FINDING_OK, "%s: can be made", ep->path);
	}
}

/* Who expects TLS, or a PROXY header, says nothing before. */
static bool greets(const struct config_listener *l)
{
	return l->tls != SESSION_TLS_IMPLICIT && l->proxy_protocol_count == 0;
}

static void listener(const struct doctor_local *d, struct findings *f, const struct config_listener *l,
		     const struct sockets *s)
{
	char at[ENDPOINT_TEXT_MAX + 80], text[ENDPOINT_TEXT_MAX];
	struct doctor_address found[DOCTOR_ADDRESSES_MAX];
	size_t count;
	struct err e;

	for (size_t i = 0; i < l->localaddr_count; i++) {
		const struct endpoint *ep = &l->localaddr[i];
		bool all = ep->kind == ENDPOINT_TCP && ep->host[0] == '\0';

		if (ep->kind == ENDPOINT_UNIX) {
			unix_socket(d, f, ep);
			continue;
		}
		snprintf(at, sizeof(at), "listener \"%s\", %s", l->name, endpoint_format(ep, text));
		if (ep->port == 0) {
			finding_add(f, FINDING_OK, "%s: any free port", at);
			continue;
		}
		if (d->world->resolve(d->world->ctx, all ? "0.0.0.0" : ep->host, ep->port, d->timeout_ms,
				      found, &count, &e) < 0) {
			finding_add(f, FINDING_FAILED, "%s: %s", at, e.text);
			finding_advise(f, "write an address of this machine instead of a name");
			continue;
		}
		for (size_t k = 0; k < count; k++)
			tcp(d, f, at, &found[k], s, greets(l));
	}
}

void check_listeners(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;
	struct sockets s = { .item = mem_array(DOCTOR_LISTENING_MAX, sizeof(*s.item)) };

	s.known = d->world->listening(d->world->ctx, s.item, &s.count) == 0;
	for (size_t i = 0; i < d->cfg->listener_count; i++)
		listener(d, f, &d->cfg->listener[i], &s);
	free(s.item);
}
