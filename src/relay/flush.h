/* SPDX-License-Identifier: ISC */
/*
 * Requests to try now what waits for a domain or an upstream (ETRN, RFC 1985):
 * as a line that a worker writes to the notice pipe, and as the few that the
 * relay keeps. Who writes there may be anybody, so they are few, the same
 * again is the same, and they are not seen to as often as they are made. Pure.
 */
#ifndef RELAY_FLUSH_H
#define RELAY_FLUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flush_kind {
	FLUSH_DOMAIN, /* recipients of this domain */
	FLUSH_SUBDOMAINS, /* and of its subdomains */
	FLUSH_UPSTREAM /* what goes to the upstream of this name */
};

#define FLUSH_NAME_MAX 256 /* octets, with the NUL: a domain, or the name of an upstream */
struct flush {
	enum flush_kind kind;
	char name[FLUSH_NAME_MAX];
};

#define FLUSH_LINE_MAX (FLUSH_NAME_MAX + 4)
/*
 * "!domain example.org" LF and NUL, as short as that: "!d example.org\n". Returns its length; 0: no such
 * name.
 */
size_t flush_line(char out[FLUSH_LINE_MAX], enum flush_kind kind, const char *name);
/* The line without LF. False: it is none of these. */
bool flush_parse(const char *line, size_t len, struct flush *out);

#define FLUSHES_MAX 16
struct flushes {
	struct flush item[FLUSHES_MAX];
	size_t count;
};

/* False: there is no room. What is there already is there once. */
bool flushes_add(struct flushes *f, const struct flush *one);
/* Whether one of them is about the domain of this address. */
bool flushes_want_address(const struct flushes *f, const char *address);
bool flushes_want_upstream(const struct flushes *f, const char *name);

/* How long nothing is flushed after one that took so long: a tenth of the time may go into it. */
int64_t flush_pause_ms(int64_t took_ms);

#endif
