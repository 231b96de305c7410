/* SPDX-License-Identifier: ISC */
/* See status_local.h. */
#include "cli/status_local.h"

#include "cli/json.h"
#include "cli/lookup.h"
#include "manage/suspend.h"
#include "spool/recover.h"
#include "spool/state.h"

struct count {
	size_t messages, due, waiting, held, failed; /* waiting: for a later attempt; in JSON those that are due, too */
	struct spool_id oldest;
};

static void count_states(struct count *c, const struct spool *s, const struct id_list *states, int64_t now_wall_us)
{
	struct spool_state_head head;
	struct spool_id id;

	for (size_t i = 0; i < states->count; i++) {
		id_list_get(states, i, &id);
		if (!spool_state_peek(&head, s, id.text))
			continue; /* not to be understood: it counts as due, the relay will see */
		if (head.held)
			c->held++;
		else if (head.left == 0)
			c->failed++;
		else if (head.next_wall_us > now_wall_us)
			c->waiting++;
	}
}

static int count_all(struct count *c, const struct spool *s, int64_t now_wall_us, struct err *e)
{
	struct id_list list, states;
	int r = -1;

	id_list_init(&list);
	id_list_init(&states);
	if (id_list_scan(&list, s, NULL, 0, e) == 0 && id_list_scan_states(&states, s, e) == 0) {
		size_t apart;

		c->messages = list.count;
		if (list.count > 0)
			id_list_get(&list, 0, &c->oldest);
		count_states(c, s, &states, now_wall_us);
		apart = c->waiting + c->held + c->failed;
		c->due = list.count > apart ? list.count - apart : 0;
		r = 0;
	}
	id_list_release(&list);
	id_list_release(&states);
	return r;
}

static json_t *suspension_json(const struct suspension *one)
{
	json_t *o = json_object();

	json_put_key(o, "upstream", json_text_or_null(one->upstream));
	json_put_key(o, "since", json_of_time(one->since_wall_us));
	json_put_key(o, "until", json_of_time(one->until_wall_us));
	json_put_key(o, "reason", json_text_or_null(one->reason));
	json_put_key(o, "by", json_text_or_null(one->by));
	return o;
}

static void put_suspensions(json_t *o, const struct spool *s, int64_t now_wall_us)
{
	json_t *array = json_array(), *of_all = json_null();
	struct suspensions all;
	struct err e;

	suspensions_init(&all);
	if (suspensions_load(&all, s, &e) < 0)
		json_put_key(o, "suspensions_error", json_text_or_null(e.text));
	else
		suspensions_expire(&all, now_wall_us);
	for (size_t i = 0; i < all.count; i++) {
		if (all.item[i].upstream)
			json_append_new(array, suspension_json(&all.item[i]));
		else
			of_all = suspension_json(&all.item[i]);
	}
	suspensions_release(&all);
	json_put_key(o, "suspended", of_all);
	json_put_key(o, "suspensions", array);
}

json_t *status_local(const struct spool *s, int64_t now_wall_us, struct err *e)
{
	struct count c = { 0 };
	json_t *o, *queue;

	if (count_all(&c, s, now_wall_us, e) < 0)
		return NULL;
	o = json_object();
	queue = json_object();
	json_put_key(o, "running", json_false());
	json_put_key(o, "spool", json_text_or_null(s->path));
	json_put_key(o, "now", json_of_time(now_wall_us));
	json_put_key(queue, "messages", json_integer((json_int_t)c.messages));
	json_put_key(queue, "due", json_integer((json_int_t)c.due));
	json_put_key(queue, "waiting", json_integer((json_int_t)(c.due + c.waiting)));
	json_put_key(queue, "held", json_integer((json_int_t)c.held));
	json_put_key(queue, "failed", json_integer((json_int_t)c.failed));
	json_put_key(queue, "oldest_arrived", c.messages > 0 ? json_of_time(spool_id_wall_us(c.oldest.text)) : json_null());
	json_put_key(o, "queue", queue);
	put_suspensions(o, s, now_wall_us);
	return o;
}
