/* SPDX-License-Identifier: ISC */
/* See explain_facts.h: what follows from the facts, for the sentences and for JSON. */
#include "cli/explain_facts.h"

#include <stdio.h>
#include <string.h>

#include "cli/json.h"

const char *explain_last_reply(const struct explain *x)
{
	return x->kind == EXPLAIN_QUEUED ? listing_last_reply(&x->listing) : NULL;
}

int64_t explain_expiry_us(const struct explain *x)
{
	const struct envelope *env = &x->listing.msg.env;
	int64_t expiry_us;

	if (!x->routing.known || x->routing.config.expire_after_ms <= 0 || x->kind != EXPLAIN_QUEUED)
		return 0;
	expiry_us = env->arrived_wall_us + x->routing.config.expire_after_ms * 1000;
	/* RFC 2852: with R it is over at the moment that the sender named */
	return env->by.mode == DELIVER_BY_RETURN && env->by.wall_us < expiry_us ? env->by.wall_us : expiry_us;
}

const json_t *explain_upstream(const struct explain *x, const char *name)
{
	const json_t *all = json_get_array(x->status, "upstreams");

	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *u = json_array_get(all, i);
		const char *its = json_get_text(u, "name");

		if (its && strcmp(its, name) == 0)
			return u;
	}
	return NULL;
}
