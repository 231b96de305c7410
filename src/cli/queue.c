/* SPDX-License-Identifier: ISC */
/*
 * posthouse queue: what waits, for whom, why, and when it is tried next.
 * Reads the spool beside a running relay, without a lock (select_run.c).
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/listing.h"
#include "cli/lookup.h"
#include "cli/select.h"
#include "cli/table.h"
#include "cli/verbs.h"

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

static bool put_message_in_order(void *ctx, struct listing *l, void *prepared)
{
	(void)prepared;
	put_message(ctx, l);
	return cli_output_is_open();
}

static enum cli_status list_messages(struct queue *q)
{
	struct select_work work = { .each = put_message_in_order, .ctx = q };
	uint64_t unreadable;
	enum cli_status status;

	table_begin(&q->table, columns, COL_COUNT, &q->cli->out, stdout);
	status = select_run(q->cli, &q->spool, &work);
	table_end(&q->table);
	if (!q->json && q->totals.messages > 0)
		put_footer(q);
	else if (!q->json && status == CLI_DONE)
		puts("The queue is empty.");
	unreadable = q->totals.by_condition[CONDITION_UNREADABLE];
	if (unreadable == 0)
		return status;
	cli_error("%s: %" PRIu64 " message%s cannot be read: run it as root", q->spool.path, unreadable,
		  plural(unreadable));
	return CLI_UNREACHABLE;
}

static enum cli_status list_ids(struct queue *q)
{
	struct id_list ids;
	struct spool_id id;
	enum cli_status status;

	id_list_init(&ids);
	status = select_ids(q->cli, &q->spool, &ids);
	for (size_t i = 0; i < ids.count && cli_output_is_open(); i++) {
		id_list_get(&ids, i, &id);
		puts(id.text);
	}
	id_list_release(&ids);
	return status;
}

static int read_arguments(struct queue *q)
{
	int key;

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
	return select_finish(q->cli, SELECT_ALL);
}

enum cli_status verb_queue(struct cli *cli)
{
	struct queue q = { .cli = cli, .now_wall_us = clock_wall_us() };
	enum cli_status status;

	if (read_arguments(&q) < 0)
		return cli->ended;
	if (cli_open_spool(cli, &q.spool) < 0)
		return CLI_UNREACHABLE;
	status = cli_finish_output(q.ids ? list_ids(&q) : list_messages(&q));
	spool_close(&q.spool);
	return status;
}
