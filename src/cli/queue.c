/* SPDX-License-Identifier: ISC */
/*
 * posthouse queue: what waits, for whom, why, and when it is tried next.
 * Reads the spool beside a running relay, without a lock (select_run.c).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/access.h"
#include "cli/json.h"
#include "cli/listing.h"
#include "cli/lookup.h"
#include "cli/queue_waits.h"
#include "cli/select.h"
#include "cli/style.h"
#include "cli/table.h"
#include "cli/verbs.h"

enum { OPT_JSON = ARGS_LONG_ONLY, OPT_IDS };

const struct args_option queue_options[] = {
	{ "json", OPT_JSON, NULL, "JSON lines: those of postqueue -j, and more" },
	{ "ids", OPT_IDS, NULL, "only the ids, one a line" },
	ARGS_OPTIONS_END,
};

enum column { COL_ID, COL_AGE, COL_SIZE, COL_SENDER, COL_LEFT, COL_TRIES, COL_NEXT, COL_REPLY };
#define COL_COUNT (COL_REPLY + 1)

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

/* On a narrow terminal these go first, so that the reason stays. */
static const unsigned char droppable[] = { COL_SIZE, COL_TRIES, COL_LEFT, COL_AGE, COL_SENDER, COL_NEXT };

#define CELL_MAX 4096

struct totals {
	uint64_t messages, bytes, left;
	uint64_t by_condition[CONDITION_COUNT];
};

struct queue {
	struct cli *cli;
	struct spool spool;
	bool json, ids;
	struct id_list flight; /* being sent now */
	int64_t now_wall_us;
	struct table table;
	struct totals totals;
};

static const char *next_text(const struct queue *q, const struct listing *l, char *out, size_t cap)
{
	switch (l->condition) {
	case CONDITION_QUEUED:
	case CONDITION_DEFERRED:
		if (id_list_has(&q->flight, l->id.text))
			return "sending";
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

/* A row, or a line of JSON, made by one of the threads that read. */
struct row {
	size_t cell[COL_COUNT]; /* where each begins in text */
	char text[];
};

static void put_reply(const struct queue *q, const struct listing *l, struct buf *out)
{
	const char *text = listing_is_readable(l) ? listing_last_reply(l) : listing_why(l);

	if (!text && l->state.held)
		text = l->state.hold_reason;
	if (text)
		term_escapes(&q->cli->out, text, out);
}

static void put_cell(const struct queue *q, const struct listing *l, enum column column, struct buf *out)
{
	bool readable = listing_is_readable(l);
	char small[32];
	int64_t arrived;

	switch (column) {
	case COL_ID:
		buf_add(out, l->id.text, SPOOL_ID_LEN);
		return;
	case COL_AGE:
		arrived = readable ? l->msg.env.arrived_wall_us : spool_id_wall_us(l->id.text);
		term_paint(&q->cli->out, style_of_age((q->now_wall_us - arrived) / 1000),
			   term_age(arrived, q->now_wall_us, small, sizeof(small)), out);
		return;
	case COL_SIZE:
		if (readable)
			buf_adds(out, num_format_size(l->msg.content_bytes, small, sizeof(small)));
		return;
	case COL_SENDER:
		if (readable)
			term_escapes(&q->cli->out, l->msg.env.sender[0] ? l->msg.env.sender : "<>", out);
		return;
	case COL_LEFT:
		if (readable)
			buf_addf(out, "%zu/%zu", l->left, l->state.rcpt_count);
		return;
	case COL_TRIES:
		if (readable)
			buf_addf(out, "%u", l->state.tries);
		return;
	case COL_NEXT:
		term_paint(&q->cli->out, style_of_condition(l->condition), next_text(q, l, small, sizeof(small)), out);
		return;
	case COL_REPLY:
		put_reply(q, l, out);
		return;
	}
}

static void *make_row(void *ctx, struct listing *l)
{
	const struct queue *q = ctx;
	struct row row = { 0 };
	struct buf out;

	buf_init(&out, sizeof(row) + COL_COUNT * CELL_MAX);
	buf_add(&out, &row, sizeof(row)); /* its place */
	for (unsigned c = 0; c < COL_COUNT; c++) {
		row.cell[c] = out.len - sizeof(row);
		put_cell(q, l, (enum column)c, &out);
		buf_addc(&out, '\0');
	}
	memcpy(out.data, &row, sizeof(row));
	return out.data;
}

static void *make_json(void *ctx, struct listing *l)
{
	json_t *o = listing_json(l);
	char *line = NULL;
	size_t len;
	FILE *out = open_memstream(&line, &len);

	(void)ctx;
	ASSERT(out);
	json_put(o, JSON_ONE_LINE, out);
	fclose(out);
	json_decref(o);
	return line;
}

static bool put_message(void *ctx, struct listing *l, void *prepared)
{
	const char *cell[COL_COUNT];
	const struct row *row = prepared;
	struct queue *q = ctx;

	q->totals.messages++;
	q->totals.by_condition[l->condition]++;
	q->totals.bytes += l->msg.content_bytes;
	q->totals.left += l->left;
	if (q->json) {
		fputs(prepared, stdout);
	} else {
		for (unsigned c = 0; c < COL_COUNT; c++)
			cell[c] = row->text + row->cell[c];
		table_row(&q->table, cell);
	}
	return cli_output_is_open();
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

/* Not of the queue any more; who selects asks for others. */
static void put_corrupt(const struct queue *q)
{
	size_t count = select_narrows(q->cli->select) ? 0 : queue_count_corrupt(&q->spool);

	if (count > 0)
		printf("%zu more message%s in corrupt/: 'posthouse fsck' tells.\n", count, plural(count));
}

static enum cli_status list_messages(struct queue *q)
{
	struct select_work work = { .prepare = q->json ? make_json : make_row, .each = put_message, .ctx = q };
	uint64_t unreadable;
	enum cli_status status;

	/* before the messages: one that is done in between is not marked, one that is marked was under way */
	queue_flight(q->spool.path, &q->flight);
	table_begin(&q->table, columns, COL_COUNT, &q->cli->out, stdout);
	table_may_drop(&q->table, droppable, sizeof(droppable) / sizeof(*droppable));
	status = select_run(q->cli, &q->spool, &work);
	table_end(&q->table);
	if (!q->json && q->totals.messages > 0)
		put_footer(q);
	else if (!q->json && status == CLI_DONE)
		puts("The queue is empty.");
	if (!q->json && status != CLI_UNREACHABLE) {
		put_corrupt(q);
		queue_put_waits(q->cli, &q->spool, q->now_wall_us);
	}
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
	if (access_open(cli, &q.spool) < 0)
		return CLI_UNREACHABLE;
	id_list_init(&q.flight);
	status = cli_finish_output(q.ids ? list_ids(&q) : list_messages(&q));
	id_list_release(&q.flight);
	access_close(cli, &q.spool);
	return status;
}
