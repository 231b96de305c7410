/* SPDX-License-Identifier: ISC */
/* See event_print.h. */
#include "cli/event_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/kv.h"
#include "cli/json.h"
#include "cli/style.h"

#define LINE_CEILING 65536

/* In the notation of the log, base/kv.h: nothing in a value can move a terminal. */
static void add_pair(const char *key, const json_t *value, struct buf *out)
{
	char *text;

	if (json_is_string(value)) {
		kv_put(out, key, json_string_value(value), json_string_length(value));
	} else if (json_is_integer(value)) {
		kv_puti(out, key, json_integer_value(value));
	} else if (!json_is_null(value)) {
		text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
		kv_puts(out, key, text);
		free(text);
	}
}

static bool is_shown(const char *key)
{
	return key[0] != '_' && key[0] &&
	       strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(key) &&
	       strcmp(key, "event") != 0 && strcmp(key, "time_ms") != 0;
}

static void put_stamp(int64_t when_ms, bool with_date, char *out, size_t cap)
{
	time_t seconds = (time_t)(when_ms / 1000);
	struct tm tm;

	if (when_ms <= 0 || !localtime_r(&seconds, &tm))
		snprintf(out, cap, "--:--:--");
	else
		strftime(out, cap, with_date ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S", &tm);
}

void event_print(const struct term *term, const json_t *o, bool with_date)
{
	struct buf line, name, pairs;
	const char *key;
	json_t *value;
	char stamp[48];

	put_stamp(json_get_int(o, "time_ms", 0), with_date, stamp, sizeof(stamp));
	buf_init(&line, 2 * LINE_CEILING);
	buf_init(&name, LINE_CEILING);
	buf_init(&pairs, LINE_CEILING);
	term_paint(term, TERM_DIM, stamp, &line);
	buf_addc(&line, ' ');
	term_escapes(term, json_get_text(o, "event"), &name);
	term_paint(term, style_of_word(name.data), name.data, &line);
	json_object_foreach ((json_t *)o, key, value)
		if (is_shown(key))
			add_pair(key, value, &pairs);
	if (pairs.len > 0)
		buf_addf(&line, " %s", pairs.data);
	puts(line.data);
	buf_release(&line);
	buf_release(&name);
	buf_release(&pairs);
}
