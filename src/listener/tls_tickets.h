/* SPDX-License-Identifier: ISC */
/*
 * The keys of session tickets (RFC 5077, RFC 8446 4.6.1): with a ticket a
 * client comes back without the costly part of the handshake, to whichever
 * worker it meets. So all workers share the keys, in memory that the master
 * made and that only it can write; nothing is kept of the sessions themselves.
 *
 * A key issues tickets for half of the lifetime and is known for as long
 * again. Then it is overwritten, and what was recorded of sessions that began
 * with its tickets cannot be opened by whoever breaks in later.
 */
#ifndef LISTENER_TLS_TICKETS_H
#define LISTENER_TLS_TICKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define TLS_TICKET_NAME_LEN 16 /* of a key, in front of a ticket */
#define TLS_TICKET_SECRET_LEN 32 /* AES-256, HMAC-SHA256 */

struct tls_ticket_key {
	unsigned char name[TLS_TICKET_NAME_LEN];
	unsigned char aes[TLS_TICKET_SECRET_LEN];
	unsigned char hmac[TLS_TICKET_SECRET_LEN];
	int64_t born_mono_ms;
};

struct tls_tickets;

/* In the master, before the fork; with a first key. */
struct tls_tickets *tls_tickets_new(int64_t lifetime_ms, struct err *e);
/* In the master: overwrites the keys, for all. In a child (of whom a fork made it): only its view of them goes. */
void tls_tickets_free(struct tls_tickets *t);
/* In the master: its view of them goes, but who was forked with them goes on using the keys, as long as it lives. */
void tls_tickets_leave(struct tls_tickets *t);
int64_t tls_tickets_lifetime_ms(const struct tls_tickets *t);

/* In the master, once a second or so: a new key when its time has come. Returns whether there is one. */
bool tls_tickets_tick(struct tls_tickets *t);

enum tls_ticket_use {
	TLS_TICKET_UNKNOWN, /* no such key, or too old */
	TLS_TICKET_CURRENT, /* issues tickets */
	TLS_TICKET_OLD /* still known; a new ticket is due */
};
/* In any process: a copy of the key of that name; of the one that issues tickets when name is NULL. Wipe it. */
enum tls_ticket_use tls_tickets_find(const struct tls_tickets *t, const unsigned char *name,
				     struct tls_ticket_key *key);

#endif
