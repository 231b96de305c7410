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
	if (!x->routing.known || x->routing.config.expire_after_ms <= 0 || x->kind != EXPLAIN_QUEUED)
		return 0;
	return x->listing.msg.env.arrived_wall_us + x->routing.config.expire_after_ms * 1000;
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

struct command {
	unsigned conditions; /* a bit each */
	const char *format; /* with the id */
	const char *why;
};
#define IN(condition) (1u << (condition))

static const struct command commands[] = {
	{ IN(CONDITION_DEFERRED) | IN(CONDITION_QUEUED), "posthouse retry %s", "try it now" },
	{ IN(CONDITION_DEFERRED) | IN(CONDITION_QUEUED), "posthouse hold %s",
	  "stop trying until it is released" },
	{ IN(CONDITION_HELD), "posthouse release %s", "let it go" },
	{ IN(CONDITION_FAILED), "posthouse requeue %s", "try everybody again who has not got it" },
	{ IN(CONDITION_DEFERRED) | IN(CONDITION_HELD), "posthouse bounce %s", "give up and tell the sender" },
	{ IN(CONDITION_DEFERRED) | IN(CONDITION_QUEUED) | IN(CONDITION_HELD) | IN(CONDITION_FAILED),
	  "posthouse remove %s", "throw it away; nobody is told" },
	{ ~0u, "posthouse show --log %s", "its history" },
};

void explain_commands(const struct explain *x, void (*each)(void *ctx, const char *command, const char *why),
		      void *ctx)
{
	if (x->kind == EXPLAIN_GONE) {
		each(ctx, "posthouse queue", "what is in the spool");
		return;
	}
	if (x->kind != EXPLAIN_QUEUED) {
		each(ctx, "posthouse fsck", "check the whole spool");
		return;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		char text[128];
		size_t before = strcspn(commands[i].format, "%");

		if (!(commands[i].conditions & IN(x->listing.condition)))
			continue;
		snprintf(text, sizeof(text), "%.*s%s", (int)before, commands[i].format, x->id.text);
		each(ctx, text, commands[i].why);
	}
}
