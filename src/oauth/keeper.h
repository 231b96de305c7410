/* SPDX-License-Identifier: ISC */
/*
 * Keeps the token of one upstream good while the relay runs: refreshed ahead
 * of its end, and when the upstream refused it; in the relay's event loop,
 * which it never blocks for the network (for its file it does, as the spool).
 *
 * An outage of the token endpoint leaves the old token in use until its end.
 * A file that `posthouse oauth` wrote is taken over at once. A rotated
 * refresh token is on the disk before the access token that came with it is
 * used. Logs oauth_refreshed, oauth_failed, oauth_unsaved, oauth_loaded.
 */
#ifndef OAUTH_KEEPER_H
#define OAUTH_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "oauth/grant.h"
#include "upstream/http.h"

struct event_base;
struct upstream;

/* Everything is the caller's and must outlive the keeper. */
struct oauth_keeper_settings {
	struct oauth_client client;
	const char *file;
	struct http_request way; /* ca_file, proxy and timeout_ms; the rest is filled in */
};

struct oauth_keeper;

struct oauth_keeper *oauth_keeper_new(const struct oauth_keeper_settings *settings);
void oauth_keeper_free(struct oauth_keeper *k); /* stops it; overwrites its tokens */

/* changed: state may be another one, from the event loop, never from inside a function of this file. */
void oauth_keeper_start(struct oauth_keeper *k, struct event_base *base, struct upstream *client,
			void (*changed)(void *ctx), void *ctx);
void oauth_keeper_stop(struct oauth_keeper *k); /* before upstream_close */

enum oauth_keeper_state {
	OAUTH_KEEPER_READY,
	OAUTH_KEEPER_COMING, /* a new one is being asked for, and the old one is of no use; changed() will come */
	OAUTH_KEEPER_NOTHING /* there is none: e says why; changed() comes when there is one */
};
enum oauth_keeper_state oauth_keeper_state(struct oauth_keeper *k, struct err *e);
/* The access token, valid until the event loop runs again; NULL: none. Which one it is: the number grows. */
const char *oauth_keeper_token(struct oauth_keeper *k);
uint64_t oauth_keeper_generation(const struct oauth_keeper *k);
/*
 * The upstream would not have the token of that number. True: another try is worth it, for there is a newer one or
 * one is asked for (COMING). False: that was done a short while ago.
 */
bool oauth_keeper_rejected(struct oauth_keeper *k, uint64_t generation);

/*
 * An answer is on its way, or not yet on the disk, that may hold a new refresh token while the old one is worth nothing
 * any more: who stops now may have to log in again.
 */
bool oauth_keeper_is_busy(const struct oauth_keeper *k);

struct oauth_keeper_facts {
	int64_t expires_wall_us; /* of the access token; 0: none */
	const char *last_error; /* NULL: the last attempt went well; valid until the event loop runs */
	int64_t last_error_wall_us;
};
struct oauth_keeper_facts oauth_keeper_facts(const struct oauth_keeper *k);

#endif
