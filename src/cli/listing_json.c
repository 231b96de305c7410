/* SPDX-License-Identifier: ISC */
/*
 * The message as JSON. The first fields, up to `recipients`, are those of
 * `postqueue -j` with its meanings (so who got it already is not among them);
 * ours follow. Fields are added in later versions, never renamed or removed.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cli/listing.h"

static json_t *string(const char *text)
{
	return text ? json_text(text, strlen(text)) : json_null();
}

static json_t *seconds(int64_t wall_us)
{
	return wall_us > 0 ? json_integer(wall_us / 1000000) : json_null();
}

/* Fresh objects and values only: none of these can fail but for memory. */
static void put(json_t *object, const char *key, json_t *value)
{
	ASSERT(json_object_set_new_nocheck(object, key, value) == 0);
}

static void append(json_t *array, json_t *value)
{
	ASSERT(json_array_append_new(array, value) == 0);
}

/* The names that Postfix has for its queues, as far as they fit. */
static const char *queue_name(enum condition c)
{
	switch (c) {
	case CONDITION_QUEUED:
	case CONDITION_DELIVERED:
		return "active";
	case CONDITION_DEFERRED:
		return "deferred";
	case CONDITION_HELD:
		return "hold";
	case CONDITION_FAILED:
		return "failed";
	case CONDITION_CORRUPT:
		return "corrupt";
	case CONDITION_UNREADABLE:
		return "unreadable";
	}
	assert_failed("a condition without a queue", __FILE__, __LINE__);
}

static json_t *recipient(const struct envelope_rcpt *rcpt, const struct rcpt_state *st)
{
	json_t *o = json_object();

	put(o, "address", string(rcpt->address));
	if (st->reply && st->status != RCPT_DELIVERED)
		put(o, "delay_reason", string(st->reply));
	put(o, "status", json_string(rcpt_status_name(st->status)));
	put(o, "reply", string(st->reply));
	put(o, "upstream", string(st->upstream));
	put(o, "remote", string(st->remote));
	put(o, "when", seconds(st->when_wall_us));
	put(o, "tries", json_integer(st->tries));
	put(o, "next_attempt", st->status == RCPT_PENDING ? json_integer(st->next_wall_us / 1000000) : json_null());
	put(o, "reported", json_boolean(st->reported));
	return o;
}

json_t *listing_json(const struct listing *l)
{
	const struct envelope *env = &l->msg.env;
	const struct spool_state *st = &l->state;
	json_t *o = json_object(), *waiting = json_array(), *delivered = json_array();
	bool will_be_tried = l->condition == CONDITION_QUEUED || l->condition == CONDITION_DEFERRED;

	put(o, "queue_name", json_string(queue_name(l->condition)));
	put(o, "queue_id", json_string(l->id.text));
	put(o, "arrival_time",
	    seconds(listing_is_readable(l) ? env->arrived_wall_us : spool_id_wall_us(l->id.text)));
	put(o, "message_size", json_integer((json_int_t)l->msg.content_bytes));
	put(o, "forced_expire", json_boolean(spool_state_count(st, RCPT_EXPIRED) > 0));
	put(o, "sender", string(env->sender ? env->sender : ""));
	for (size_t i = 0; i < st->rcpt_count; i++)
		append(st->rcpt[i].status == RCPT_DELIVERED ? delivered : waiting,
		       recipient(&env->rcpt[i], &st->rcpt[i]));
	put(o, "recipients", waiting);
	put(o, "delivered", delivered);
	put(o, "recipients_left", json_integer((json_int_t)l->left));
	put(o, "state", json_string(condition_name(l->condition)));
	if (!listing_is_readable(l)) {
		put(o, "reason", string(l->why.text));
		return o;
	}
	put(o, "tries", json_integer(st->tries));
	put(o, "next_attempt",
	    will_be_tried ? json_integer(st->next_attempt_wall_us / 1000000) : json_null());
	put(o, "last_attempt", seconds(st->last_attempt_wall_us));
	put(o, "held", json_boolean(st->held));
	put(o, "hold_reason", string(st->hold_reason));
	put(o, "uncertain", json_boolean(st->uncertain));
	put(o, "route", string(st->route));
	put(o, "peer", string(env->peer));
	put(o, "helo", string(env->helo));
	put(o, "protocol", string(env->protocol));
	put(o, "listener", string(env->listener));
	return o;
}

static int put_chunk(const char *data, size_t len, void *out)
{
	return fwrite(data, 1, len, out) == len ? 0 : -1;
}

void json_put(const json_t *value, enum json_layout layout, FILE *out)
{
	json_write(value, layout == JSON_ONE_LINE ? JSON_COMPACT : JSON_INDENT(2), put_chunk, out);
	putc('\n', out);
}
