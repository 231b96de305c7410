/* SPDX-License-Identifier: ISC */
/* See attempt.h. Runs in the relay. */
#include "relay/attempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "spool/recover.h"

static ssize_t read_content(struct upstream_txn *t, uint64_t offset, void *data, size_t cap, struct err *e)
{
	return spool_message_read(&((struct attempt *)t)->message, offset, data, cap, e);
}

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

static void take_recipient_reply(struct upstream_txn *t, size_t i, const struct smtp_reply *reply)
{
	struct attempt *a = (struct attempt *)t;
	struct upstream_outcome outcome = { UPSTREAM_ANSWERED, UPSTREAM_RCPT, *reply };
	struct attempt_rcpt *r = &a->answer[i];

	if (smtp_reply_is_positive(reply))
		return;
	r->refused = true;
	r->decision = outcome_decide(&outcome);
	r->too_many = reply->code == 452 && (reply->enhanced[0] == '\0' || strcmp(reply->enhanced, "4.5.3") == 0);
	free(r->reply);
	r->reply = oneline(reply);
}

/* ---- opening ------------------------------------------------------------------ */

static void quarantine(const struct spool *s, const char *id, const char *reason)
{
	struct log_line line;
	struct err e;
	bool moved = spool_quarantine(s, id, reason, &e) == 0;

	log_begin(&line, LOG_LEVEL_ERROR, "quarantined");
	log_str(&line, "id", id);
	log_str(&line, "reason", reason);
	if (!moved)
		log_str(&line, "error", e.text);
	log_end(&line);
}

static void log_spool_error(const char *id, const char *reason)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_ERROR, "spool_error");
	log_str(&line, "id", id);
	log_str(&line, "reason", reason);
	log_end(&line);
}

/* The state beside the message; one that cannot be read is moved away and all recipients are pending again. */
static bool load_state(struct attempt *a, const struct spool *s, const char *id)
{
	struct err e, e2;

	spool_state_init(&a->state, a->message.env.rcpt_count);
	switch (spool_state_load(&a->state, s, id, &e)) {
	case SPOOL_READ_OK:
	case SPOOL_READ_GONE:
		return true;
	case SPOOL_READ_CORRUPT:
		log_spool_error(id, e.text);
		if (spool_quarantine_state(s, id, e.text, &e2) < 0)
			log_spool_error(id, e2.text);
		return true;
	case SPOOL_READ_FAILED:
		log_spool_error(id, e.text);
		return false;
	}
	return false;
}

static size_t pick_recipients(struct attempt *a)
{
	size_t n = 0;

	a->rcpt = mem_array(a->state.rcpt_count, sizeof(*a->rcpt));
	a->answer = mem_array(a->state.rcpt_count, sizeof(*a->answer));
	for (size_t i = 0; i < a->state.rcpt_count; i++)
		if (a->state.rcpt[i].status == RCPT_PENDING)
			a->rcpt[n++] = i;
	return n;
}

enum attempt_open attempt_open(struct attempt **out, const struct spool *s, const char *id, const char *upstream,
			       void (*done)(struct upstream_txn *t, const struct upstream_outcome *o))
{
	struct attempt *a = mem_alloc(sizeof(*a));
	enum attempt_open result = ATTEMPT_LATER;
	struct err e;

	a->message.fd = -1;
	switch (spool_message_open(&a->message, s, id, true, &e)) {
	case SPOOL_READ_OK:
		break;
	case SPOOL_READ_GONE:
		free(a);
		return ATTEMPT_GONE;
	case SPOOL_READ_CORRUPT:
		quarantine(s, id, e.text);
		free(a);
		return ATTEMPT_QUARANTINED;
	case SPOOL_READ_FAILED:
		log_spool_error(id, e.text);
		free(a);
		return ATTEMPT_LATER;
	}
	if (!load_state(a, s, id))
		goto fail;
	a->txn.rcpt_count = pick_recipients(a);
	result = ATTEMPT_NOTHING_TO_DO;
	if (a->txn.rcpt_count == 0 || a->state.held)
		goto fail;
	a->upstream = upstream;
	a->txn.env = &a->message.env;
	a->txn.rcpt = a->rcpt;
	a->txn.content_bytes = a->message.content_bytes;
	a->txn.has_dot_lines = a->message.has_dot_lines;
	a->txn.has_eightbit = a->message.has_eightbit;
	a->txn.read = read_content;
	a->txn.recipient = take_recipient_reply;
	a->txn.done = done;
	*out = a;
	return ATTEMPT_READY;
fail:
	attempt_free(a);
	return result;
}

void attempt_free(struct attempt *a)
{
	for (size_t i = 0; a->answer && i < a->state.rcpt_count; i++)
		free(a->answer[i].reply);
	free(a->answer);
	free(a->rcpt);
	spool_state_release(&a->state);
	spool_message_close(&a->message);
	free(a);
}

/* ---- concluding ----------------------------------------------------------------- */

static void log_recipient(const struct attempt *a, size_t index, enum verdict verdict, const char *reply,
			  int64_t now_us)
{
	enum log_level level = verdict == VERDICT_FAILED || verdict == VERDICT_UNCERTAIN ? LOG_LEVEL_WARNING :
											   LOG_LEVEL_INFO;
	const struct envelope *env = &a->message.env;
	char next[CLOCK_UTC_MAX];
	struct log_line line;

	log_begin(&line, level, verdict_name(verdict));
	log_str(&line, "id", env->id);
	log_str(&line, "from", env->sender);
	log_str(&line, "to", env->rcpt[index].address);
	log_str(&line, "upstream", a->upstream);
	log_str(&line, "remote", a->remote);
	log_int(&line, "tries", a->state.tries);
	log_seconds(&line, "delay", (now_us - env->arrived_wall_us) / 1000);
	if (verdict == VERDICT_DEFERRED || verdict == VERDICT_UNCERTAIN)
		log_str(&line, "next", clock_format_utc(a->state.next_attempt_wall_us, next));
	log_str(&line, "reply", reply); /* last: it is the one that may be cut */
	log_end(&line);
}

static struct decision decision_for(const struct attempt *a, size_t i, struct decision of_message)
{
	return a->answer[i].refused ? a->answer[i].decision : of_message;
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

/* Everyone left was one too many for this transaction: the rest goes at once (RFC 5321 4.5.3.1.10). */
static bool only_too_many(const struct attempt *a, struct decision of_message)
{
	bool some_left = false;

	if (of_message.verdict != VERDICT_DELIVERED)
		return false;
	for (size_t i = 0; i < a->txn.rcpt_count; i++) {
		if (status_after(decision_for(a, i, of_message).verdict) != RCPT_PENDING)
			continue;
		if (!a->answer[i].too_many)
			return false;
		some_left = true;
	}
	return some_left && spool_state_count(&a->state, RCPT_DELIVERED) > 0;
}

struct attempt_result attempt_conclude(struct attempt *a, const struct upstream_outcome *outcome,
				       const struct retry_limits *limits, double luck)
{
	struct decision of_message = outcome_decide(outcome);
	struct attempt_result result = { .answered = outcome->how == UPSTREAM_ANSWERED,
					 .upstream_trouble = of_message.upstream_trouble };
	int64_t now_us = clock_wall_us(), wait_ms;
	char *message_reply = oneline(&outcome->reply);

	for (size_t i = 0; i < a->txn.rcpt_count; i++) {
		struct decision d = decision_for(a, i, of_message);

		result.touched = result.touched || d.verdict != VERDICT_UNTOUCHED;
		result.upstream_trouble = result.upstream_trouble || d.upstream_trouble;
		result.answered = result.answered || a->answer[i].refused;
	}
	a->due_wall_ms = now_us / 1000;
	if (!result.touched)
		goto out;
	/* it may have to wait for a disk that takes its state, and thousands may: not with a descriptor each */
	spool_message_close_file(&a->message);
	a->state.tries++;
	a->state.last_attempt_wall_us = now_us;
	a->state.uncertain = of_message.verdict == VERDICT_UNCERTAIN;
	for (size_t i = 0; i < a->txn.rcpt_count; i++) {
		struct decision d = decision_for(a, i, of_message);

		if (d.verdict != VERDICT_UNTOUCHED)
			rcpt_state_set(&a->state.rcpt[a->rcpt[i]], status_after(d.verdict), now_us, a->upstream,
				       NULL, a->answer[i].refused ? a->answer[i].reply : message_reply);
	}
	wait_ms = only_too_many(a, of_message) ? 0 : retry_interval_ms(limits, a->state.tries, luck);
	for (size_t i = 0; i < a->state.rcpt_count; i++)
		if (a->state.rcpt[i].status == RCPT_PENDING)
			a->state.rcpt[i].next_wall_us = now_us + wait_ms * 1000;
	spool_state_follow(&a->state);
	a->due_wall_ms = now_us / 1000 + wait_ms;
	for (size_t i = 0; i < a->txn.rcpt_count; i++) {
		struct decision d = decision_for(a, i, of_message);

		if (d.verdict != VERDICT_UNTOUCHED)
			log_recipient(a, a->rcpt[i], d.verdict, a->answer[i].refused ? a->answer[i].reply : message_reply,
				      now_us);
	}
out:
	free(message_reply);
	return result;
}

/* ---- saving --------------------------------------------------------------------- */

static void log_completed(const struct attempt *a)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_INFO, "completed");
	log_str(&line, "id", a->message.env.id);
	log_seconds(&line, "delay", (clock_wall_us() - a->message.env.arrived_wall_us) / 1000);
	log_end(&line);
}

enum attempt_saved attempt_save(struct attempt *a, const struct spool *s, struct err *e)
{
	const char *id = a->message.env.id;

	if (spool_state_count(&a->state, RCPT_DELIVERED) == a->state.rcpt_count) {
		if (spool_remove(s, id, e) < 0)
			return ATTEMPT_UNSAVED;
		log_completed(a);
		return ATTEMPT_COMPLETED;
	}
	if (spool_state_save(&a->state, s, id, e) < 0)
		return ATTEMPT_UNSAVED;
	return spool_state_count(&a->state, RCPT_PENDING) > 0 ? ATTEMPT_AGAIN : ATTEMPT_PARKED;
}
