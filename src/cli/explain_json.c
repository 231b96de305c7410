/* SPDX-License-Identifier: ISC */
/* See explain_facts.h. The facts behind the sentences, for programs. */
#include <string.h>

#include "cli/explain_facts.h"
#include "cli/explain_words.h"
#include "cli/json.h"
#include "cli/show_log.h"
#include "upstream/retry.h"

static const char *kind_name(enum explain_kind kind)
{
	static const char *const names[] = { "queued", "unreadable", "corrupt", "gone" };

	return names[kind];
}

static const char *found_name(enum daemon_found found)
{
	static const char *const names[] = {
		[DAEMON_CONNECTED] = "running",
		[DAEMON_ABSENT] = "absent",
		[DAEMON_DENIED] = "denied",
		[DAEMON_FAILED] = "failed",
	};

	return names[found];
}

static void put_command(void *ctx, const char *command, const char *why)
{
	json_t *o = json_object();

	json_put_key(o, "command", json_string(command));
	json_put_key(o, "why", json_string(why));
	json_append_new(ctx, o);
}

static json_t *reply_json(const char *reply)
{
	struct reply_codes codes;
	json_t *o = json_object();

	reply_codes_read(reply, &codes);
	json_put_key(o, "text", json_text_or_null(reply));
	json_put_key(o, "code", codes.code ? json_integer(codes.code) : json_null());
	json_put_key(o, "because", json_text_or_null(explain_because(&codes)));
	json_put_key(o, "detail", json_text_or_null(explain_detail(&codes)));
	json_put_key(o, "subject", json_text_or_null(explain_subject(&codes)));
	return o;
}

static json_t *route_json(const struct explain *x, size_t rcpt)
{
	const struct listing *l = &x->listing;
	json_t *o = json_object();
	struct routing_way way;
	const char *name = routing_find(&x->routing, &l->msg.env, rcpt, l->state.route, &way);
	const json_t *upstream = name ? explain_upstream(x, name) : NULL;

	json_put_key(o, "address", json_text_or_null(l->msg.env.rcpt[rcpt].address));
	json_put_key(o, "goes_to", json_text_or_null(name));
	json_put_key(o, "route", way.rule > 0 ? json_integer((json_int_t)way.rule) : json_null());
	json_put_key(o, "chosen", json_boolean(way.is_chosen));
	json_put_key(o, "list", way.is_undecided ? json_null() : json_boolean(way.is_list));
	json_put_key(o, "upstream_state", json_text_or_null(json_get_text(upstream, "state")));
	return o;
}

static void put_queued(const struct explain *x, json_t *o)
{
	const struct config *cfg = &x->routing.config;
	struct retry_limits limits = { cfg->retry_min_ms, cfg->retry_max_ms, cfg->retry_factor };
	const char *reply = explain_last_reply(x);
	unsigned tries = x->listing.state.tries;
	json_t *routes = json_array();

	json_put_key(o, "message", listing_json(&x->listing));
	json_put_key(o, "events", show_log_array(&x->listing));
	json_put_key(o, "last_reply", reply ? reply_json(reply) : json_null());
	for (size_t i = 0; i < x->listing.state.rcpt_count; i++)
		if (x->listing.state.rcpt[i].status == RCPT_PENDING)
			json_append_new(routes, route_json(x, i));
	json_put_key(o, "routing", routes);
	json_put_key(o, "expires", json_of_time(explain_expiry_us(x)));
	json_put_key(o, "following_wait",
		     x->routing.known ? json_integer(retry_interval_ms(&limits, tries < UINT32_MAX ? tries + 1 : tries, 0.5) / 1000)
				      : json_null());
	json_put_key(o, "in_flight", x->in_flight ? json_deep_copy(x->in_flight) : json_null());
}

json_t *explain_json(const struct explain *x)
{
	json_t *o = json_object(), *commands = json_array();

	json_put_key(o, "id", json_string(x->id.text));
	json_put_key(o, "found", json_string(kind_name(x->kind)));
	json_put_key(o, "made", json_of_time(spool_id_wall_us(x->id.text)));
	json_put_key(o, "daemon", json_string(found_name(x->found)));
	switch (x->kind) {
	case EXPLAIN_QUEUED:
		put_queued(x, o);
		break;
	case EXPLAIN_UNREADABLE:
		json_put_key(o, "reason", json_text_or_null(x->listing.why.text));
		break;
	case EXPLAIN_CORRUPT:
		json_put_key(o, "reason", json_text_or_null(x->corrupt.reason));
		json_put_key(o, "put_aside", json_of_time(x->corrupt.when_wall_us));
		break;
	case EXPLAIN_GONE:
		break;
	}
	explain_commands(x, put_command, commands);
	json_put_key(o, "commands", commands);
	return o;
}
