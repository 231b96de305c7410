/* SPDX-License-Identifier: ISC */
/*
 * See attempt.h: what the upstream's answers, or its silence, mean for each
 * recipient; in memory, in the history and in the log. Runs in the relay.
 */
#include "relay/attempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "figures/figures.h"

static char *oneline(const struct smtp_reply *reply)
{
	struct buf b;
	char *text;

	buf_init(&b, 2 * SMTP_REPLY_TEXT_MAX);
	smtp_reply_oneline(reply, &b);
	text = mem_strndup(b.data, b.len);
	buf_release(&b);
	return text;
}

static void take_answer(struct attempt *a, size_t i, enum upstream_phase phase,
			const struct smtp_reply *reply)
{
	struct upstream_outcome outcome = { UPSTREAM_ANSWERED, phase, *reply };
	struct attempt_rcpt *r = &a->answer[i];

	r->answered = true;
	r->decision = outcome_decide(&outcome);
	free(r->reply);
	r->reply = oneline(reply);
}

void attempt_take_reply(struct upstream_txn *t, size_t i, const struct smtp_reply *reply)
{
	struct attempt *a = (struct attempt *)t;

	if (smtp_reply_is_positive(reply))
		return;
	take_answer(a, i, UPSTREAM_RCPT, reply);
	a->answer[i].too_many =
		reply->code == 452 && (reply->enhanced[0] == '\0' || strcmp(reply->enhanced, "4.5.3") == 0);
}

void attempt_take_final(struct upstream_txn *t, size_t i, const struct smtp_reply *reply)
{
	take_answer((struct attempt *)t, i, UPSTREAM_FINAL_DOT, reply);
}

static const char *upstream_name(const struct attempt *a, size_t upstream)
{
	return a->rules->routes->upstream_name[upstream];
}

/* What became of a recipient, as the log and the history name it. */
struct fate {
	const char *what;
	enum log_level level;
	enum rate rate;
};

static const struct fate fates[] = {
	[VERDICT_DELIVERED] = { "delivered", LOG_LEVEL_INFO, RATE_DELIVERED },
	[VERDICT_FAILED] = { "failed", LOG_LEVEL_WARNING, RATE_FAILED },
	[VERDICT_DEFERRED] = { "deferred", LOG_LEVEL_INFO, RATE_DEFERRED },
	[VERDICT_UNCERTAIN] = { "uncertain", LOG_LEVEL_WARNING, RATE_UNCERTAIN },
};
static const struct fate fate_expired = { "expired", LOG_LEVEL_WARNING, RATE_EXPIRED };

static void count_recipient(const struct attempt *a, const struct rcpt_state *r, const struct fate *fate)
{
	unsigned upstream =
		r->upstream ? figures_find(FIGURES_UPSTREAMS, r->upstream) : FIGURES_NAMES_MAX - 1;

	if (a->rules->rates)
		rates_count(a->rules->rates, fate->rate, clock_mono_ms());
	figures_add(FIGURE_RECIPIENTS, upstream,
		    figure_word(FIGURE_RECIPIENTS, 1, fate->what, strlen(fate->what)), 1);
	if (fate->rate == RATE_DELIVERED)
		figures_observe(FIGURE_QUEUE_SECONDS, upstream,
				clock_wall_us() - a->message.env.arrived_wall_us);
}

static void log_recipient(const struct attempt *a, size_t index, const struct fate *fate)
{
	const struct rcpt_state *r = &a->state.rcpt[index];
	const struct envelope *env = &a->message.env;
	char next[CLOCK_UTC_MAX];
	struct log_line line;

	count_recipient(a, r, fate);
	log_begin(&line, fate->level, fate->what);
	log_str(&line, "id", env->id);
	log_str(&line, "from", env->sender);
	log_str(&line, "to", env->rcpt[index].address);
	log_str(&line, "upstream", r->upstream);
	log_str(&line, "remote", a->remote[0] ? a->remote : NULL);
	log_str(&line, "via", a->via[0] ? a->via : NULL);
	if (a->tls_version[0]) {
		log_str(&line, "tls", a->tls_version);
		log_str(&line, "verified", upstream_verified_name(a->verified));
	}
	log_int(&line, "tries", r->tries);
	log_seconds(&line, "delay", (clock_wall_us() - env->arrived_wall_us) / 1000);
	if (r->status == RCPT_PENDING)
		log_str(&line, "next", clock_format_utc(r->next_wall_us, next));
	log_str(&line, "reply", r->reply); /* last: it is the one that may be cut */
	log_end(&line);
}

/*
 * What happened, for the history: recipients with the same fate and reply are one event. Replies may all
 * differ (by the address in them), so beyond some groups the fate alone counts.
 */
#define GROUPS_EXACT 8
#define GROUPS_MAX (GROUPS_EXACT + 5)

struct history {
	struct {
		const struct fate *fate;
		size_t first, count; /* recipients */
	} group[GROUPS_MAX];
	size_t count;
};

static bool same_story(const struct attempt *a, size_t one, size_t other)
{
	const struct rcpt_state *r = &a->state.rcpt[one], *o = &a->state.rcpt[other];

	return strcmp(r->reply ? r->reply : "", o->reply ? o->reply : "") == 0;
}

static void note_fate(struct history *h, const struct attempt *a, size_t index, const struct fate *fate)
{
	size_t g;

	for (g = 0; g < h->count; g++)
		if (h->group[g].fate == fate && (g >= GROUPS_EXACT || same_story(a, h->group[g].first, index)))
			break;
	if (g == h->count) {
		h->group[h->count].fate = fate;
		h->group[h->count].first = index;
		h->group[h->count++].count = 0;
	}
	h->group[g].count++;
	log_recipient(a, index, fate);
}

static void write_history(struct attempt *a, const struct history *h)
{
	for (size_t g = 0; g < h->count; g++) {
		const struct rcpt_state *r = &a->state.rcpt[h->group[g].first];
		char what[16];
		struct spool_event event = { .when_wall_us = clock_wall_us(), .rcpts = h->group[g].count, .what = what,
					     .upstream = r->upstream, .remote = r->remote, .text = r->reply };

		snprintf(what, sizeof(what), "%s", h->group[g].fate->what);
		spool_state_add_event(&a->state, &event);
	}
}

static struct decision decision_for(const struct attempt *a, size_t i, struct decision of_message)
{
	return a->answer[i].answered ? a->answer[i].decision : of_message;
}

static enum rcpt_status status_after(enum verdict v)
{
	switch (v) {
	case VERDICT_DELIVERED:
		return RCPT_DELIVERED;
	case VERDICT_FAILED:
		return RCPT_FAILED;
	case VERDICT_DEFERRED:
	case VERDICT_UNCERTAIN:
	case VERDICT_UNTOUCHED:
		break;
	}
	return RCPT_PENDING;
}

/* When its time is over: nobody is sent to after that, but for one last try at that moment. */
static int64_t expiry_wall_us(const struct attempt *a)
{
	int64_t expiry_us = a->message.env.arrived_wall_us + a->rules->expire_after_ms * 1000;
	const struct deliver_by *by = &a->message.env.by;

	return by->mode == DELIVER_BY_RETURN && by->wall_us < expiry_us ? by->wall_us : expiry_us;
}

/* Did the upstream take this message for anybody? */
static bool got_through(const struct attempt *a, struct decision of_message)
{
	for (size_t i = 0; i < a->txn.rcpt_count; i++)
		if (decision_for(a, i, of_message).verdict == VERDICT_DELIVERED)
			return true;
	return false;
}

/* One recipient's new state. one_of_many: it was too many for this transaction, and the rest goes at once
 * (RFC 5321 4.5.3.1.10). */
static void decide_recipient(struct attempt *a, size_t index, enum verdict verdict, const char *reply,
			     bool one_of_many, double luck, struct history *h)
{
	struct rcpt_state *r = &a->state.rcpt[index];
	int64_t now_us = clock_wall_us(), expiry_us = expiry_wall_us(a);

	r->tries += !one_of_many;
	rcpt_state_set(r, status_after(verdict), now_us, upstream_name(a, a->upstream), a->remote_name, reply);
	if (r->status != RCPT_PENDING) {
		r->next_wall_us = 0;
		note_fate(h, a, index, &fates[verdict]);
		return;
	}
	if (!one_of_many && now_us >= expiry_us) {
		if (verdict == VERDICT_UNCERTAIN)
			note_fate(h, a, index, &fates[verdict]);
		r->status = RCPT_EXPIRED;
		r->next_wall_us = 0;
		note_fate(h, a, index, &fate_expired);
		return;
	}
	r->next_wall_us = now_us;
	if (!one_of_many)
		r->next_wall_us += retry_interval_ms(&a->rules->retry, r->tries, luck) * 1000;
	if (r->next_wall_us > expiry_us && expiry_us > now_us)
		r->next_wall_us = expiry_us;
	note_fate(h, a, index, &fates[verdict]);
}

/*
 * RFC 2852 4.1: the sender is told that it went on: where it will not be kept to the time that was named (N;
 * R does not go there), and from each relay when he asked for traces.
 */
static bool wants_relayed(const struct attempt *a)
{
	const struct deliver_by *by = &a->message.env.by;

	if (by->mode == DELIVER_BY_NONE || a->upstream_is_final)
		return false;
	return by->trace || !a->upstream_does_deliverby;
}

static void decide_all(struct attempt *a, const struct upstream_outcome *outcome, struct decision of_message,
		       double luck)
{
	bool through = got_through(a, of_message);
	char *message_reply = oneline(&outcome->reply);
	struct history history = { 0 };

	for (size_t i = 0; i < a->txn.rcpt_count; i++) {
		struct decision d = decision_for(a, i, of_message);
		const char *reply = a->answer[i].answered ? a->answer[i].reply : message_reply;

		if (d.verdict != VERDICT_UNTOUCHED)
			decide_recipient(a, a->rcpt[i], d.verdict, reply, through && a->answer[i].too_many, luck, &history);
	}
	write_history(a, &history);
	free(message_reply);
	a->tell_success = through && !a->upstream_does_dsn;
	a->tell_relayed = through && wants_relayed(a);
}

struct attempt_result attempt_conclude(struct attempt *a, const struct upstream_outcome *outcome, double luck)
{
	struct decision of_message = outcome_decide(outcome);
	struct attempt_result result = { .answered = outcome->how == UPSTREAM_ANSWERED,
					 .upstream_trouble = of_message.upstream_trouble };
	int64_t now_us = clock_wall_us();

	for (size_t i = 0; i < a->txn.rcpt_count; i++) {
		struct decision d = decision_for(a, i, of_message);

		result.touched = result.touched || d.verdict != VERDICT_UNTOUCHED;
		result.upstream_trouble = result.upstream_trouble || d.upstream_trouble;
		result.answered = result.answered || a->answer[i].answered;
	}
	if (!result.touched)
		return result;
	result.delivered = got_through(a, of_message);
	/*
	 * it may have to wait for a disk that takes its state, and thousands may: not with a descriptor each
	 */
	spool_message_close_file(&a->message);
	a->is_changed = true;
	a->state.tries++;
	a->state.last_attempt_wall_us = now_us;
	a->state.uncertain = of_message.verdict == VERDICT_UNCERTAIN;
	decide_all(a, outcome, of_message, luck);
	spool_state_follow(&a->state);
	return result;
}

/* What is told of somebody who expired without a try; the caller's. */
static char *words_of_expiry(const struct attempt *a, size_t upstream, const char *trouble,
			     const char *before)
{
	if (upstream == a->rules->routes->upstream_count)
		return mem_printf(
			"expired while it could not be found out whether this is a mailing list: %s%s%s",
			trouble, before ? "; before that: " : "", before ? before : "");
	return mem_printf("expired while upstream \"%s\" could not be reached: %s%s%s",
			  upstream_name(a, upstream), trouble, before ? "; before that: " : "",
			  before ? before : "");
}

static void expire(struct attempt *a, size_t i, size_t upstream, const char *text, struct history *history)
{
	struct rcpt_state *r = &a->state.rcpt[i];

	rcpt_state_set(r, RCPT_EXPIRED, clock_wall_us(), upstream_name(a, upstream), NULL, text);
	r->next_wall_us = 0;
	note_fate(history, a, i, &fate_expired);
}

static bool end_expiry(struct attempt *a, const struct history *history)
{
	write_history(a, history);
	spool_state_follow(&a->state);
	a->is_changed = a->is_changed || history->count > 0;
	return history->count > 0;
}

/* Whose upstream that is; lists: nobody can say, and one stands for it. */
static size_t upstream_of(const struct attempt *a, size_t i)
{
	const struct routes *routes = a->rules->routes;

	return routes->upstream_count > 1 ? route_find(routes, &a->message.env, i, a->state.route) : 0;
}

static size_t upstream_in_name(const struct attempt *a, size_t upstream)
{
	const struct routes *routes = a->rules->routes;

	return upstream == routes->upstream_count ? routes->lists->upstream : upstream;
}

bool attempt_give_up(struct attempt *a, const char *const *trouble)
{
	struct history history = { 0 };

	if (clock_wall_us() < expiry_wall_us(a) || a->state.held)
		return false;
	for (size_t i = 0; i < a->state.rcpt_count; i++) {
		size_t upstream;
		char *text;

		if (a->state.rcpt[i].status != RCPT_PENDING)
			continue;
		upstream = upstream_of(a, i);
		if (!trouble[upstream])
			continue;
		text = words_of_expiry(a, upstream, trouble[upstream], a->state.rcpt[i].reply);
		expire(a, i, upstream_in_name(a, upstream), text, &history);
		free(text);
	}
	return end_expiry(a, &history);
}

bool attempt_return(struct attempt *a)
{
	struct history history = { 0 };

	ASSERT(a->message.env.by.mode == DELIVER_BY_RETURN);
	if (clock_wall_us() < a->message.env.by.wall_us || a->state.held)
		return false;
	for (size_t i = 0; i < a->state.rcpt_count; i++) {
		const char *reply = a->state.rcpt[i].reply;
		char *text;

		if (a->state.rcpt[i].status != RCPT_PENDING)
			continue;
		text = mem_printf("not delivered by the time that its sender named%s%s",
				  reply ? "; before that: " : "", reply ? reply : "");
		expire(a, i, upstream_in_name(a, upstream_of(a, i)), text, &history);
		free(text);
	}
	return end_expiry(a, &history);
}
