/* SPDX-License-Identifier: ISC */
/*
 * Which upstream a recipient goes to: rules by sender, recipient and AUTH
 * user, the first that matches counts (posthouse.conf(5), route). Asked at
 * each attempt and never written into the spool, so a changed configuration
 * moves what is queued. Pure. Used by the relay, and by the command to show
 * and select.
 *
 * A pattern is one of, compared without regard to case:
 *   user@example.org   this address
 *   *@example.org      every address of this domain
 *   example.org        the same
 *   .example.org       every address of its subdomains, not of itself
 *   <>                 the null reverse-path (sender only)
 *   *                  everything
 * For auth_user a word without '@' is a user's name: it matches exactly, with regard to case; and nothing
 * matches a message that came without AUTH. Behind "*@" a domain may have a dot in front, as without.
 */
#ifndef MANAGE_ROUTE_H
#define MANAGE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "smtp/envelope.h"

enum route_field { ROUTE_SENDER, ROUTE_RECIPIENT, ROUTE_AUTH_USER };
#define ROUTE_FIELDS 3

/* An empty list matches all; a list matches when one of its patterns does. The strings are the caller's. */
struct route_rule {
	const char *const *pattern[ROUTE_FIELDS];
	size_t pattern_count[ROUTE_FIELDS];
	size_t upstream; /* index */
};

enum route_listed { ROUTE_LISTED_NO, ROUTE_LISTED_YES, ROUTE_LISTED_UNKNOWN };

/* Recipients that are mailing lists, asked before the rules: those go to an upstream of their own. */
struct route_lists {
	enum route_listed (*ask)(void *ctx, const char *address, int64_t arrived_wall_us);
	void *ctx;
	size_t upstream; /* index */
};

struct routes {
	const struct route_lists *lists; /* NULL: none */
	const struct route_rule *rule;
	size_t rule_count;
	size_t fallback; /* upstream of who matches no rule */
	const char *const *upstream_name; /* to find what an operator chose for one message */
	size_t upstream_count;
};

/* 0, or -1 and e: what is wrong with it. */
int route_pattern_check(enum route_field field, const char *pattern, struct err *e);
bool route_pattern_matches(enum route_field field, const char *pattern, const char *value);

/*
 * Whether a takes every recipient that b takes, so that b behind a is never used. May say no where it is so
 * (several patterns of a that together are one of b), never yes where it is not.
 */
bool route_rule_covers(const struct route_rule *a, const struct route_rule *b);

/*
 * The upstream for one recipient of a message. chosen: the operator's choice for this message
 * (spool_state.route), NULL: none; one that is not configured any more counts as none.
 * upstream_count: undecided, as it is not known yet whether it is a mailing list; it waits.
 */
size_t route_find(const struct routes *routes, const struct envelope *env, size_t rcpt, const char *chosen);

#endif
