/* SPDX-License-Identifier: ISC */
/*
 * The mailing lists of a Mailman, as a set: what its REST API listed, or what
 * one of its maps has. Answers whether an address is a list's, its
 * sub-addresses (-owner, -bounces+token ...) included. Pure: bytes in, values
 * out. Names are compared without regard to case, as Mailman does.
 */
#ifndef MAILMAN_LISTS_H
#define MAILMAN_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define LISTS_NAME_MAX 512 /* octets of an address in the set; RFC 5321 has 320 */
#define LISTS_BYTES_MAX (64u << 20) /* of all names */

enum lists_found {
	LISTS_FOREIGN, /* a domain that is not one of these */
	LISTS_NONE, /* one of its domains, but no list */
	LISTS_LIST
};

/* What the names of a set are. */
enum lists_kind {
	LISTS_OF_LISTS, /* of lists: each has the sub-addresses that Mailman 3 knows */
	LISTS_OF_ADDRESSES /* of everything there is, sub-addresses included */
};

struct lists;

struct lists *lists_new(enum lists_kind kind);
void lists_free(struct lists *l); /* NULL is allowed */

/*
 * A name: local@domain, or local alone (Mailman 2), which then stands for every domain of the set. The domain
 * becomes one of the set's. value: what is to be known of it, NULL: nothing. False when it is no such name,
 * or the set is full.
 */
bool lists_add(struct lists *l, const char *name, size_t len, const char *value);
/*
 * A domain of Mailman's, lists in it or not; host: the domain that its lists have in the set (NULL: itself).
 */
bool lists_add_domain(struct lists *l, const char *domain, size_t len, const char *host);
/* To be called once, when all is added and before anything is asked. */
void lists_seal(struct lists *l);

/* *value, if not NULL: what was given with the name that it is by, or NULL. */
enum lists_found lists_find(const struct lists *l, const char *address, const char **value);

size_t lists_count(const struct lists *l); /* names */
size_t lists_domain_count(const struct lists *l);
const char *lists_domain(const struct lists *l, size_t i);
bool lists_equal(const struct lists *a, const struct lists *b); /* NULL: an empty one */

/*
 * As text, a name or domain a line in base/kv.h's notation, behind what is in b; false when it does not fit.
 */
bool lists_write(const struct lists *l, struct buf *b);
/* Reads one such line, [line, end), which is overwritten. */
bool lists_read_line(struct lists *l, char *line, char *end);

/* ---- both sources together ---------------------------------------------------------------- */

enum lists_answer { LISTS_NO, LISTS_YES, LISTS_UNKNOWN };

/* What is known of Mailman's lists at one moment. */
struct lists_known {
	const struct lists *configured; /* domains that were named by the operator */
	const struct lists *listed; /* what counts: Mailman's own listing; NULL: it never gave one */
	int64_t listed_wall_us; /* when that listing began */
	const struct lists *mapped; /* what is believed where it says yes and Mailman cannot say no; NULL: none */
};

/*
 * Is it Mailman's? A yes may be old. A no, for an address in one of its domains, is believed only of a
 * listing that began after the message arrived: the list may have been made since the last one. While no
 * domain of Mailman's is known at all, nothing is.
 */
enum lists_answer lists_ask(const struct lists_known *k, const char *address, int64_t arrived_wall_us);

#endif
