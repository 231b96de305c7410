/* SPDX-License-Identifier: ISC */
/*
 * posthouse queue: what waits, for whom, why, and when it is tried next.
 * Reads the spool beside a running relay, without a lock: ids first (16
 * octets a message), then one message at a time in the order of arrival.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/listing.h"
#include "cli/lookup.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "spool/recover.h"

enum { OPT_JSON = ARGS_LONG_ONLY, OPT_IDS };

const struct args_option queue_options[] = {
	{ "json", OPT_JSON, NULL, "JSON lines: those of postqueue -j, and more" },
	{ "ids", OPT_IDS, NULL, "only the ids, one a line" },
	ARGS_OPTIONS_END,
};

enum { COL_ID, COL_AGE, COL_SIZE, COL_SENDER, COL_LEFT, COL_TRIES, COL_NEXT, COL_REPLY, COL_COUNT };

static const struct table_column columns[COL_COUNT] = {
	[COL_ID] = { "ID", TABLE_LEFT, 0 },
	[COL_AGE] = { "AGE", TABLE_RIGHT, 0 },
	[COL_SIZE] = { "SIZE", TABLE_RIGHT, 0 },
	[COL_SENDER] = { "SENDER", TABLE_LEFT, 8 },
	[COL_LEFT] = { "LEFT", TABLE_RIGHT, 0 },
	[COL_TRIES] = { "TRIES", TABLE_RIGHT, 0 },
	[COL_NEXT] = { "NEXT", TABLE_LEFT, 0 },
	[COL_REPLY] = { "LAST REPLY", TABLE_LEFT, 16 },
};

#define CELL_MAX 4096

struct totals {
	uint64_t messages, bytes, left;
	uint64_t by_condition[CONDITION_COUNT];
};

struct queue {
	struct cli *cli;
	struct spool spool;
	bool json, ids;
	struct id_prefix *prefix;
	size_t prefix_count;
	struct id_list list, states;
	int64_t now_wall_us;
	struct table table;
	struct totals totals;
};

static const char *next_text(const struct queue *q, const struct listing *l, char *out, size_t cap)
{
	switch (l->condition) {
	case CONDITION_QUEUED:
	case CONDITION_DEFERRED:
		return term_until(l->state.next_attempt_wall_us, q->now_wall_us, out, cap);
	case CONDITION_HELD:
	case CONDITION_FAILED:
	case CONDITION_DELIVERED:
	case CONDITION_CORRUPT:
	case CONDITION_UNREADABLE:
		break;
	}
	return condition_name(l->condition);
}

static void put_row(struct queue *q, const struct listing *l)
{
	bool readable = listing_is_readable(l);
	char age[16], size[16], left[48] = "", tries[24] = "", next[32];
	struct buf sender, reply;
	const char *cell[COL_COUNT], *text;
	int64_t arrived = readable ? l->msg.env.arrived_wall_us : spool_id_wall_us(l->id.text);

	buf_init(&sender, CELL_MAX);
	buf_init(&reply, CELL_MAX);
	if (readable) {
		snprintf(left, sizeof(left), "%zu/%zu", l->left, l->state.rcpt_count);
		snprintf(tries, sizeof(tries), "%u", l->state.tries);
		term_escapes(&q->cli->out, l->msg.env.sender[0] ? l->msg.env.sender : "<>", &sender);
	}
	text = readable ? listing_last_reply(l) : listing_why(l);
	if (!text && l->state.held)
		text = l->state.hold_reason;
	if (text)
		term_escapes(&q->cli->out, text, &reply);
	cell[COL_ID] = l->id.text;
	cell[COL_AGE] = term_age(arrived, q->now_wall_us, age, sizeof(age));
	cell[COL_SIZE] = readable ? num_format_size(l->msg.content_bytes, size, sizeof(size)) : "";
	cell[COL_SENDER] = sender.data;
	cell[COL_LEFT] = left;
	cell[COL_TRIES] = tries;
	cell[COL_NEXT] = next_text(q, l, next, sizeof(next));
	cell[COL_REPLY] = reply.data;
	table_row(&q->table, cell);
	buf_release(&sender);
	buf_release(&reply);
}

static void put_json(const struct listing *l)
{
	json_t *o = listing_json(l);

	json_put(o, JSON_ONE_LINE, stdout);
	json_decref(o);
}

static void put_message(struct queue *q, const struct listing *l)
{
	q->totals.messages++;
	q->totals.by_condition[l->condition]++;
	q->totals.bytes += l->msg.content_bytes;
	q->totals.left += l->left;
	if (q->json)
		put_json(l);
	else
		put_row(q, l);
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void put_footer(const struct queue *q)
{
	const struct totals *t = &q->totals;
	const char *before = ": ";
	char size[16];

	printf("%" PRIu64 " message%s, %s%s, %" PRIu64 " recipient%s left", t->messages, plural(t->messages),
	       num_format_size(t->bytes, size, sizeof(size)), t->bytes < 1024 ? " octets" : "", t->left,
	       plural(t->left));
	for (unsigned c = 0; c < CONDITION_COUNT; c++) {
		if (t->by_condition[c] == 0)
			continue;
		printf("%s%" PRIu64 " %s", before, t->by_condition[c], condition_name((enum condition)c));
		before = ", ";
	}
	puts(".");
}

static void put_messages(struct queue *q)
{
	struct spool_id id;

	table_begin(&q->table, columns, COL_COUNT, &q->cli->out, stdout);
	for (size_t i = 0; i < q->list.count && cli_output_is_open(); i++) {
		struct listing l;

		id_list_get(&q->list, i, &id);
		if (!listing_open(&l, &q->spool, id.text, id_list_has(&q->states, id.text)))
			continue;
		put_message(q, &l);
		listing_close(&l);
	}
	table_end(&q->table);
	if (q->json)
		return;
	if (q->totals.messages > 0)
		put_footer(q);
	else if (q->prefix_count == 0)
		puts("The queue is empty.");
}

static enum cli_status list(struct queue *q)
{
	enum cli_status status = CLI_DONE;
	struct spool_id id;
	struct err e;

	if (id_list_scan(&q->list, &q->spool, q->prefix, q->prefix_count, &e) < 0 ||
	    (!q->ids && id_list_scan_states(&q->states, &q->spool, &e) < 0)) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	if (!q->ids) {
		put_messages(q);
	} else {
		for (size_t i = 0; i < q->list.count && cli_output_is_open(); i++) {
			id_list_get(&q->list, i, &id);
			puts(id.text);
		}
	}
	for (size_t i = 0; i < q->prefix_count; i++) {
		if (q->prefix[i].matches > 0)
			continue;
		cli_error("%s: no queued message's id begins so", q->prefix[i].text);
		status = CLI_NOTHING;
	}
	if (q->totals.by_condition[CONDITION_UNREADABLE] > 0) {
		cli_error("%s: %" PRIu64 " message%s cannot be read: run it as root",
			  q->spool.path, q->totals.by_condition[CONDITION_UNREADABLE],
			  plural(q->totals.by_condition[CONDITION_UNREADABLE]));
		status = CLI_UNREACHABLE;
	}
	return status;
}

static int read_arguments(struct queue *q)
{
	char **operands;
	int key, count;

	while ((key = cli_option(q->cli)) != ARGS_END) {
		if (key == ARGS_BAD)
			return -1;
		q->json |= key == OPT_JSON;
		q->ids |= key == OPT_IDS;
	}
	if (q->json && q->ids) {
		q->cli->ended = cli_usage_error(q->cli, "--json and --ids exclude each other");
		return -1;
	}
	operands = args_operands(&q->cli->args, &count);
	q->prefix = mem_array((size_t)count + 1, sizeof(*q->prefix));
	for (int i = 0; i < count; i++) {
		if (id_prefix_parse(operands[i], &q->prefix[q->prefix_count++]))
			continue;
		q->cli->ended = cli_usage_error(q->cli, "%s: not (the beginning of) a queue id", operands[i]);
		return -1;
	}
	return 0;
}

enum cli_status verb_queue(struct cli *cli)
{
	struct queue q = { .cli = cli, .now_wall_us = clock_wall_us() };
	enum cli_status status;

	if (read_arguments(&q) < 0) {
		free(q.prefix);
		return cli->ended;
	}
	if (cli_open_spool(cli, &q.spool) < 0) {
		free(q.prefix);
		return CLI_UNREACHABLE;
	}
	id_list_init(&q.list);
	id_list_init(&q.states);
	status = cli_finish_output(list(&q));
	id_list_release(&q.list);
	id_list_release(&q.states);
	free(q.prefix);
	spool_close(&q.spool);
	return status;
}
