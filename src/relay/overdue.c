/* SPDX-License-Identifier: ISC */
/*
 * Messages whose senders named a time to deliver them by (BY= of MAIL, RFC
 * 2852): at that moment, whatever their upstream does, who is still pending
 * is returned (R), or the sender is told of the delay and they are tried on
 * (N). Runs in the relay's event loop.
 *
 * The moment stands in the envelope, so it is known of what was opened. New
 * mail is opened for it when the notice says so; what was only listed, at the
 * start, when it waits for an upstream that is down (sweep.c): all other mail
 * is opened at once by the connections.
 */
#include "relay/relay_internal.h"

#include "base/clock.h"

#define GRACE_MS 2000 /* for a first try of what was late from its first moment */
#define AGAIN_MS 1000 /* it was being sent just then */
#define UNSAVED_MS 5000 /* the disk did not take the report */

static bool is_known(void *ctx, const char *id)
{
	return queue_find(&((struct relay *)ctx)->queue, id) != QUEUE_UNKNOWN;
}

static void add(struct relay *r, const char *id, int64_t wall_ms)
{
	if (queue_flags(&r->queue, id) & QUEUE_DEADLINE)
		return;
	queue_set_flags(&r->queue, id, QUEUE_DEADLINE, 0);
	if (r->deadlines.count > 2 * (size_t)r->queue.count + 64)
		deadlines_sift(&r->deadlines, is_known, r);
	deadlines_add(&r->deadlines, id, wall_ms);
}

void overdue_note(struct relay *r, const struct attempt *a)
{
	const struct envelope *env = &a->message.env;
	int64_t due_ms = (env->by.wall_us + 999) / 1000, now = relay_wall_ms();

	queue_set_flags(&r->queue, env->id, QUEUE_OPENED, 0);
	if (env->by.mode == DELIVER_BY_NONE || (env->by.mode == DELIVER_BY_NOTIFY && a->state.warned))
		return;
	if (due_ms < now)
		due_ms = a->state.tries == 0 ? now + GRACE_MS : now;
	add(r, env->id, due_ms);
}

void overdue_look(struct relay *r, const char *id)
{
	struct attempt *a = NULL;
	size_t lane = relay_first_lane(r);
	enum attempt_open opened;

	if (queue_find(&r->queue, id) != QUEUE_WAITING || !queue_take_id(&r->queue, id))
		return;
	opened = attempt_load(&a, &r->rules, id, false);
	relay_replace_opened(r, id, opened, a, lane);
}

void overdue_look_again(struct relay *r, const char *id)
{
	if (!(queue_flags(&r->queue, id) & QUEUE_DEADLINE))
		return;
	queue_set_flags(&r->queue, id, 0, QUEUE_DEADLINE);
	overdue_look(r, id);
}

void overdue_add_new(void *ctx, const char *id)
{
	relay_add_new(ctx, id);
	overdue_look(ctx, id);
}

static void meet(struct relay *r, const char *id)
{
	struct attempt *a = NULL;
	enum attempt_open opened = attempt_load(&a, &r->rules, id, false);
	bool saved = true;

	if (opened != ATTEMPT_READY) {
		relay_replace_opened(r, id, opened, a, relay_first_lane(r));
		return;
	}
	if (a->message.env.by.mode == DELIVER_BY_RETURN)
		attempt_return(a);
	else if (a->message.env.by.mode == DELIVER_BY_NOTIFY)
		saved = relay_warn(r, a);
	if (!saved)
		add(r, id,
		    relay_wall_ms() + UNSAVED_MS); /* before it is placed again, which would make it now */
	if (a->is_changed)
		relay_settle(r, a);
	else
		relay_replace(r, a);
}

void overdue_step(struct relay *r, int64_t by_mono_ms)
{
	int64_t now = relay_wall_ms();
	struct spool_id id;

	while (deadlines_take(&r->deadlines, now, &id)) {
		switch (queue_find(&r->queue, id.text)) {
		case QUEUE_WAITING:
			queue_set_flags(&r->queue, id.text, 0, QUEUE_DEADLINE);
			if (queue_take_id(&r->queue, id.text))
				meet(r, id.text);
			break;
		case QUEUE_TAKEN:
			queue_set_flags(&r->queue, id.text, 0, QUEUE_DEADLINE);
			add(r, id.text, now + AGAIN_MS);
			break;
		case QUEUE_UNKNOWN:
		case QUEUE_HELD: /* an operator's word goes before; the flag stays, for overdue_look_again */
		case QUEUE_FAILED:
			break;
		}
		if (clock_mono_ms() >= by_mono_ms) {
			r->service_wanted = true;
			return;
		}
	}
}

int64_t overdue_next_mono_ms(const struct relay *r)
{
	int64_t next = deadlines_next_wall_ms(&r->deadlines);

	return next == CLOCK_NEVER ? CLOCK_NEVER : clock_mono_ms() + (next - relay_wall_ms());
}
