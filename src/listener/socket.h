/* SPDX-License-Identifier: ISC */
/*
 * Listening sockets: made by the master, before any rights are dropped, and
 * inherited by every worker.
 */
#ifndef LISTENER_SOCKET_H
#define LISTENER_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/endpoint.h"
#include "base/err.h"

struct listening {
	int fd; /* non-blocking, close on exec */
	const char *listener; /* name of the listener in the configuration; not owned */
	char address[ENDPOINT_TEXT_MAX]; /* what it is really bound to, the chosen port included */
	struct endpoint endpoint; /* as configured */
	bool keep_file; /* of a unix socket: who made it removes it */
	bool taken; /* by listening_take, into another set: a descriptor of its own for the same socket */
	bool shared; /* it came by listening_take, and the other set still counts */
};

struct listening_set {
	struct listening *item; /* owned */
	size_t count;
};

void listening_init(struct listening_set *set);
/* How many connections wait to be accepted; of a unix socket none or at least one. 0 when it cannot be told. */
unsigned listening_waiting(const struct listening *l);
/*
 * A socket that is open already (handed to us by who started us, or by the executable before this one) takes
 * the place of binding: fd becomes the set's, and listens, with that backlog, if it did not. ep: as configured;
 * NULL: what it is bound to. On failure fd stays the caller's.
 */
int listening_adopt(struct listening_set *set, int fd, const struct endpoint *ep, const char *listener,
		    unsigned backlog, struct err *e);
/*
 * Binds and listens on an endpoint and adds the sockets to the set: one for each address its name resolves to
 * ("localhost" is often two; blocks on the resolver). IPv6 sockets take IPv6 only, so "0.0.0.0:25" and "[::]:25"
 * stand side by side. The stale file of a unix socket nobody listens on is replaced. On failure the set is as
 * before.
 *
 * What `open` (NULL: nothing) has for this endpoint, or for an address of it, is not bound anew: the set gets
 * descriptors of its own for the same sockets, so nothing in their backlogs is lost. Those are marked taken in
 * `open`, each once, a listener's own before another's; listening_give_back takes the marks away.
 */
int listening_take(struct listening_set *set, struct listening_set *open, const struct endpoint *ep,
		   const char *listener, unsigned backlog, struct err *e);
void listening_give_back(struct listening_set *open);
/*
 * The set is in use from now on, in the place of `open` (NULL: there was none). What it has not taken goes to
 * `going`, and `open` is empty: nobody new gets in there (the files of unix sockets are removed), but who waits
 * in a backlog can be served until listening_release.
 */
void listening_settle(struct listening_set *set, struct listening_set *open, struct listening_set *going);
/* Whether somebody waits in a backlog. */
bool listening_has_clients(const struct listening_set *set);
/* Closes all; the master (remove_files) also removes the files of its unix sockets, but for shared ones. */
void listening_release(struct listening_set *set, bool remove_files);

#endif
