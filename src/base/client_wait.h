/* SPDX-License-Identifier: ISC */
/*
 * How long a client has kept its worker waiting, in shared memory: the worker
 * writes it where it waits (listener/stream.c; auth/client.c: for the answer to a
 * login), the master judges by it who goes when there are more clients than
 * workers (master/shed.h), and says so in here before it sends CONTROL_SHED.
 *
 * What is counted belongs to an episode: a session up to its first accepted
 * message, or from one accepted message, or a login, to the next. A decision names its
 * episode, so one that comes late means nobody.
 */
#ifndef BASE_CLIENT_WAIT_H
#define BASE_CLIENT_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Who goes first when somebody has to go. */
enum client_rank {
	CLIENT_STRANGER,
	CLIENT_PRIVILEGED, /* it has no limits (limits_exempt), or it is a user */
	CLIENT_LOCAL /* by the unix socket */
};

struct client_wait {
	_Atomic unsigned episode; /* 0 only before the first */
	_Atomic int64_t since_mono_ms; /* the worker waits for its client; 0: it does not */
	_Atomic int64_t before_ms; /* and waited for so long in this episode before */
	_Atomic uint64_t content_octets; /* of messages, that came in this episode */
	_Atomic(enum client_rank) rank;
	_Atomic unsigned shed_episode; /* by the master: in this one the client is to go */
};

/* By the worker. */
void client_wait_new_episode(struct client_wait *w);
void client_wait_begins(struct client_wait *w, int64_t now_mono_ms);
void client_wait_ends(struct client_wait *w, int64_t now_mono_ms);
/* The present client is to go. */
bool client_wait_is_shed(const struct client_wait *w);

#endif
