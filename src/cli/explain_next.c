/* SPDX-License-Identifier: ISC */
/* See explain_say.h. The sentences of `posthouse explain` about what comes: attempts, upstreams, expiry. */
#include "cli/explain_say.h"

#include <inttypes.h>
#include <string.h>

#include "cli/json.h"
#include "upstream/retry.h"

#define NAMED_MAX 5 /* upstreams, and addresses of one */
#define TRIES_MAX 1000000u

static void tell_schedule(struct teller *t)
{
	const struct spool_state *st = &t->x->listing.state;
	const struct config *cfg = &t->x->routing.config;
	struct retry_limits limits = { cfg->retry_min_ms, cfg->retry_max_ms, cfg->retry_factor };
	int64_t expiry = explain_expiry_us(t->x);

	if (explain_is_suspended(t->x))
		say(t, "  While deliveries are suspended, see below, nobody is tried or given up. After that the next "
		       "attempt is due ");
	else
		say(t, "  The next attempt is due ");
	say_until(t, st->next_attempt_wall_us);
	if (st->next_attempt_wall_us > t->x->now_wall_us) {
		say(t, " (");
		say_moment(t, st->next_attempt_wall_us);
		say(t, ")");
	}
	if (t->x->routing.known) {
		say(t, "; should it fail for now, the one behind it comes some ");
		say_length(t, retry_interval_ms(&limits, st->tries < TRIES_MAX ? st->tries + 1 : TRIES_MAX,
						0.5));
		say(t, " later, the waits growing up to ");
		say_length(t, cfg->retry_max_ms);
	}
	say(t, ".");
	if (expiry > 0) {
		say(t, " Who has not got it by ");
		say_moment(t, expiry);
		say(t, " (");
		say_until(t, expiry);
		say(t, t->x->listing.msg.env.sender[0] ? ") is given up, and the sender is told."
						       : ") is given up.");
	}
	if (cfg->warn_after_ms > 0 && t->x->routing.known && !st->warned && t->x->listing.msg.env.sender[0]) {
		say(t, " The sender is told of the delay ");
		say_until(t, t->x->listing.msg.env.arrived_wall_us + cfg->warn_after_ms * 1000);
		say(t, ".");
	} else if (st->warned) {
		say(t, " The sender was told of the delay.");
	}
	say_end(t, 4);
}

static void tell_suspension(struct teller *t, const json_t *one, const char *what)
{
	const char *by = json_get_text(one, "by"), *reason = json_get_text(one, "reason");
	int64_t until = json_get_time_us(one, "until"), since = json_get_time_us(one, "since");

	say(t, what);
	say(t, " suspended");
	if (since > 0) {
		say(t, " for ");
		say_length(t, (t->x->now_wall_us - since) / 1000);
	}
	if (by) {
		say(t, " by ");
		say_escaped(t, by);
	}
	if (reason) {
		say(t, ", because: ");
		say_quoted(t, reason);
	}
	if (until > 0) {
		say(t, "; this ends by itself ");
		say_until(t, until);
	} else {
		say(t, "; this lasts until 'posthouse resume'");
	}
	say(t, ".");
}

static void tell_remote_trouble(struct teller *t, const json_t *u)
{
	const json_t *remotes = json_get_array(u, "remotes");
	const char *trouble = json_get_text(u, "last_trouble");

	for (size_t i = 0; i < json_array_size(remotes) && i < NAMED_MAX; i++) {
		const json_t *r = json_array_get(remotes, i);
		const char *its = json_get_text(r, "last_trouble"), *state = json_get_text(r, "state");
		int64_t until = json_get_time_us(r, "paused_until");

		if (!state || strcmp(state, "up") == 0)
			continue;
		say(t, " Its address ");
		say_escaped(t, json_get_text(r, "remoteaddr"));
		if (json_get_int(r, "failures", 0) > 1)
			buf_addf(&t->text, " failed %" PRId64 " times in a row", json_get_int(r, "failures", 0));
		else
			say(t, " failed");
		if (until > t->x->now_wall_us) {
			say(t, " and is asked again ");
			say_until(t, until);
		}
		if (its) {
			say(t, ": ");
			say_escaped(t, its);
			trouble = NULL;
		}
		say(t, ".");
	}
	if (trouble) {
		say(t, " Its last trouble: ");
		say_escaped(t, trouble);
		say(t, ".");
	}
}

static void tell_upstream_state(struct teller *t, const char *name)
{
	const json_t *u = explain_upstream(t->x, name);
	const char *state = json_get_text(u, "state");
	int64_t rate = json_get_int(u, "messages_per_minute", 0);
	const json_t *suspended = json_object_get(t->x->status, "suspended"),
		     *own = json_object_get(u, "suspension");
	const json_t *kept = json_get_array(t->x->status, "suspensions");

	if (json_is_object(suspended))
		tell_suspension(t, suspended, " All deliveries have been");
	if (json_is_object(own) && !(json_is_object(suspended) && json_equal(own, suspended)))
		tell_suspension(t, own, " It has been");
	for (size_t i = 0; i < json_array_size(kept); i++) {
		const char *of = json_get_text(json_array_get(kept, i), "upstream");

		if (of && strcmp(of, name) == 0)
			tell_suspension(t, json_array_get(kept, i), " It has been");
	}
	if (!u)
		return;
	if (state && strcmp(state, "up") == 0)
		say(t, " It works");
	else if (state && (strcmp(state, "paused") == 0 || strcmp(state, "probing") == 0))
		say(t, strcmp(state, "paused") == 0 ? " It is down and left alone for a while"
						    : " It was down and is being tried with one connection");
	else
		say(t, " Its deliveries are stopped");
	buf_addf(&t->text, "; %" PRId64 " of %" PRId64 " connections are open",
		 json_get_int(u, "connections", 0), json_get_int(u, "max_connections", 0));
	if (rate > 0)
		buf_addf(&t->text, ", at most %" PRId64 " messages a minute", rate);
	if (json_is_true(json_object_get(u, "slowed")))
		say(t, ", slowed down by its own temporary refusals");
	buf_addf(&t->text,
		 json_get_int(u, "waiting", 0) == 1 ? "; %" PRId64 " message waits for it, %" PRId64 " due now."
						    : "; %" PRId64 " messages wait for it, %" PRId64 " of them due now.",
		 json_get_int(u, "waiting", 0), json_get_int(u, "due", 0));
	tell_remote_trouble(t, u);
}

/* "ann@example.org, and 2 more like it, goes", or "It goes" where there is only one */
static void say_who(struct teller *t, size_t rcpt, size_t others, const char *does)
{
	const struct listing *l = &t->x->listing;

	if (l->left > 1 || l->msg.env.rcpt_count > 1) {
		say_escaped(t, l->msg.env.rcpt[rcpt].address);
	} else {
		say(t, "It");
	}
	if (others > 0)
		buf_addf(&t->text, ", and %zu more like it,", others);
	say(t, does);
}

/* Mailman, as the relay finds it now. */
static void tell_mailman(struct teller *t)
{
	const json_t *m = json_object_get(t->x->status, "mailman");
	int64_t listed = json_get_time_us(m, "listed"), next = json_get_time_us(m, "next");
	const char *state = json_get_text(m, "state"), *error = json_get_text(m, "last_error"),
		   *map = json_get_text(m, "map_error");

	if (!state)
		return;
	if (strcmp(state, "down") == 0) {
		say(t, " Mailman cannot be asked now: ");
		say_escaped(t, error);
		say(t, ". It is asked again ");
		say_until(t, next);
		say(t, ".");
	}
	if (listed > 0) {
		say(t, " It was last asked ");
		say_ago(t, listed);
		say(t, ".");
	} else {
		say(t, " It has never answered so far.");
	}
	if (map) {
		say(t, " Its map does not help: ");
		say_escaped(t, map);
		say(t, ".");
	}
}

static void tell_undecided(struct teller *t, size_t rcpt, size_t others)
{
	say(t, "  ");
	say_who(t, rcpt, others,
		" waits, because it is not known whether it is one of Mailman's mailing lists.");
	tell_mailman(t);
	say(t, " Until Mailman says so, or that it is none, it is neither sent anywhere nor returned.");
	say_end(t, 4);
}

static void tell_route(struct teller *t, size_t rcpt, size_t others)
{
	const struct listing *l = &t->x->listing;
	struct routing_way way;
	const char *name = routing_find(&t->x->routing, &l->msg.env, rcpt, l->state.route, &way);

	if (way.is_undecided) {
		tell_undecided(t, rcpt, others);
		return;
	}
	if (!name) {
		say(t, "  Which upstream it goes to is not known here, as no configuration file could be "
		       "read (--config).");
		name = l->state.route ? l->state.route : l->state.rcpt[rcpt].upstream;
		if (name) {
			say(t, l->state.route ? " An operator chose " : " The last one was ");
			say_quoted(t, name);
			say(t, ".");
			tell_upstream_state(t, name);
		}
		say_end(t, 4);
		return;
	}
	say(t, "  ");
	say_who(t, rcpt, others, " goes to upstream ");
	say_quoted(t, name);
	if (way.is_chosen)
		say(t, ", which an operator chose.");
	else if (way.is_list)
		say(t, ", as it is one of Mailman's mailing lists.");
	else if (way.rule > 0)
		buf_addf(&t->text, ", by route number %zu of the configuration.", way.rule);
	else
		say(t, t->x->routing.routes.rule_count > 0 ? ", the first one, as no route matches." :
							     ", the first one of the configuration.");
	if (l->state.route && strcmp(l->state.route, name) != 0) {
		say(t, " (An operator chose ");
		say_quoted(t, l->state.route);
		say(t, ", which is not configured any more.)");
	}
	tell_upstream_state(t, name);
	say_end(t, 4);
}

#define UNDECIDED "" /* no upstream has this name */

/* Where a recipient goes; NULL: that is not known here. */
static const char *place_of(struct teller *t, size_t rcpt)
{
	const struct listing *l = &t->x->listing;
	struct routing_way way;
	const char *name = routing_find(&t->x->routing, &l->msg.env, rcpt, l->state.route, &way);

	return way.is_undecided ? UNDECIDED : name;
}

/* One paragraph an upstream, for the first recipient that goes there. */
static void tell_routes(struct teller *t)
{
	const struct listing *l = &t->x->listing;
	struct {
		const char *name;
		size_t first, count;
	} place[NAMED_MAX];
	size_t count = 0;

	for (size_t i = 0; i < l->state.rcpt_count; i++) {
		const char *name;
		size_t j = 0;

		if (l->state.rcpt[i].status != RCPT_PENDING)
			continue;
		name = place_of(t, i);
		while (j < count &&
		       (!name || !place[j].name ? name != place[j].name : strcmp(place[j].name, name) != 0))
			j++;
		if (j < count) {
			place[j].count++;
		} else if (count < NAMED_MAX) {
			place[count].name = name;
			place[count].first = i;
			place[count++].count = 1;
		}
	}
	for (size_t j = 0; j < count; j++)
		tell_route(t, place[j].first, place[j].count - 1);
}

static void tell_daemon(struct teller *t)
{
	switch (t->x->found) {
	case DAEMON_CONNECTED:
		return;
	case DAEMON_ABSENT:
		say(t, "  The daemon does not run on this spool: nothing happens until it is started.");
		break;
	case DAEMON_DENIED:
	case DAEMON_FAILED:
		say(t, "  What the daemon does now is not known: ");
		say_escaped(t, t->x->daemon_error.text);
		say(t, ".");
		break;
	}
	say_end(t, 4);
}

static void tell_flight(struct teller *t, const json_t *one)
{
	say(t, "  It is being sent now, to upstream ");
	say_quoted(t, json_get_text(one, "upstream"));
	if (json_get_text(one, "remote")) {
		say(t, " at ");
		say_escaped(t, json_get_text(one, "remote"));
	}
	if (json_get_time_us(one, "since") > 0) {
		say(t, ", since ");
		say_length(t, (t->x->now_wall_us - json_get_time_us(one, "since")) / 1000);
	}
	say(t, "; what follows holds if that fails.");
	say_end(t, 4);
}

void tell_next(struct teller *t)
{
	const struct listing *l = &t->x->listing;
	bool null_sender = !l->msg.env.sender[0];

	say_heading(t, "What happens next");
	tell_daemon(t);
	if (t->x->in_flight)
		tell_flight(t, t->x->in_flight);
	switch (l->condition) {
	case CONDITION_QUEUED:
	case CONDITION_DEFERRED:
		tell_schedule(t);
		tell_routes(t);
		return;
	case CONDITION_HELD:
		say(t, "  It is held");
		if (l->state.hold_reason) {
			say(t, ", because: ");
			say_quoted(t, l->state.hold_reason);
		}
		say(t, ". It is not tried until somebody releases it.");
		break;
	case CONDITION_FAILED:
		say(t, "  Nobody is left to be tried, and somebody did not get it. ");
		if (l->state.report_id.text[0])
			say(t, "A report to the sender is being made.");
		else if (null_sender && t->x->routing.config.postmaster)
			say(t, "It came without a sender, so the postmaster is told; it is kept until that "
			       "is done.");
		else if (null_sender)
			say(t, "It came without a sender, so there is nobody to tell (a report is never "
			       "answered with a "
			       "report), and no postmaster is configured: it is kept here for you to see.");
		else
			say(t, "It is kept until the sender was told.");
		break;
	case CONDITION_DELIVERED:
		say(t, "  Everybody has it. It is about to leave the spool.");
		break;
	case CONDITION_CORRUPT:
	case CONDITION_UNREADABLE:
		break;
	}
	say_end(t, 4);
}
