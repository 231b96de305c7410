/* SPDX-License-Identifier: ISC */
/* See explain_facts.h. The sentences. Everything of strangers is escaped where it enters one. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "cli/explain_facts.h"
#include "cli/explain_words.h"
#include "cli/json.h"
#include "cli/style.h"
#include "cli/wrap.h"
#include "relay/retry.h"
#include "smtp/date.h"

#define TEXT_MAX 65536
#define NAMED_MAX 5 /* recipients of a group that are named */
#define TRIES_MAX 1000000u

struct teller {
	const struct explain *x;
	FILE *out;
	struct buf text; /* the paragraph being made */
};

/* ---- paragraphs --------------------------------------------------------------------- */

static void heading(const struct teller *t, const char *title)
{
	struct buf painted;

	buf_init(&painted, TEXT_MAX);
	term_paint(t->x->term, TERM_STRONG, title, &painted);
	fprintf(t->out, "\n%s\n", painted.data);
	buf_release(&painted);
}

static void end(struct teller *t, size_t indent)
{
	wrap_put(t->x->term, indent, t->text.data, t->out);
	buf_clear(&t->text);
}

static void add(struct teller *t, const char *text)
{
	buf_adds(&t->text, text);
}

static void add_escaped(struct teller *t, const char *text)
{
	term_escapes(t->x->term, text ? text : "?", &t->text);
}

static void add_quoted(struct teller *t, const char *text)
{
	add(t, "\"");
	add_escaped(t, text);
	add(t, "\"");
}

static void add_length(struct teller *t, int64_t ms)
{
	explain_time(ms, &t->text);
}

static void add_ago(struct teller *t, int64_t wall_us)
{
	add_length(t, (t->x->now_wall_us - wall_us) / 1000);
	add(t, " ago");
}

static void add_moment(struct teller *t, int64_t wall_us)
{
	char date[SMTP_DATE_MAX];

	add(t, smtp_date_format(wall_us, date));
}

/* "now" or "in 3 minutes" */
static void add_until(struct teller *t, int64_t wall_us)
{
	if (wall_us <= t->x->now_wall_us) {
		add(t, "now");
		return;
	}
	add(t, "in ");
	add_length(t, (wall_us - t->x->now_wall_us) / 1000);
}

/* ---- what it is, and what happened ------------------------------------------------------ */

static void tell_message(struct teller *t)
{
	const struct listing *l = &t->x->listing;
	const struct envelope *env = &l->msg.env;
	char size[16];

	buf_addf(&t->text, "Message %s, %s%s, ", l->id.text, num_format_size(l->msg.content_bytes, size, sizeof(size)),
		 l->msg.content_bytes < 1024 ? " octets" : "");
	if (env->sender[0]) {
		add(t, "from ");
		add_escaped(t, env->sender);
	} else {
		add(t, "without a sender (<>: a report or an automatic answer)");
	}
	if (env->rcpt_count == 1) {
		add(t, " to ");
		add_escaped(t, env->rcpt[0].address);
	} else {
		buf_addf(&t->text, " to %zu recipients", env->rcpt_count);
	}
	add(t, l->condition == CONDITION_FAILED ? ", has " : ", is ");
	term_paint(t->x->term, style_of_condition(l->condition), condition_name(l->condition), &t->text);
	add(t, ".");
	end(t, 0);
}

static void tell_arrival(struct teller *t)
{
	const struct envelope *env = &t->x->listing.msg.env;

	add(t, "  ");
	add_ago(t, env->arrived_wall_us);
	add(t, " (");
	add_moment(t, env->arrived_wall_us);
	add(t, "): it arrived");
	if (env->peer[0]) {
		add(t, " from ");
		add_escaped(t, env->peer);
	}
	if (env->helo[0]) {
		add(t, ", which called itself ");
		add_escaped(t, env->helo);
	}
	if (env->auth_user) {
		add(t, ", logged in as ");
		add_escaped(t, env->auth_user);
	}
	if (env->protocol[0]) {
		add(t, ", by ");
		add_escaped(t, env->protocol);
	}
	if (env->listener[0]) {
		add(t, ", at the listener ");
		add_quoted(t, env->listener);
	}
	add(t, ".");
	end(t, 4);
}

static void tell_history(struct teller *t)
{
	const struct spool_state *st = &t->x->listing.state;

	heading(t, "What happened");
	tell_arrival(t);
	for (size_t i = 0; i < st->event_count; i++) {
		add(t, "  ");
		add_ago(t, st->event[i].when_wall_us);
		add(t, ": ");
		explain_event(&st->event[i], t->x->term, &t->text);
		end(t, 4);
	}
	if (st->event_count == 0 && st->tries > 0) {
		buf_addf(&t->text, "  It was tried %u time%s", st->tries, st->tries == 1 ? "" : "s");
		if (st->last_attempt_wall_us > 0) {
			add(t, ", the last time ");
			add_ago(t, st->last_attempt_wall_us);
		}
		add(t, ".");
		end(t, 4);
	}
	if (st->event_count == 0 && st->tries == 0 && !st->held)
		fputs("  Nothing since: it was not tried yet.\n", t->out);
	if (st->uncertain) {
		add(t, "  The last attempt sent the whole message and got no answer: the upstream may have delivered it, "
		       "and the next attempt may then make a duplicate. It is tried again all the same, as a loss would be worse.");
		end(t, 4);
	}
}

static void tell_group(struct teller *t, enum rcpt_status status, const char *words)
{
	const struct listing *l = &t->x->listing;
	size_t n = spool_state_count(&l->state, status), named = 0;

	if (n == 0)
		return;
	buf_addf(&t->text, "  %zu ", n);
	term_paint(t->x->term, style_of_status(status), words, &t->text);
	add(t, ": ");
	for (size_t i = 0; i < l->state.rcpt_count && named < NAMED_MAX; i++) {
		if (l->state.rcpt[i].status != status)
			continue;
		if (named++ > 0)
			add(t, ", ");
		add_escaped(t, l->msg.env.rcpt[i].address);
	}
	if (named < n)
		buf_addf(&t->text, ", and %zu more ('posthouse show %s' lists them)", n - named, l->id.text);
	add(t, ".");
	end(t, 4);
}

static void tell_recipients(struct teller *t)
{
	if (t->x->listing.msg.env.rcpt_count == 1 && t->x->listing.left == 1)
		return;
	heading(t, "Recipients");
	tell_group(t, RCPT_DELIVERED, "delivered");
	tell_group(t, RCPT_PENDING, "waiting");
	tell_group(t, RCPT_FAILED, "failed");
	tell_group(t, RCPT_EXPIRED, "given up");
}

/* ---- the last reply ---------------------------------------------------------------------- */

const char *explain_last_reply(const struct explain *x)
{
	return x->kind == EXPLAIN_QUEUED ? listing_last_reply(&x->listing) : NULL;
}

static void tell_reply(struct teller *t)
{
	const char *reply = explain_last_reply(t->x), *because, *detail, *subject;
	struct reply_codes codes;

	if (!reply)
		return;
	heading(t, "What the last answer means");
	add(t, "  ");
	add_quoted(t, reply);
	end(t, 4);
	reply_codes_read(reply, &codes);
	because = explain_because(&codes);
	detail = explain_detail(&codes);
	subject = explain_subject(&codes);
	if (because)
		buf_addf(&t->text, "  %d: %s.", codes.code, because);
	else
		add(t, "  This is no answer of the upstream but what went wrong on our side or on the way: it is temporary.");
	if (codes.cls) {
		buf_addf(&t->text, " %u.%u.%u: ", codes.cls, codes.subject, codes.detail);
		add(t, codes.cls == 4 ? "for now, " : codes.cls == 5 ? "for good, " : "success, ");
		if (detail)
			add(t, detail);
		else
			buf_addf(&t->text, "it is about %s", subject ? subject : "something that RFC 3463 does not name");
		add(t, ".");
	}
	end(t, 4);
}

/* ---- what comes ---------------------------------------------------------------------------- */

int64_t explain_expiry_us(const struct explain *x)
{
	if (!x->routing.known || x->routing.config.expire_after_ms <= 0 || x->kind != EXPLAIN_QUEUED)
		return 0;
	return x->listing.msg.env.arrived_wall_us + x->routing.config.expire_after_ms * 1000;
}

static void tell_schedule(struct teller *t)
{
	const struct spool_state *st = &t->x->listing.state;
	const struct config *cfg = &t->x->routing.config;
	struct retry_limits limits = { cfg->retry_min_ms, cfg->retry_max_ms, cfg->retry_factor };
	int64_t expiry = explain_expiry_us(t->x);

	if (explain_is_suspended(t->x))
		add(t, "  While deliveries are suspended, see below, nobody is tried or given up. After that the next attempt "
		       "is due ");
	else
		add(t, "  The next attempt is due ");
	add_until(t, st->next_attempt_wall_us);
	if (st->next_attempt_wall_us > t->x->now_wall_us) {
		add(t, " (");
		add_moment(t, st->next_attempt_wall_us);
		add(t, ")");
	}
	if (t->x->routing.known) {
		add(t, "; should it fail for now, the one behind it comes some ");
		add_length(t, retry_interval_ms(&limits, st->tries < TRIES_MAX ? st->tries + 1 : TRIES_MAX, 0.5));
		add(t, " later, the waits growing up to ");
		add_length(t, cfg->retry_max_ms);
	}
	add(t, ".");
	if (expiry > 0) {
		add(t, " Who has not got it by ");
		add_moment(t, expiry);
		add(t, " (");
		add_until(t, expiry);
		add(t, t->x->listing.msg.env.sender[0] ? ") is given up, and the sender is told." : ") is given up.");
	}
	if (cfg->warn_after_ms > 0 && t->x->routing.known && !st->warned && t->x->listing.msg.env.sender[0]) {
		add(t, " The sender is told of the delay ");
		add_until(t, t->x->listing.msg.env.arrived_wall_us + cfg->warn_after_ms * 1000);
		add(t, ".");
	} else if (st->warned) {
		add(t, " The sender was told of the delay.");
	}
	end(t, 4);
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

static void tell_suspension(struct teller *t, const json_t *one, const char *what)
{
	const char *by = json_get_text(one, "by"), *reason = json_get_text(one, "reason");
	int64_t until = json_get_time_us(one, "until"), since = json_get_time_us(one, "since");

	add(t, what);
	add(t, " suspended");
	if (since > 0) {
		add(t, ", ");
		add_length(t, (t->x->now_wall_us - since) / 1000);
		add(t, " ago");
	}
	if (by) {
		add(t, " by ");
		add_escaped(t, by);
	}
	if (reason) {
		add(t, ", because: ");
		add_quoted(t, reason);
	}
	if (until > 0) {
		add(t, "; this ends by itself ");
		add_until(t, until);
	} else {
		add(t, "; this lasts until 'posthouse resume'");
	}
	add(t, ".");
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
		add(t, " Its address ");
		add_escaped(t, json_get_text(r, "remoteaddr"));
		if (json_get_int(r, "failures", 0) > 1)
			buf_addf(&t->text, " failed %" PRId64 " times in a row", json_get_int(r, "failures", 0));
		else
			add(t, " failed");
		if (until > t->x->now_wall_us) {
			add(t, " and is asked again ");
			add_until(t, until);
		}
		if (its) {
			add(t, ": ");
			add_escaped(t, its);
			trouble = NULL;
		}
		add(t, ".");
	}
	if (trouble) {
		add(t, " Its last trouble: ");
		add_escaped(t, trouble);
		add(t, ".");
	}
}

static void tell_upstream_state(struct teller *t, const char *name)
{
	const json_t *u = explain_upstream(t->x, name);
	const char *state = json_get_text(u, "state");
	int64_t rate = json_get_int(u, "messages_per_minute", 0);
	const json_t *suspended = json_object_get(t->x->status, "suspended"), *own = json_object_get(u, "suspension");
	const json_t *kept = json_get_array(t->x->status, "suspensions");

	if (json_is_object(suspended))
		tell_suspension(t, suspended, " All deliveries are");
	if (json_is_object(own) && !(json_is_object(suspended) && json_equal(own, suspended)))
		tell_suspension(t, own, " It is");
	for (size_t i = 0; i < json_array_size(kept); i++) {
		const char *of = json_get_text(json_array_get(kept, i), "upstream");

		if (of && strcmp(of, name) == 0)
			tell_suspension(t, json_array_get(kept, i), " It is");
	}
	if (!u)
		return;
	if (state && strcmp(state, "up") == 0)
		add(t, " It works");
	else if (state && (strcmp(state, "paused") == 0 || strcmp(state, "probing") == 0))
		add(t, strcmp(state, "paused") == 0 ? " It is down and left alone for a while"
						    : " It was down and is being tried with one connection");
	else
		add(t, " Its deliveries are stopped");
	buf_addf(&t->text, "; %" PRId64 " of %" PRId64 " connections are open",
		 json_get_int(u, "connections", 0), json_get_int(u, "max_connections", 0));
	if (rate > 0)
		buf_addf(&t->text, ", at most %" PRId64 " messages a minute", rate);
	if (json_is_true(json_object_get(u, "slowed")))
		add(t, ", slowed down by its own temporary refusals");
	buf_addf(&t->text, json_get_int(u, "waiting", 0) == 1 ? "; %" PRId64 " message waits for it, %" PRId64 " due now."
							      : "; %" PRId64 " messages wait for it, %" PRId64 " of them due now.",
		 json_get_int(u, "waiting", 0), json_get_int(u, "due", 0));
	tell_remote_trouble(t, u);
}

static void tell_route(struct teller *t, size_t rcpt)
{
	const struct listing *l = &t->x->listing;
	size_t rule;
	const char *name = routing_find(&t->x->routing, &l->msg.env, rcpt, l->state.route, &rule);

	if (!name) {
		add(t, "  Which upstream it goes to is not known here, as no configuration file could be read (--config).");
		name = l->state.route ? l->state.route : l->state.rcpt[rcpt].upstream;
		if (name) {
			add(t, l->state.route ? " An operator chose " : " The last one was ");
			add_quoted(t, name);
			add(t, ".");
			tell_upstream_state(t, name);
		}
		end(t, 4);
		return;
	}
	add(t, "  ");
	if (l->left > 1 || l->msg.env.rcpt_count > 1) {
		add_escaped(t, l->msg.env.rcpt[rcpt].address);
		add(t, " goes");
	} else {
		add(t, "It goes");
	}
	add(t, " to upstream ");
	add_quoted(t, name);
	if (l->state.route && strcmp(l->state.route, name) == 0)
		add(t, ", which an operator chose.");
	else if (rule > 0)
		buf_addf(&t->text, ", by route number %zu of the configuration.", rule);
	else
		add(t, t->x->routing.routes.rule_count > 0 ? ", the first one, as no route matches." :
							     ", the first one of the configuration.");
	if (l->state.route && strcmp(l->state.route, name) != 0) {
		add(t, " (An operator chose ");
		add_quoted(t, l->state.route);
		add(t, ", which is not configured any more.)");
	}
	tell_upstream_state(t, name);
	end(t, 4);
}

/* One paragraph an upstream, for the first recipient that goes there. */
static void tell_routes(struct teller *t)
{
	const struct listing *l = &t->x->listing;
	const char *told[NAMED_MAX];
	size_t count = 0;

	for (size_t i = 0; i < l->state.rcpt_count && count < NAMED_MAX; i++) {
		bool known = false;
		const char *name;
		size_t rule;

		if (l->state.rcpt[i].status != RCPT_PENDING)
			continue;
		name = routing_find(&t->x->routing, &l->msg.env, i, l->state.route, &rule);
		for (size_t j = 0; j < count; j++)
			known = known || !name || strcmp(told[j], name) == 0;
		if (known)
			continue;
		told[count++] = name ? name : "";
		tell_route(t, i);
	}
}

static void tell_daemon(struct teller *t)
{
	switch (t->x->found) {
	case DAEMON_CONNECTED:
		return;
	case DAEMON_ABSENT:
		add(t, "  The daemon does not run on this spool: nothing happens until it is started.");
		break;
	case DAEMON_DENIED:
	case DAEMON_FAILED:
		add(t, "  What the daemon does now is not known: ");
		add_escaped(t, t->x->daemon_error.text);
		add(t, ".");
		break;
	}
	end(t, 4);
}

static void tell_next(struct teller *t)
{
	const struct listing *l = &t->x->listing;
	bool null_sender = !l->msg.env.sender[0];

	heading(t, "What happens next");
	tell_daemon(t);
	if (t->x->in_flight) {
		add(t, "  It is being sent now, to upstream ");
		add_quoted(t, json_get_text(t->x->in_flight, "upstream"));
		if (json_get_text(t->x->in_flight, "remote")) {
			add(t, " at ");
			add_escaped(t, json_get_text(t->x->in_flight, "remote"));
		}
		if (json_get_time_us(t->x->in_flight, "since") > 0) {
			add(t, ", since ");
			add_length(t, (t->x->now_wall_us - json_get_time_us(t->x->in_flight, "since")) / 1000);
		}
		add(t, "; what follows holds if that fails.");
		end(t, 4);
	}
	switch (l->condition) {
	case CONDITION_QUEUED:
	case CONDITION_DEFERRED:
		tell_schedule(t);
		tell_routes(t);
		return;
	case CONDITION_HELD:
		add(t, "  It is held");
		if (l->state.hold_reason) {
			add(t, ", because: ");
			add_quoted(t, l->state.hold_reason);
		}
		add(t, ". It is not tried until somebody releases it.");
		break;
	case CONDITION_FAILED:
		add(t, "  Nobody is left to be tried, and somebody did not get it. ");
		if (l->state.report_id.text[0])
			add(t, "A report to the sender is being made.");
		else if (null_sender && t->x->routing.config.postmaster)
			add(t, "It came without a sender, so the postmaster is told; it is kept until that is done.");
		else if (null_sender)
			add(t, "It came without a sender, so there is nobody to tell (a report is never answered with a "
			       "report), and no postmaster is configured: it is kept here for you to see.");
		else
			add(t, "It is kept until the sender was told.");
		break;
	case CONDITION_DELIVERED:
		add(t, "  Everybody has it. It is about to leave the spool.");
		break;
	case CONDITION_CORRUPT:
	case CONDITION_UNREADABLE:
		break;
	}
	end(t, 4);
}

/* ---- what can be done ------------------------------------------------------------------------ */

static void tell_command(void *ctx, const char *command, const char *why)
{
	const struct teller *t = ctx;

	fprintf(t->out, "  %-38s %s\n", command, why);
}

/* ---- messages that are no more, or not well ----------------------------------------------------- */

static void tell_log(struct teller *t)
{
	const char *log = t->x->routing.known ? t->x->routing.config.log : "auto";

	add(t, "The log of posthoused knows: look for id=");
	add(t, t->x->id.text);
	if (strcmp(log, "stderr") == 0)
		add(t, " in what it writes to standard error (under systemd: journalctl -u posthoused).");
	else
		buf_addf(&t->text, " in the system's log (journalctl -t posthoused -g %s, or grep in /var/log/mail.log).",
			 t->x->id.text);
	end(t, 0);
}

static void tell_gone(struct teller *t)
{
	int64_t made = spool_id_wall_us(t->x->id.text);

	buf_addf(&t->text, "There is no message %s in the spool: it was delivered, returned or removed, or it was never "
		 "here.", t->x->id.text);
	if (made > 0 && made < t->x->now_wall_us) {
		add(t, " Its id was made ");
		add_ago(t, made);
		add(t, " (");
		add_moment(t, made);
		add(t, ").");
	}
	end(t, 0);
	tell_log(t);
}

static void tell_corrupt(struct teller *t)
{
	const struct corrupt *c = &t->x->corrupt;

	buf_addf(&t->text, "Message %s was put aside, as its file is ", c->id.text);
	term_paint(t->x->term, TERM_BAD, "damaged", &t->text);
	add(t, ": ");
	add_escaped(t, c->reason[0] ? c->reason : "the reason was not kept");
	add(t, ".");
	end(t, 0);
	if (c->when_wall_us > 0) {
		add(t, "That was ");
		add_ago(t, c->when_wall_us);
		add(t, ". ");
	}
	add(t, "It is not tried any more, and it is never deleted by Posthouse: it lies in ");
	add_escaped(t, c->file.path);
	buf_addf(&t->text, "/corrupt/%s.", c->id.text);
	end(t, 0);
	if (!c->readable) {
		add(t, "Its envelope cannot be made out. A file that a power cut tore before its 250 was never acknowledged: "
		       "then the client still has the message.");
	} else {
		add(t, "It came from ");
		add_escaped(t, c->msg.env.sender[0] ? c->msg.env.sender : "<>");
		buf_addf(&t->text, " for %zu recipient%s (the first: ", c->msg.env.rcpt_count,
			 c->msg.env.rcpt_count == 1 ? "" : "s");
		add_escaped(t, c->msg.env.rcpt_count ? c->msg.env.rcpt[0].address : NULL);
		add(t, "); tell the sender to send it again.");
	}
	end(t, 0);
}

static void tell_unreadable(struct teller *t)
{
	buf_addf(&t->text, "Message %s is in the spool and cannot be read: ", t->x->id.text);
	add_escaped(t, t->x->listing.why.text);
	add(t, t->x->listing.condition == CONDITION_CORRUPT ?
		       ". The relay will put it aside in corrupt/ when it comes to it." :
		       ". Run it as root, or as a member of the group that may look.");
	end(t, 0);
}

void explain_print(const struct explain *x, FILE *out)
{
	struct teller t = { .x = x, .out = out };

	buf_init(&t.text, TEXT_MAX);
	switch (x->kind) {
	case EXPLAIN_QUEUED:
		tell_message(&t);
		tell_history(&t);
		tell_recipients(&t);
		tell_reply(&t);
		tell_next(&t);
		break;
	case EXPLAIN_UNREADABLE:
		tell_unreadable(&t);
		break;
	case EXPLAIN_CORRUPT:
		tell_corrupt(&t);
		break;
	case EXPLAIN_GONE:
		tell_gone(&t);
		break;
	}
	heading(&t, "What you can do");
	explain_commands(x, tell_command, &t);
	buf_release(&t.text);
}
