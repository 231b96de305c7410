/* SPDX-License-Identifier: ISC */
/* See listing.h. Reads the spool, with the operator's own rights, beside a running relay. */
#include "cli/listing.h"

#include <string.h>

#include "base/assert.h"

const char *condition_name(enum condition c)
{
	switch (c) {
	case CONDITION_QUEUED:
		return "queued";
	case CONDITION_DEFERRED:
		return "deferred";
	case CONDITION_HELD:
		return "held";
	case CONDITION_FAILED:
		return "failed";
	case CONDITION_DELIVERED:
		return "delivered";
	case CONDITION_CORRUPT:
		return "corrupt";
	case CONDITION_UNREADABLE:
		return "unreadable";
	}
	assert_failed("a condition without a name", __FILE__, __LINE__);
}

bool listing_is_readable(const struct listing *l)
{
	return l->condition != CONDITION_CORRUPT && l->condition != CONDITION_UNREADABLE;
}

static enum condition condition_of(const struct spool_state *st, size_t left)
{
	if (st->held)
		return CONDITION_HELD;
	if (left == 0)
		return spool_state_count(st, RCPT_DELIVERED) == st->rcpt_count ? CONDITION_DELIVERED
									       : CONDITION_FAILED;
	return st->tries > 0 || left < st->rcpt_count ? CONDITION_DEFERRED : CONDITION_QUEUED;
}

/* As for a message without a state. */
static bool is_blank(const struct spool_state *st)
{
	return st->tries == 0 && st->held == (st->born_hold != NULL) && !st->released &&
	       st->next_attempt_wall_us == 0 && spool_state_count(st, RCPT_PENDING) == st->rcpt_count;
}

/* What could not be read is listed all the same; nothing of it is left open. False: it is gone. */
static bool take_result(struct listing *l, enum spool_read r)
{
	switch (r) {
	case SPOOL_READ_OK:
		return true;
	case SPOOL_READ_GONE:
		return false;
	case SPOOL_READ_CORRUPT:
		l->condition = CONDITION_CORRUPT;
		return true;
	case SPOOL_READ_FAILED:
		l->condition = CONDITION_UNREADABLE;
		return true;
	}
	assert_failed("a result without a meaning", __FILE__, __LINE__);
}

void listing_fail(struct listing *l, const char *id, const struct err *e)
{
	memset(l, 0, sizeof(*l));
	memcpy(l->id.text, id, SPOOL_ID_LEN);
	l->why = *e;
	l->condition = CONDITION_UNREADABLE;
}

bool listing_begin(struct listing *l, const struct spool *s, const char *id, int message_fd)
{
	memset(l, 0, sizeof(*l));
	memcpy(l->id.text, id, SPOOL_ID_LEN);
	if (message_fd >= 0)
		return take_result(l, spool_message_adopt(&l->msg, s, id, message_fd, false, &l->why));
	return take_result(l, spool_message_open(&l->msg, s, id, false, &l->why));
}

bool listing_add_state(struct listing *l, const struct spool *s, enum listing_state how, int state_fd)
{
	enum spool_read r = SPOOL_READ_OK;

	if (!listing_is_readable(l))
		return true;
	spool_state_init_for(&l->state, &l->msg.env);
	if (how == LISTING_STATE_OPEN)
		r = spool_state_load(&l->state, s, l->id.text, &l->why);
	else if (how == LISTING_STATE_GIVEN)
		r = spool_state_load_from(&l->state, s, l->id.text, state_fd, &l->why);
	/*
	 * The relay removes the message first, then its state. Reading them in this order, one that lost its
	 * state in between would look as if it were new.
	 */
	if (r == SPOOL_READ_OK && how != LISTING_STATE_NONE && is_blank(&l->state) &&
	    !spool_message_is_there(&l->msg))
		r = SPOOL_READ_GONE;
	if (r != SPOOL_READ_OK) {
		spool_message_close(&l->msg);
		spool_state_release(&l->state);
		return take_result(l, r);
	}
	l->left = spool_state_count(&l->state, RCPT_PENDING);
	l->condition = condition_of(&l->state, l->left);
	return true;
}

bool listing_open(struct listing *l, const struct spool *s, const char *id, bool may_have_state)
{
	return listing_begin(l, s, id, -1) &&
	       listing_add_state(l, s, may_have_state ? LISTING_STATE_OPEN : LISTING_STATE_NONE, -1);
}

void listing_close(struct listing *l)
{
	if (!listing_is_readable(l))
		return;
	spool_message_close(&l->msg);
	spool_state_release(&l->state);
}

const char *listing_last_reply(const struct listing *l)
{
	const struct rcpt_state *last = NULL;

	for (size_t i = 0; i < l->state.rcpt_count; i++) {
		const struct rcpt_state *r = &l->state.rcpt[i];

		/* of somebody who waits (or whom nobody could be told of) rather than of who is dealt with */
		if (r->reply && r->status != RCPT_DELIVERED &&
		    (!last || (r->reported == last->reported ? r->when_wall_us > last->when_wall_us : last->reported)))
			last = r;
	}
	return last ? last->reply : NULL;
}

const char *listing_why(const struct listing *l)
{
	const char *at = strstr(l->why.text, l->id.text);

	if (!at)
		return l->why.text;
	at += SPOOL_ID_LEN;
	return at + strspn(at, ": ");
}
