/* SPDX-License-Identifier: ISC */
/*
 * Which addresses are a Mailman's, kept up to date in the relay's event loop:
 * its REST API is listed now and then, and when an answer is wanted that only
 * a new listing can give; its maps are read where it cannot be asked. What was
 * learnt is kept in SPOOL/lists, so a restart beside a dead Mailman knows what
 * was known before. The relay and this do not know each other
 * (daemon/relay_lists.c joins them).
 *
 * SPOOL/lists, replaced whole (spool/file.h):
 *   posthouse-lists/1 LF
 *   asked=TIME LF                          when the listing began
 *   domain=NAME [host=NAME] LF             one line each (mailman/lists.h)
 *   list=NAME [value="VERB LIST"] LF
 *   xxh3=HHHHHHHHHHHHHHHH LF               over everything before this line
 */
#ifndef MAILMAN_DIRECTORY_H
#define MAILMAN_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "mailman/lists.h"
#include "spool/spool.h"

struct event_base;
struct upstream;

struct directory_settings {
	const char *url; /* of the REST API; NULL: the maps alone count */
	const char *user, *password;
	const char *const *map; /* files */
	size_t map_count;
	const char *const *domain; /* that are Mailman's whatever it says */
	size_t domain_count;
	int64_t refresh_ms; /* between two listings that nobody waits for */
};

struct directory;

/*
 * Loads what is known: SPOOL/lists and the maps. The settings and the spool outlive it. Never fails: what is
 * wrong is told in facts.
 */
struct directory *directory_new(const struct directory_settings *settings, const struct spool *spool);
void directory_free(struct directory *d);

/*
 * changed() is called from the event loop, never from inside these functions, when answers may be others than
 * before, and when it turned out that Mailman cannot be asked.
 */
void directory_start(struct directory *d, struct event_base *base, struct upstream *client, void (*changed)(void *ctx),
		     void *ctx);
void directory_stop(struct directory *d);

/*
 * lists_ask, at this moment. Where nothing is known yet it is found out, and changed() comes. Started or not.
 */
enum lists_answer directory_ask(struct directory *d, const char *address, int64_t arrived_wall_us);
/* What Mailman 2's aliases say of an address: "owner list"; NULL: nothing. Valid until the next changed(). */
const char *directory_value(const struct directory *d, const char *address);

/* Why Mailman cannot be asked now; NULL: nothing is wrong. Valid until the next changed(). */
const char *directory_trouble(const struct directory *d);

struct directory_facts {
	size_t lists, domains; /* known */
	const char *const *domain; /* configured ones are not among them */
	int64_t listed_wall_us; /* when the last listing began; 0: never */
	bool is_down; /* the last attempt failed */
	bool is_asking;
	const char *trouble; /* of the last attempt; NULL: none */
	int64_t trouble_wall_us;
	int64_t next_wall_us; /* when it is asked again; 0: not planned */
	const char *map_trouble; /* why a map could not be read; NULL: none */
};
/* domain points into freshly allocated memory: release it with free(). */
struct directory_facts directory_facts(const struct directory *d);

#endif
