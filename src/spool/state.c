/* SPDX-License-Identifier: ISC */
/* See state.h. The value; its text is state_text.c's, its file state_file.c's. */
#include "spool/state.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "spool/state_internal.h"

static const char *const status_names[] = { "pending", "delivered", "failed", "expired" };

const char *rcpt_status_name(enum rcpt_status status)
{
	return status_names[status];
}

/* As at first; takes born_hold. */
static void begin(struct spool_state *st, size_t rcpt_count, char *born_hold)
{
	memset(st, 0, sizeof(*st));
	st->rcpt = mem_array(rcpt_count, sizeof(*st->rcpt));
	st->rcpt_count = rcpt_count;
	st->born_hold = born_hold;
	st->held = born_hold;
	st->hold_reason = mem_strdup_or_null(born_hold);
}

void spool_state_init(struct spool_state *st, size_t rcpt_count)
{
	begin(st, rcpt_count, NULL);
}

void spool_state_init_for(struct spool_state *st, const struct envelope *env)
{
	begin(st, env->rcpt_count, mem_strdup_or_null(env->hold));
}

static void event_release(struct spool_event *ev)
{
	free(ev->what);
	free(ev->upstream);
	free(ev->remote);
	free(ev->text);
	free(ev->by);
}

void spool_state_release(struct spool_state *st)
{
	for (size_t i = 0; i < st->rcpt_count; i++) {
		free(st->rcpt[i].upstream);
		free(st->rcpt[i].remote);
		free(st->rcpt[i].reply);
	}
	for (size_t i = 0; i < st->event_count; i++)
		event_release(&st->event[i]);
	free(st->rcpt);
	free(st->event);
	free(st->route);
	free(st->hold_reason);
	free(st->born_hold);
	memset(st, 0, sizeof(*st));
}

void spool_state_restart(struct spool_state *st)
{
	size_t count = st->rcpt_count;
	char *born_hold = st->born_hold;

	st->born_hold = NULL;
	spool_state_release(st);
	begin(st, count, born_hold);
}

void spool_state_hold(struct spool_state *st, const char *reason)
{
	char *old = st->hold_reason;

	st->held = true;
	st->hold_reason = mem_strdup_or_null(reason);
	free(old);
}

void spool_state_let_go(struct spool_state *st)
{
	st->held = false;
	free(st->hold_reason);
	st->hold_reason = NULL;
	st->released = st->born_hold;
}

void rcpt_state_set(struct rcpt_state *r, enum rcpt_status status, int64_t wall_us, const char *upstream,
		    const char *remote, const char *reply)
{
	struct rcpt_state old = *r;

	r->status = status;
	r->when_wall_us = wall_us;
	r->upstream = mem_strdup_or_null(upstream);
	r->remote = mem_strdup_or_null(remote);
	r->reply = mem_strdup_or_null(reply);
	free(old.upstream);
	free(old.remote);
	free(old.reply);
}

void spool_state_follow(struct spool_state *st)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < st->rcpt_count; i++)
		if (st->rcpt[i].status == RCPT_PENDING && st->rcpt[i].next_wall_us < next)
			next = st->rcpt[i].next_wall_us;
	st->next_attempt_wall_us = next == INT64_MAX ? 0 : next;
}

/* ---- what happened ------------------------------------------------------------ */

static bool same_event(const struct spool_event *a, const struct spool_event *b)
{
	return a->rcpts == b->rcpts && text_same(a->what, b->what) && text_same(a->upstream, b->upstream) &&
	       text_same(a->remote, b->remote) && text_same(a->text, b->text) && text_same(a->by, b->by);
}

/*
 * Among the latest ones of its kind: two recipients that are put off with different words would otherwise take two
 * places at each try, and drive out all that happened before.
 */
static struct spool_event *find_same_event(struct spool_state *st, const struct spool_event *event)
{
	for (size_t i = st->event_count; i > 0 && text_same(st->event[i - 1].what, event->what); i--)
		if (same_event(&st->event[i - 1], event))
			return &st->event[i - 1];
	return NULL;
}

static void move_to_end(struct spool_state *st, struct spool_event *ev)
{
	struct spool_event moved = *ev, *end = st->event + st->event_count;

	memmove(ev, ev + 1, (size_t)(end - ev - 1) * sizeof(*ev));
	end[-1] = moved;
}

/* A new last one, to be filled; the second oldest goes when there are too many. */
struct spool_event *spool_state_new_event(struct spool_state *st)
{
	if (!st->event)
		st->event = mem_array(SPOOL_EVENTS_MAX, sizeof(*st->event));
	if (st->event_count == SPOOL_EVENTS_MAX) {
		event_release(&st->event[1]);
		memmove(&st->event[1], &st->event[2], (SPOOL_EVENTS_MAX - 2) * sizeof(*st->event));
		st->event_count--;
	}
	memset(&st->event[st->event_count], 0, sizeof(*st->event));
	return &st->event[st->event_count++];
}

void spool_state_add_event(struct spool_state *st, const struct spool_event *event)
{
	struct spool_event *last = find_same_event(st, event);

	if (last) {
		move_to_end(st, last);
		last = &st->event[st->event_count - 1];
		last->times += last->times < UINT32_MAX;
		last->when_wall_us = event->when_wall_us;
		return;
	}
	last = spool_state_new_event(st);
	*last = (struct spool_event){ .when_wall_us = event->when_wall_us, .times = 1, .rcpts = event->rcpts,
				      .what = mem_strdup_or_null(event->what), .upstream = mem_strdup_or_null(event->upstream),
				      .remote = mem_strdup_or_null(event->remote), .text = mem_strdup_or_null(event->text),
				      .by = mem_strdup_or_null(event->by) };
}

size_t spool_state_count(const struct spool_state *st, enum rcpt_status status)
{
	size_t n = 0;

	for (size_t i = 0; i < st->rcpt_count; i++)
		n += st->rcpt[i].status == status;
	return n;
}

bool spool_state_is_finished(const struct spool_state *st)
{
	for (size_t i = 0; i < st->rcpt_count; i++)
		if (st->rcpt[i].status != RCPT_DELIVERED &&
		    (st->rcpt[i].status == RCPT_PENDING || !st->rcpt[i].reported))
			return false;
	return true;
}

/* Does it hold anything that a power cut must not take back? */
bool spool_state_must_last(const struct spool_state *st)
{
	return st->held || st->released || st->route || st->report_id.text[0] ||
	       spool_state_count(st, RCPT_PENDING) != st->rcpt_count;
}
