/* SPDX-License-Identifier: ISC */
/* See show_log.h. */
#include "cli/show_log.h"

#include "base/clock.h"
#include "cli/json.h"
#include "cli/style.h"
#include "cli/table.h"

#define CELL_MAX 4096

enum { COL_WHEN, COL_AGO, COL_WHAT, COL_TIMES, COL_RCPTS, COL_WHO, COL_TEXT, COL_COUNT };

static const struct table_column columns[COL_COUNT] = {
	[COL_WHEN] = { "WHEN", TABLE_LEFT, 0 },   [COL_AGO] = { "AGO", TABLE_RIGHT, 0 },
	[COL_WHAT] = { "WHAT", TABLE_LEFT, 0 },   [COL_TIMES] = { "TIMES", TABLE_RIGHT, 0 },
	[COL_RCPTS] = { "RCPTS", TABLE_RIGHT, 0 }, [COL_WHO] = { "WHERE", TABLE_LEFT, 8 },
	[COL_TEXT] = { "TEXT", TABLE_LEFT, 16 },
};

/* "main smtp.example.net:587", or "by uid=0" */
static void put_where(const struct term *term, const struct spool_event *ev, struct buf *out)
{
	if (ev->by) {
		buf_adds(out, "by ");
		term_escapes(term, ev->by, out);
	}
	if (ev->upstream) {
		if (out->len > 0)
			buf_addc(out, ' ');
		term_escapes(term, ev->upstream, out);
	}
	if (ev->remote) {
		if (out->len > 0)
			buf_addc(out, ' ');
		term_escapes(term, ev->remote, out);
	}
}

static void put_row(struct table *t, const struct term *term, const struct spool_event *ev, int64_t now_wall_us)
{
	char when[CLOCK_UTC_MAX], ago[16], times[24], rcpts[24];
	const char *cell[COL_COUNT];
	struct buf where, text, escaped, what;

	buf_init(&where, CELL_MAX);
	buf_init(&text, CELL_MAX);
	buf_init(&escaped, CELL_MAX);
	buf_init(&what, CELL_MAX);
	put_where(term, ev, &where);
	if (ev->text)
		term_escapes(term, ev->text, &text);
	term_escapes(term, ev->what, &escaped);
	term_paint(term, style_of_word(ev->what), escaped.data, &what);
	clock_format_utc(ev->when_wall_us, when);
	snprintf(when + 19, sizeof(when) - 19, "Z"); /* without the fraction */
	snprintf(times, sizeof(times), "%u", ev->times);
	snprintf(rcpts, sizeof(rcpts), "%zu", ev->rcpts);
	cell[COL_WHEN] = when;
	cell[COL_AGO] = term_age(ev->when_wall_us, now_wall_us, ago, sizeof(ago));
	cell[COL_WHAT] = what.data;
	cell[COL_TIMES] = ev->times > 1 ? times : "";
	cell[COL_RCPTS] = ev->rcpts > 0 ? rcpts : "";
	cell[COL_WHO] = where.data;
	cell[COL_TEXT] = text.data;
	table_row(t, cell);
	buf_release(&where);
	buf_release(&text);
	buf_release(&escaped);
	buf_release(&what);
}

/* The spool keeps no event for it: the envelope has it all. */
static struct spool_event arrival(const struct listing *l)
{
	return (struct spool_event){ .when_wall_us = l->msg.env.arrived_wall_us, .times = 1,
				     .rcpts = l->msg.env.rcpt_count, .what = (char *)"accepted",
				     .remote = l->msg.env.peer };
}

void show_log_table(const struct listing *l, const struct term *term, int64_t now_wall_us, FILE *out)
{
	struct spool_event first = arrival(l);
	struct table t;

	table_begin(&t, columns, COL_COUNT, term, out);
	put_row(&t, term, &first, now_wall_us);
	for (size_t i = 0; i < l->state.event_count; i++)
		put_row(&t, term, &l->state.event[i], now_wall_us);
	table_end(&t);
}

static json_t *event_json(const struct listing *l, const struct spool_event *ev)
{
	json_t *o = json_object();

	json_put_key(o, "event", json_text_or_null(ev->what));
	json_put_key(o, "id", json_text_or_null(l->id.text));
	json_put_key(o, "when", json_of_time(ev->when_wall_us));
	json_put_key(o, "times", json_integer(ev->times));
	json_put_key(o, "recipients", ev->rcpts ? json_integer((json_int_t)ev->rcpts) : json_null());
	json_put_key(o, "upstream", json_text_or_null(ev->upstream));
	json_put_key(o, "remote", json_text_or_null(ev->remote));
	json_put_key(o, "text", json_text_or_null(ev->text));
	json_put_key(o, "by", json_text_or_null(ev->by));
	return o;
}

json_t *show_log_array(const struct listing *l)
{
	struct spool_event first = arrival(l);
	json_t *array = json_array();

	json_append_new(array, event_json(l, &first));
	for (size_t i = 0; i < l->state.event_count; i++)
		json_append_new(array, event_json(l, &l->state.event[i]));
	return array;
}

void show_log_json(const struct listing *l, FILE *out)
{
	json_t *array = show_log_array(l);

	for (size_t i = 0; i < json_array_size(array); i++)
		json_put(json_array_get(array, i), JSON_ONE_LINE, out);
	json_decref(array);
}
