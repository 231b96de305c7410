/* SPDX-License-Identifier: ISC */
/*
 * Who failed how often: by how long an answer is held back, and who is not
 * answered at all for a while. By address, not by user: whoever could make a
 * user's name count could lock that user out. A table of fixed size without
 * clock or process of its own; kept by the auth process, so it is forgotten when that ends.
 */
#ifndef AUTH_BAN_H
#define AUTH_BAN_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/protocol.h"

#define BAN_ADDRESSES_MAX 4096 /* when there are more, who failed longest ago is forgotten, and who is banned last */
#define BAN_GUESSES 8 /* different ones of an address that are remembered, the last ones */
#define BAN_DELAY_DOUBLINGS 2 /* the delay grows so often: 2, 4, 8 seconds */

struct ban_limits {
	unsigned after; /* failures that lead to a ban; 0: nobody is banned */
	int64_t time_ms; /* failures older than this are forgotten, and so long is a ban */
	int64_t delay_ms; /* of the first failure; 0: none */
};

struct ban_entry {
	struct auth_address who;
	unsigned failures; /* 0: free */
	uint64_t guess[BAN_GUESSES]; /* see ban_note; 0: none */
	unsigned next_guess; /* where the next one goes */
	int64_t first_mono_ms, last_mono_ms;
	int64_t banned_until_mono_ms; /* 0: not banned */
	uint64_t pardon_name; /* see ban_pardon; 0: nobody's */
	unsigned pardons;
};

struct ban_table {
	struct ban_limits limits;
	struct ban_entry *entry; /* BAN_ADDRESSES_MAX */
};

void ban_init(struct ban_table *t, const struct ban_limits *limits);
void ban_release(struct ban_table *t);

bool ban_is_banned(struct ban_table *t, const struct auth_address *who, int64_t now_mono_ms);

struct ban_note {
	int64_t delay_ms; /* the answer is to come that much later */
	unsigned failures; /* from there, this one included */
	bool banned; /* with this one it is */
};
/*
 * A failure. guess tells one guess from another (0: cannot tell): a device with an old password says the same again
 * and again, which finds out nothing, so it is held back and not counted; nor are several such, in turns, at one address. Loopback and local sockets are never banned: that
 * would be everybody here.
 */
struct ban_note ban_note(struct ban_table *t, const struct auth_address *who, uint64_t guess, int64_t now_mono_ms);

/*
 * Clients try CRAM-MD5 or SCRAM first where it is offered, and then PLAIN, each time anew. For who has no secret for the
 * first ones that is a failure with each login, which must count as anybody's does, or it would tell who exists; so it is
 * taken back when the same name gets in from there after all.
 */
void ban_may_pardon(struct ban_table *t, const struct auth_address *who, uint64_t name, int64_t now_mono_ms);
void ban_pardon(struct ban_table *t, const struct auth_address *who, uint64_t name, int64_t now_mono_ms);

#endif
