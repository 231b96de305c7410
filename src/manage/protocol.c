/* SPDX-License-Identifier: ISC */
/* See protocol.h. Pure: in the relay it reads what any local user of the groups may have sent. */
#include "manage/protocol.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/kv.h"
#include "manage/json.h"

/* ---- requests --------------------------------------------------------------------- */

enum { KEY_IDS = 1, KEY_REASON = 2, KEY_UPSTREAM = 4, KEY_UNTIL = 8 };

static const struct {
	unsigned bit;
	const char *name;
} keys[] = { { KEY_IDS, "ids" }, { KEY_REASON, "reason" }, { KEY_UPSTREAM, "upstream" }, { KEY_UNTIL, "until" } };

/* The actions are not in it: action_find knows them. */
static const struct verb_row {
	const char *key, *name;
	enum protocol_verb verb;
	unsigned required, allowed;
} verbs[] = {
	{ "ask", "status", PROTOCOL_STATUS, 0, 0 },
	{ "ask", "flight", PROTOCOL_FLIGHT, 0, 0 },
	{ "ask", "ids", PROTOCOL_IDS, 0, 0 },
	{ "ask", "open", PROTOCOL_OPEN, KEY_IDS, KEY_IDS },
	{ "ask", "lists", PROTOCOL_LISTS, 0, 0 },
	{ "ask", "watch", PROTOCOL_WATCH, 0, 0 },
	{ "do", "suspend", PROTOCOL_SUSPEND, KEY_UPSTREAM, KEY_UPSTREAM | KEY_UNTIL | KEY_REASON },
	{ "do", "resume", PROTOCOL_RESUME, KEY_UPSTREAM, KEY_UPSTREAM },
	{ "do", "probe", PROTOCOL_PROBE, KEY_UPSTREAM, KEY_UPSTREAM },
};
static const struct verb_row of_action = { "do", NULL, PROTOCOL_ACTION, KEY_IDS, KEY_IDS | KEY_REASON };
static const struct verb_row of_reroute = { "do", NULL, PROTOCOL_ACTION, KEY_IDS | KEY_UPSTREAM,
					    KEY_IDS | KEY_REASON | KEY_UPSTREAM };
static const struct verb_row of_requeue = { "do", NULL, PROTOCOL_ACTION, KEY_IDS, KEY_IDS | KEY_REASON | KEY_UPSTREAM };

static const struct verb_row *row_of_action(enum action a)
{
	if (a == ACTION_REROUTE)
		return &of_reroute;
	return a == ACTION_REQUEUE ? &of_requeue : &of_action;
}

bool protocol_is_change(enum protocol_verb verb)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (verbs[i].verb == verb)
			return strcmp(verbs[i].key, "do") == 0;
	return true;
}

static const struct verb_row *find_verb(struct protocol_request *r, struct err *e)
{
	const char *ask = json_string_value(json_object_get(r->json, "ask")),
		   *what = json_string_value(json_object_get(r->json, "do"));

	if (!ask == !what) {
		err_set(e, "a request has \"ask\": WORD or \"do\": WORD");
		return NULL;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (strcmp(verbs[i].name, ask ? ask : what) == 0 && strcmp(verbs[i].key, ask ? "ask" : "do") == 0)
			return &verbs[i];
	if (what && action_find(what, &r->action) == 0)
		return row_of_action(r->action);
	err_set(e, "there is nothing of that name to %s", ask ? "ask" : "do");
	return NULL;
}

static int check_keys(const struct protocol_request *r, const struct verb_row *row, struct err *e)
{
	unsigned present = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (!json_object_get(r->json, keys[i].name)) {
			if (!(row->required & keys[i].bit))
				continue;
			err_set(e, "the key \"%s\" is missing", keys[i].name);
			return -1;
		}
		if (!(row->allowed & keys[i].bit)) {
			err_set(e, "the key \"%s\" does not go with this request", keys[i].name);
			return -1;
		}
		present++;
	}
	if (json_object_size(r->json) == present + 1)
		return 0;
	err_set(e, "there is an unknown key");
	return -1;
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp(((const struct spool_id *)a)->text, ((const struct spool_id *)b)->text);
}

static bool comes_twice(const struct spool_id *ids, size_t count)
{
	struct spool_id *sorted = mem_array(count, sizeof(*sorted));
	bool twice = false;

	memcpy(sorted, ids, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare_ids);
	for (size_t i = 1; i < count; i++)
		twice = twice || compare_ids(&sorted[i - 1], &sorted[i]) == 0;
	free(sorted);
	return twice;
}

static int take_ids(struct protocol_request *r, struct err *e)
{
	const json_t *array = json_object_get(r->json, "ids");
	size_t max = r->verb == PROTOCOL_OPEN ? PROTOCOL_OPEN_MAX : ACTION_BATCH_MAX;

	if (!array)
		return 0;
	if (!json_is_array(array) || json_array_size(array) == 0 || json_array_size(array) > max) {
		err_set(e, "\"ids\": an array of 1 to %zu ids is needed", max);
		return -1;
	}
	r->id = mem_array(json_array_size(array), sizeof(*r->id));
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *text = json_string_value(json_array_get(array, i));

		if (!text || !spool_id_is_valid(text)) {
			err_set(e, "\"ids\": entry %zu is no queue id", i + 1);
			return -1;
		}
		strcpy(r->id[r->id_count++].text, text);
	}
	if (!comes_twice(r->id, r->id_count))
		return 0;
	err_set(e, "\"ids\": an id comes twice");
	return -1;
}

/* Texts that go into logs, states and reports: one line. */
static int take_text(const char **out, const json_t *value, const char *key, size_t max, bool may_be_null,
		     struct err *e)
{
	const char *text = json_string_value(value);

	if (!value || (may_be_null && json_is_null(value)))
		return 0;
	if (!text || !*text || json_string_length(value) > max) {
		err_set(e, "\"%s\": a string of 1 to %zu octets is needed", key, max);
		return -1;
	}
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			err_set(e, "\"%s\": there is a control character in it", key);
			return -1;
		}
	}
	*out = text;
	return 0;
}

static int take_until(struct protocol_request *r, struct err *e)
{
	const json_t *value = json_object_get(r->json, "until");
	json_int_t seconds = json_integer_value(value);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || seconds <= 0 || seconds > INT64_C(253402300799)) { /* the end of 9999 */
		err_set(e, "\"until\": seconds since 1970 are needed");
		return -1;
	}
	r->until_wall_us = (int64_t)seconds * 1000000;
	return 0;
}

int protocol_parse(struct protocol_request *r, const char *line, size_t len, struct err *e)
{
	const struct verb_row *row;
	json_error_t why;

	memset(r, 0, sizeof(*r));
	r->json = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object(r->json)) {
		err_set(e, "a request is one JSON object on one line");
		goto fail;
	}
	row = find_verb(r, e);
	if (!row || check_keys(r, row, e) < 0)
		goto fail;
	r->verb = row->verb;
	if (take_ids(r, e) == 0 &&
	    take_text(&r->reason, json_object_get(r->json, "reason"), "reason", PROTOCOL_REASON_MAX, true, e) == 0 &&
	    take_text(&r->upstream, json_object_get(r->json, "upstream"), "upstream", PROTOCOL_UPSTREAM_MAX, true,
		      e) == 0 &&
	    take_until(r, e) == 0)
		return 0;
fail:
	protocol_request_release(r);
	return -1;
}

void protocol_request_release(struct protocol_request *r)
{
	json_decref(r->json);
	free(r->id);
	memset(r, 0, sizeof(*r));
}

/* ---- answers ---------------------------------------------------------------------- */

json_t *protocol_event(char *line, size_t len, int64_t now_wall_us)
{
	char *end = line + len;
	json_t *o = json_object();
	struct kv_pair pair;
	enum kv_result r;

	while ((r = kv_next(&line, end, &pair)) == KV_PAIR)
		json_put_key(o, pair.key, json_text(pair.value, pair.len));
	if (r != KV_END || !json_object_get(o, "event")) {
		json_decref(o);
		return NULL;
	}
	json_put_key(o, "time_ms", json_integer(now_wall_us / 1000));
	return o;
}

static json_t *seconds(int64_t wall_ms)
{
	return wall_ms == CLOCK_NEVER ? json_null() : json_integer(wall_ms / 1000);
}

json_t *protocol_result(const struct action_item *item)
{
	json_t *o = json_object();
	bool failed = item->result == ACTION_CORRUPT || item->result == ACTION_FAILED;

	json_put_key(o, "id", json_string(item->id.text));
	json_put_key(o, "result", json_string(action_result_name(item->result)));
	json_put_key(o, "in_flight", json_boolean(item->in_flight));
	json_put_key(o, "next_attempt", seconds(item->due_wall_ms));
	json_put_key(o, "report", json_text_or_null(item->report_id.text[0] ? item->report_id.text : NULL));
	json_put_key(o, "error", json_text_or_null(failed ? item->e.text : NULL));
	return o;
}

int protocol_parse_result(const json_t *o, struct action_item *item)
{
	const char *id = json_string_value(json_object_get(o, "id")),
		   *result = json_string_value(json_object_get(o, "result")),
		   *report = json_string_value(json_object_get(o, "report")),
		   *why = json_string_value(json_object_get(o, "error"));
	const json_t *next = json_object_get(o, "next_attempt");

	if (!id || strcmp(id, item->id.text) != 0 || !result || action_result_find(result, &item->result) < 0)
		return -1;
	item->in_flight = json_is_true(json_object_get(o, "in_flight"));
	item->due_wall_ms = json_is_integer(next) ? json_integer_value(next) * 1000 : CLOCK_NEVER;
	item->report_id.text[0] = '\0';
	if (report && spool_id_is_valid(report))
		strcpy(item->report_id.text, report);
	if (why)
		err_set(&item->e, "%s", why);
	return 0;
}
