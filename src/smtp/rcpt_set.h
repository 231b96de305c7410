/* SPDX-License-Identifier: ISC */
/*
 * Which recipients the transaction has already: a hash over the addresses in
 * the envelope, so that a thousand of them are not compared each with each.
 * Pure.
 */
#ifndef SMTP_RCPT_SET_H
#define SMTP_RCPT_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smtp/envelope.h"

struct rcpt_set {
	uint32_t *slot; /* index into env->rcpt plus one, 0: free; owned */
	size_t slots; /* a power of two, 0 at first */
	size_t used;
};

void rcpt_set_init(struct rcpt_set *set);
void rcpt_set_release(struct rcpt_set *set); /* empty, as after rcpt_set_init */

/* Its entry in the envelope, NULL when there is none. Local parts are compared octet by octet, domains without regard to case (RFC 5321 2.4). */
struct envelope_rcpt *rcpt_set_find(const struct rcpt_set *set, const struct envelope *env, const char *address);
/* The last recipient of the envelope; it is not in the set. */
void rcpt_set_add_last(struct rcpt_set *set, const struct envelope *env);

#endif
