/* SPDX-License-Identifier: ISC */
/*
 * What `posthouse explain` advises: the commands that make sense for a message as it, and its upstream, now
 * is.
 */
#include <stdio.h>
#include <string.h>

#include "cli/explain_facts.h"
#include "cli/json.h"

/* Deliveries to it, or all, are suspended. */
static bool upstream_is_suspended(const struct explain *x, const char *upstream)
{
	const json_t *kept = json_get_array(x->status, "suspensions"); /* without a daemon */

	if (json_is_object(json_object_get(x->status, "suspended")) ||
	    json_is_object(json_object_get(explain_upstream(x, upstream), "suspension")))
		return true;
	for (size_t i = 0; i < json_array_size(kept); i++) {
		const char *of = json_get_text(json_array_get(kept, i), "upstream");

		if (of && strcmp(of, upstream) == 0)
			return true;
	}
	return false;
}

/* Where the index-th recipient goes, when it waits and that is known. */
static const char *upstream_of(const struct explain *x, size_t index)
{
	const struct listing *l = &x->listing;
	struct routing_way way;
	const char *name;

	if (l->state.rcpt[index].status != RCPT_PENDING)
		return NULL;
	name = routing_find(&x->routing, &l->msg.env, index, l->state.route, &way);
	return name ? name : l->state.route ? l->state.route : l->state.rcpt[index].upstream;
}

bool explain_is_suspended(const struct explain *x)
{
	const char *upstream;

	for (size_t i = 0; i < x->listing.state.rcpt_count; i++)
		if (x->listing.state.rcpt[i].status == RCPT_PENDING &&
		    (!(upstream = upstream_of(x, i)) || !upstream_is_suspended(x, upstream)))
			return false;
	return x->listing.left > 0;
}

/* ---- commands ------------------------------------------------------------------------------ */

struct command {
	unsigned conditions; /* a bit each */
	const char *format; /* with the id */
	const char *why;
};
#define IN(condition) (1u << (condition))

static const struct command commands[] = {
	{ IN(CONDITION_DEFERRED) | IN(CONDITION_QUEUED), "posthouse retry %s", "try it now" },
	{ IN(CONDITION_DEFERRED) | IN(CONDITION_QUEUED), "posthouse hold %s", "stop trying until it is released" },
	{ IN(CONDITION_HELD), "posthouse release %s", "let it go" },
	{ IN(CONDITION_FAILED), "posthouse requeue %s", "try everybody again who has not got it" },
	{ IN(CONDITION_DEFERRED) | IN(CONDITION_QUEUED) | IN(CONDITION_HELD), "posthouse bounce %s", "give up and tell the sender" },
	{ IN(CONDITION_DEFERRED) | IN(CONDITION_QUEUED) | IN(CONDITION_HELD) | IN(CONDITION_FAILED),
	  "posthouse remove %s", "throw it away; nobody is told" },
	{ ~0u, "posthouse show --log %s", "its history" },
};

/* What keeps it is not the message: the upstream of the first one who waits. */
static void advise_upstream(const struct explain *x, void (*each)(void *ctx, const char *command, const char *why),
			    void *ctx)
{
	const char *upstream = NULL, *state;
	char text[128];

	if (x->listing.condition != CONDITION_QUEUED && x->listing.condition != CONDITION_DEFERRED)
		return;
	for (size_t i = 0; !upstream && i < x->listing.state.rcpt_count; i++)
		upstream = upstream_of(x, i);
	if (!upstream || strspn(upstream, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-_") !=
				 strlen(upstream))
		return;
	state = json_get_text(explain_upstream(x, upstream), "state");
	if (json_is_object(json_object_get(x->status, "suspended"))) {
		each(ctx, "posthouse resume", "let all deliveries go on");
	} else if (upstream_is_suspended(x, upstream)) {
		snprintf(text, sizeof(text), "posthouse resume --upstream %.80s", upstream);
		each(ctx, text, "let deliveries to it go on");
	} else if (state && strcmp(state, "paused") == 0) {
		snprintf(text, sizeof(text), "posthouse retry --upstream %.80s", upstream);
		each(ctx, text, "ask the upstream at once how it is");
	}
}

void explain_commands(const struct explain *x, void (*each)(void *ctx, const char *command, const char *why), void *ctx)
{
	if (x->kind == EXPLAIN_GONE) {
		each(ctx, "posthouse queue", "what is in the spool");
		return;
	}
	if (x->kind != EXPLAIN_QUEUED) {
		each(ctx, "posthouse fsck", "check the whole spool");
		return;
	}
	advise_upstream(x, each, ctx);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		char text[128];
		size_t before = strcspn(commands[i].format, "%");

		if (!(commands[i].conditions & IN(x->listing.condition)))
			continue;
		snprintf(text, sizeof(text), "%.*s%s", (int)before, commands[i].format, x->id.text);
		each(ctx, text, commands[i].why);
	}
}
