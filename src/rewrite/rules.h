/* SPDX-License-Identifier: ISC */
/*
 * Which address becomes which: the rules of posthouse.conf(5), "Rewriting",
 * as plain values, and their use on one address. Pure; used by the handler
 * (rewrite_handler.h) on the envelope and by the header filter (header_filter.h).
 *
 * In this order, and each address once:
 *   aliases     recipients only, those without a domain or in one of the alias domains
 *   a domain    is added where there is none
 *   rules       the first that matches decides, what it says is final
 *   masquerade  senders and header only
 * The null reverse-path is never touched.
 */
#ifndef REWRITE_RULES_H
#define REWRITE_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "rewrite/aliases.h"
#include "smtp/path.h"

/* What an address is; the bits of rewrite_rule.apply. */
enum rewrite_use { REWRITE_SENDER, REWRITE_RECIPIENT, REWRITE_HEADER };

struct rewrite_rule {
	const char *const *match; /* patterns of recipients (manage/route.h) */
	size_t match_count;
	const char *to; /* an address, or "@domain" or "*@domain": the local part stays */
	unsigned apply; /* 1u << enum rewrite_use */
};

/* The strings and arrays are the caller's. All zero: nothing is rewritten. */
struct rewrite_rules {
	const char *default_domain; /* NULL: addresses stay without one, if there are no aliases */
	const char *hostname; /* stands in for it in the envelope when there are aliases */
	const char *const *masquerade; /* domains that hide their subdomains; the first that fits counts */
	size_t masquerade_count;
	const char *const *unmasked; /* local parts that keep their host */
	size_t unmasked_count;
	const struct rewrite_rule *rule;
	size_t rule_count;
	struct aliases *aliases; /* NULL: none */

	bool headers; /* rewrite From, Sender, Reply-To and their Resent- forms */
	bool keep_original; /* what was there goes to X-Original-From ... */
	const char *const *remove; /* names of header fields, "X-*": all that begin so */
	size_t remove_count;

	const char *always_bcc; /* NULL: none */
	const char *redirect_all; /* NULL: no; else the only recipient there is */
	size_t max_recipients; /* of the envelope as the handler behind gets it */
};

/* Whether addresses without a domain get one, so that they may be taken from clients. */
bool rewrite_adds_domain(const struct rewrite_rules *r);
/* Whether anything is to be done at all. */
bool rewrite_is_wanted(const struct rewrite_rules *r);
bool rewrite_touches_header(const struct rewrite_rules *r);

enum rewrite_outcome {
	REWRITE_SAME,
	REWRITE_CHANGED,
	REWRITE_INVALID, /* the new one cannot be an address (too long, not ASCII without SMTPUTF8) */
	REWRITE_TOO_MANY /* rewrite_recipient only: more than max_recipients */
};

/*
 * One address; utf8: SMTPUTF8 is in effect. out always gets an address, after REWRITE_INVALID the old one,
 * and then *why is a constant phrase. One that was none before (a header may hold anything) and is none after
 * counts as REWRITE_SAME.
 */
enum rewrite_outcome rewrite_address(const struct rewrite_rules *r, enum rewrite_use use, const char *address,
				     bool utf8, char out[SMTP_PATH_MAX], const char **why);

/* What became of a recipient: one address or, by an alias, several; none twice. */
struct rewrite_targets {
	char (*address)[SMTP_PATH_MAX]; /* owned */
	size_t count, cap;
};

void rewrite_targets_release(struct rewrite_targets *t);
/* t is empty and the caller's to release, whatever comes of it. redirect_all is not looked at. */
enum rewrite_outcome rewrite_recipient(const struct rewrite_rules *r, const char *address, bool utf8,
				       struct rewrite_targets *t, const char **why);

/* What `to` of a rule may be: 0, or -1 and e. */
int rewrite_target_check(const char *to, struct err *e);

#endif
