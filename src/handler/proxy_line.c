/* SPDX-License-Identifier: ISC */
/* See proxy_line.h. Runs in a worker, which waits for the upstream as its client waits for it. */
#include "handler/proxy_line.h"

#include <stdlib.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#define QUICK_MS 1000 /* a failure that took less keeps nobody waiting */
#define SEEN_MS (5 * 60 * 1000) /* what was announced may have changed afterwards */

static void log_remote(const struct proxy_line *l, enum log_level level, const char *event,
		       const char *reason, int64_t pause_ms)
{
	struct log_line line;

	log_begin(&line, level, event);
	log_str(&line, "upstream", l->upstream->name);
	log_str(&line, "remoteaddr", l->upstream->remote[l->at].name);
	if (pause_ms > 0)
		log_seconds(&line, "pause", pause_ms);
	log_str(&line, "reason", reason);
	log_end(&line);
}

static void trace(void *ctx, bool from_upstream, const char *text, size_t len)
{
	struct log_line line;

	(void)ctx;
	log_begin(&line, LOG_LEVEL_DEBUG, "upstream_dialogue");
	log_strn(&line, from_upstream ? "received" : "sent", text, len);
	log_end(&line);
}

void proxy_line_init(struct proxy_line *l, const struct proxy_setup *setup, const struct proxy_upstream *u)
{
	*l = (struct proxy_line){ .setup = setup, .upstream = u, .seen_mono_ms = CLOCK_NEVER };
	l->remote = mem_array(u->remote_count, sizeof(*l->remote));
	l->quick = mem_array(u->remote_count, sizeof(*l->quick));
	for (size_t i = 0; i < u->remote_count; i++)
		l->remote[i].weight = u->remote[i].weight;
	remotes_group(l->remote, u->remote_count);
}

static void close_line(struct proxy_line *l, bool with_quit)
{
	if (!l->talk)
		return;
	if (with_quit)
		talk_quit(l->talk, NULL);
	talk_free(l->talk);
	l->talk = NULL;
	l->dirty = false;
}

void proxy_line_release(struct proxy_line *l)
{
	close_line(l, !l->dirty);
	free(l->remote);
	free(l->quick);
}

/* ---- addresses ---------------------------------------------------------------------- */

static double luck(void)
{
	uint32_t n;

	return getrandom(&n, sizeof(n), 0) == sizeof(n) ? n / 4294967296.0 : 0.5;
}

static void address_failed(struct proxy_line *l, const struct upstream_outcome *why, int64_t took_ms)
{
	struct breaker *b = &l->remote[l->at].breaker;
	bool news = b->failures == 0, unused;
	struct buf text;
	int64_t pause;

	l->trouble = *why;
	l->quick[l->at] = took_ms < QUICK_MS;
	pause = breaker_failed(b, &l->upstream->probe, luck(), clock_mono_ms(), &unused);
	buf_init(&text, 2 * SMTP_REPLY_TEXT_MAX);
	smtp_reply_oneline(&why->reply, &text);
	log_remote(l, news ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		   news ? "upstream_down" : "upstream_still_down", text.data, pause);
	buf_release(&text);
}

void proxy_line_worked(struct proxy_line *l)
{
	struct breaker *b = &l->remote[l->at].breaker;
	bool was_down = b->failures > 0;

	breaker_worked(b);
	if (was_down)
		log_remote(l, LOG_LEVEL_INFO, "upstream_up", NULL, 0);
}

/* The pause of an address ends with being asked again by whoever comes next. */
static void end_pauses(struct proxy_line *l)
{
	for (size_t i = 0; i < l->upstream->remote_count; i++) {
		struct breaker *b = &l->remote[i].breaker;

		breaker_follow_clock(b, clock_mono_ms());
		if (b->state == BREAKER_PROBING)
			b->state = BREAKER_UP;
	}
}

/*
 * The next address to try in this round, REMOTES_NONE: no more. First those that are up, in order and by
 * weight; then, as it is better to ask in vain than to refuse a client in vain, those that failed but answer
 * quickly. Only what would keep client after client waiting for a time-out is left alone for its pause.
 */
static size_t next_address(struct proxy_line *l, const bool *tried)
{
	size_t count = l->upstream->remote_count, i = remotes_choose(l->remote, count);

	if (i != REMOTES_NONE)
		return i;
	for (i = 0; i < count; i++)
		if (!tried[i] && l->quick[i])
			return i;
	return REMOTES_NONE;
}

static int open_at(struct proxy_line *l, size_t i, struct upstream_outcome *why)
{
	const struct talk_options options = { .trace = l->setup->trace ? trace : NULL,
					      .control = l->setup->control };
	int64_t began = clock_mono_ms();

	l->at = i;
	l->talk = talk_new(&l->upstream->remote[i].settings, &options);
	if (talk_connect(l->talk, why) < 0) {
		close_line(l, false);
		address_failed(l, why, clock_mono_ms() - began);
		return -1;
	}
	l->dirty = false;
	l->messages = 0;
	l->opened_mono_ms = l->used_mono_ms = l->seen_mono_ms = clock_mono_ms();
	l->seen = *talk_features(l->talk);
	return 0;
}

static int open_line(struct proxy_line *l, struct upstream_outcome *why)
{
	bool *tried = mem_array(l->upstream->remote_count, sizeof(*tried));
	int r = -1;
	size_t i;

	*why = l->trouble; /* of those that are left alone */
	end_pauses(l);
	while (r < 0 && (i = next_address(l, tried)) != REMOTES_NONE) {
		tried[i] = true;
		r = open_at(l, i, why);
	}
	free(tried);
	return r;
}

/* ---- keeping ------------------------------------------------------------------------- */

static int64_t ends_mono_ms(const struct proxy_line *l)
{
	const struct proxy_upstream *u = l->upstream;
	int64_t idle = l->used_mono_ms + u->remote[l->at].settings.idle_timeout_ms;
	int64_t aged =
		u->connection_max_age_ms > 0 ? l->opened_mono_ms + u->connection_max_age_ms : CLOCK_NEVER;

	if (u->messages_per_connection > 0 && l->messages >= u->messages_per_connection)
		return 0;
	return idle < aged ? idle : aged;
}

/* An open transaction is of a client that broke off. */
static bool is_clean(struct proxy_line *l, struct upstream_outcome *o)
{
	if (!l->dirty)
		return talk_is_silent(l->talk, o);
	l->dirty = false;
	return talk_command(l->talk, UPSTREAM_IDLE, "RSET", 4, o) == 0 && o->reply.code / 100 == 2 &&
	       talk_is_open(l->talk);
}

int proxy_line_ready(struct proxy_line *l, struct upstream_outcome *why)
{
	if (l->talk && clock_mono_ms() >= ends_mono_ms(l))
		close_line(l, talk_is_open(l->talk));
	if (l->talk && !is_clean(l, why))
		close_line(l, false); /* it was idle, so that says nothing about the address */
	l->reused = l->talk != NULL;
	if (!l->talk && open_line(l, why) < 0)
		return -1;
	l->asked_mono_ms = clock_mono_ms();
	return 0;
}

const struct upstream_features *proxy_line_features(struct proxy_line *l)
{
	struct upstream_outcome why;

	if (l->talk || (l->seen_mono_ms != CLOCK_NEVER && clock_mono_ms() - l->seen_mono_ms < SEEN_MS))
		return &l->seen;
	return proxy_line_ready(l, &why) == 0 ? &l->seen : NULL;
}

void proxy_line_drop(struct proxy_line *l, const struct upstream_outcome *by_upstream)
{
	close_line(l, false);
	if (by_upstream)
		address_failed(l, by_upstream, clock_mono_ms() - l->asked_mono_ms);
}

void proxy_line_rest(struct proxy_line *l, bool dirty)
{
	l->dirty = dirty;
	l->used_mono_ms = clock_mono_ms();
}

int64_t proxy_line_idle(struct proxy_line *l)
{
	int64_t ends;

	if (!l->talk)
		return CLOCK_NEVER;
	ends = ends_mono_ms(l);
	if (clock_mono_ms() < ends)
		return ends;
	close_line(l, true);
	return CLOCK_NEVER;
}
