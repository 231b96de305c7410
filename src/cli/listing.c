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
	return st->tries == 0 && !st->held && st->next_attempt_wall_us == 0 &&
	       spool_state_count(st, RCPT_PENDING) == st->rcpt_count;
}

/*
 * The relay removes the message first, then its state. Reading them in this
 * order, one that lost its state in between would look as if it were new.
 */
static bool is_still_there(const struct spool *s, const char *id)
{
	struct spool_message again;
	struct err ignored;

	if (spool_message_open(&again, s, id, false, &ignored) != SPOOL_READ_OK)
		return false;
	spool_message_close(&again);
	return true;
}

bool listing_open(struct listing *l, const struct spool *s, const char *id, bool may_have_state)
{
	enum spool_read r;

	memset(l, 0, sizeof(*l));
	memcpy(l->id.text, id, SPOOL_ID_LEN);
	r = spool_message_open(&l->msg, s, id, false, &l->why);
	if (r == SPOOL_READ_OK) {
		spool_state_init(&l->state, l->msg.env.rcpt_count);
		if (may_have_state)
			r = spool_state_load(&l->state, s, id, &l->why);
		if (r == SPOOL_READ_OK && may_have_state && is_blank(&l->state) && !is_still_there(s, id))
			r = SPOOL_READ_GONE;
		if (r != SPOOL_READ_OK) {
			spool_message_close(&l->msg);
			spool_state_release(&l->state);
		}
	}
	switch (r) {
	case SPOOL_READ_GONE:
		return false;
	case SPOOL_READ_CORRUPT:
		l->condition = CONDITION_CORRUPT;
		return true;
	case SPOOL_READ_FAILED:
		l->condition = CONDITION_UNREADABLE;
		return true;
	case SPOOL_READ_OK:
		break;
	}
	l->left = spool_state_count(&l->state, RCPT_PENDING);
	l->condition = condition_of(&l->state, l->left);
	return true;
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

		if (r->reply && r->status != RCPT_DELIVERED &&
		    (!last || r->when_wall_us > last->when_wall_us))
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
