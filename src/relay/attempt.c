/* SPDX-License-Identifier: ISC */
/*
 * See attempt.h: from the spool into memory, and back. attempt_conclude.c is what lies between. Runs in the
 * relay.
 */
#include "relay/attempt.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "figures/figures.h"
#include "spool/recover.h"

static ssize_t read_content(struct upstream_txn *t, uint64_t offset, void *data, size_t cap, struct err *e)
{
	return spool_message_read(&((struct attempt *)t)->message, offset, data, cap, e);
}

/* ---- opening ------------------------------------------------------------------ */

static void quarantine(const struct spool *s, const char *id, const char *reason)
{
	struct log_line line;
	struct err e;
	bool moved = spool_quarantine(s, id, reason, &e) == 0;

	figures_add(FIGURE_SPOOL_QUARANTINED, 0, 0, moved);
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

/*
 * The state beside the message; one that cannot be read is moved away and all recipients are pending again.
 */
static bool load_state(struct attempt *a, const struct spool *s, const char *id)
{
	struct err e, e2;

	spool_state_init_for(&a->state, &a->message.env);
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

/* Those of the domains that were picked already; beyond the limit no new one is let in. */
static bool domain_is_let_in(const struct attempt *a, size_t index, size_t picked, unsigned most,
			     unsigned *domains)
{
	const char *domain = strrchr(a->message.env.rcpt[index].address, '@');

	if (most == 0)
		return true;
	for (size_t i = picked; i-- > 0;) { /* recipients of a domain often stand together */
		const char *other = strrchr(a->message.env.rcpt[a->rcpt[i]].address, '@');

		if (strcasecmp(domain ? domain : "", other ? other : "") == 0)
			return true;
	}
	if (*domains == most)
		return false;
	(*domains)++;
	return true;
}

#define COMPARED_MAX                                                                                         \
	1000 /* recipients of a transaction whose domains are counted: each is compared with the others */

/* Those whose turn it is: pending, due, and for this upstream. */
static size_t pick_recipients(struct attempt *a, const struct attempt_limits *limits)
{
	const struct routes *routes = a->rules->routes;
	int64_t now_us = clock_wall_us();
	size_t most = limits->recipients ? limits->recipients : a->state.rcpt_count, n = 0;
	unsigned domains = 0;

	if (limits->domains > 0 && most > COMPARED_MAX)
		most = COMPARED_MAX;
	a->rcpt = mem_array(a->state.rcpt_count, sizeof(*a->rcpt));
	for (size_t i = 0; i < a->state.rcpt_count && n < most; i++) {
		const struct rcpt_state *r = &a->state.rcpt[i];

		if (r->status != RCPT_PENDING || r->next_wall_us > now_us)
			continue;
		if (routes->upstream_count > 1 && route_find(routes, &a->message.env, i, a->state.route) != a->upstream)
			continue;
		if (domain_is_let_in(a, i, n, limits->domains, &domains))
			a->rcpt[n++] = i;
	}
	a->answer = mem_array(n, sizeof(*a->answer));
	return n;
}

/*
 * No wait is longer than retry_max: a damaged date, or one written when the clock was wrong. And one that
 * began in the future is over: the clock was set back since, and the queue in memory, which follows it, says
 * when it is due.
 */
static void cut_dates(struct attempt *a)
{
	int64_t now_us = clock_wall_us(), latest_us = now_us + a->rules->retry.max_ms / 10 * 11 * 1000;

	for (size_t i = 0; i < a->state.rcpt_count; i++) {
		struct rcpt_state *r = &a->state.rcpt[i];

		if (r->next_wall_us > latest_us || (r->next_wall_us > now_us && r->when_wall_us > now_us))
			r->next_wall_us = now_us;
	}
}

enum attempt_open attempt_load(struct attempt **out, const struct attempt_rules *rules, const char *id, bool verify)
{
	struct attempt *a = mem_alloc(sizeof(*a));
	struct err e;

	a->rules = rules;
	a->message.fd = -1;
	switch (spool_message_open(&a->message, rules->spool, id, verify, &e)) {
	case SPOOL_READ_OK:
		break;
	case SPOOL_READ_GONE:
		free(a);
		return ATTEMPT_GONE;
	case SPOOL_READ_CORRUPT:
		quarantine(rules->spool, id, e.text);
		free(a);
		return ATTEMPT_QUARANTINED;
	case SPOOL_READ_FAILED:
		log_spool_error(id, e.text);
		free(a);
		return ATTEMPT_LATER;
	}
	if (!load_state(a, rules->spool, id)) {
		attempt_free(a);
		return ATTEMPT_LATER;
	}
	cut_dates(a);
	*out = a;
	return ATTEMPT_READY;
}

enum attempt_open attempt_open(struct attempt **out, const struct attempt_rules *rules, const char *id,
			       size_t upstream, const struct attempt_limits *limits,
			       void (*done)(struct upstream_txn *t, const struct upstream_outcome *o))
{
	enum attempt_open result = attempt_load(out, rules, id, true);
	struct attempt *a;

	if (result != ATTEMPT_READY)
		return result;
	a = *out;
	a->upstream = upstream;
	if (a->state.held)
		return ATTEMPT_ELSEWHERE;
	a->txn.rcpt_count = pick_recipients(a, limits);
	if (a->txn.rcpt_count == 0)
		return ATTEMPT_ELSEWHERE;
	a->since_wall_us = clock_wall_us();
	a->txn.env = &a->message.env;
	a->txn.rcpt = a->rcpt;
	a->txn.content_bytes = a->message.content_bytes;
	a->txn.has_dot_lines = a->message.has_dot_lines;
	a->txn.has_eightbit = a->message.has_eightbit;
	a->txn.read = read_content;
	a->txn.recipient = attempt_take_reply;
	a->txn.final = attempt_take_final;
	a->txn.done = done;
	return ATTEMPT_READY;
}

void attempt_free(struct attempt *a)
{
	for (size_t i = 0; a->answer && i < a->txn.rcpt_count; i++)
		free(a->answer[i].reply);
	free(a->answer);
	free(a->rcpt);
	spool_state_release(&a->state);
	spool_message_close(&a->message);
	free(a);
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

static void log_report(const struct attempt *a, const char *event, const char *report_id, const char *to)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_INFO, event);
	log_str(&line, "id", a->message.env.id);
	log_str(&line, "report", report_id);
	log_str(&line, "to", to);
	log_end(&line);
}

static size_t count_unreported(const struct spool_state *st)
{
	size_t n = 0;

	for (size_t i = 0; i < st->rcpt_count; i++)
		n += !st->rcpt[i].reported;
	return n;
}

static bool decide_report(struct attempt *a)
{
	size_t before = count_unreported(&a->state);
	bool wanted = bounce_prepare(a->rules->bounce, &a->message.env, &a->state);

	a->is_changed = a->is_changed || wanted || count_unreported(&a->state) != before;
	return wanted;
}

static int make_report(struct attempt *a, struct err *e)
{
	struct spool_id id = a->state.report_id; /* its recipients are reported, and it is forgotten, when it is made */
	const char *to = NULL;

	if (bounce_commit(a->rules->bounce, a->rules->spool, &a->message, &a->state, &to, e) < 0)
		return -1;
	spool_message_close_file(&a->message);
	a->report[0] = id;
	a->is_changed = true;
	log_report(a, "bounced", id.text, to);
	return 0;
}

/* Did somebody who was delivered to now want that to be told? */
static bool success_is_asked_for(const struct attempt *a)
{
	for (size_t i = 0; (a->tell_success || a->tell_relayed) && i < a->txn.rcpt_count; i++)
		if (a->state.rcpt[a->rcpt[i]].status == RCPT_DELIVERED &&
		    bounce_tells_relayed(&a->message.env.rcpt[a->rcpt[i]], a->tell_success, a->tell_relayed))
			return true;
	return false;
}

static int tell_success(struct attempt *a, struct err *e)
{
	size_t *rcpt = mem_array(a->txn.rcpt_count, sizeof(*rcpt)), n = 0;
	int r;

	for (size_t i = 0; i < a->txn.rcpt_count; i++)
		if (a->state.rcpt[a->rcpt[i]].status == RCPT_DELIVERED &&
		    bounce_tells_relayed(&a->message.env.rcpt[a->rcpt[i]], a->tell_success, a->tell_relayed))
			rcpt[n++] = a->rcpt[i];
	r = bounce_relayed(a->rules->bounce, a->rules->spool, &a->message, &a->state, rcpt, n, &a->report[1], e);
	free(rcpt);
	if (r < 0)
		return -1;
	spool_message_close_file(&a->message);
	a->tell_success = a->tell_relayed = false;
	if (a->report[1].text[0])
		log_report(a, "relayed", a->report[1].text, a->message.env.sender);
	return 0;
}

static int save_state(struct attempt *a, struct err *e)
{
	if (a->is_changed && spool_state_save(&a->state, a->rules->spool, a->message.env.id, e) < 0)
		return -1;
	a->is_changed = false;
	return 0;
}

enum attempt_saved attempt_save(struct attempt *a, struct err *e)
{
	bool report = decide_report(a), success = success_is_asked_for(a);

	/* what was decided is durable before anybody is told of it; manage/bounce.h has the order */
	if ((report || success || !spool_state_is_finished(&a->state)) && save_state(a, e) < 0)
		return ATTEMPT_UNSAVED;
	if (report && make_report(a, e) < 0)
		return ATTEMPT_UNSAVED;
	if (success && tell_success(a, e) < 0)
		return ATTEMPT_UNSAVED;
	if (spool_state_is_finished(&a->state)) {
		if (spool_remove(a->rules->spool, a->message.env.id, e) < 0)
			return ATTEMPT_UNSAVED;
		log_completed(a);
		return ATTEMPT_COMPLETED;
	}
	if (save_state(a, e) < 0)
		return ATTEMPT_UNSAVED;
	return !a->state.held && spool_state_count(&a->state, RCPT_PENDING) > 0 ? ATTEMPT_AGAIN : ATTEMPT_PARKED;
}
