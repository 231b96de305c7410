/* SPDX-License-Identifier: ISC */
/* See status_mailman.h. */
#include "cli/status_mailman.h"

#include <inttypes.h>
#include <string.h>

#include "cli/json.h"

static void add_number(struct buf *out, int64_t n, const char *one, const char *many)
{
	buf_addf(out, "%" PRId64 " %s", n, n == 1 ? one : many);
}

static void add_trouble(const struct term *term, const char *before, const char *text, struct buf *out)
{
	if (!text)
		return;
	buf_adds(out, before);
	term_escapes(term, text, out);
}

void status_add_mailman(const struct term *term, const json_t *m, int64_t now_wall_us, struct buf *out)
{
	int64_t listed = json_get_time_us(m, "listed"), next = json_get_time_us(m, "next"),
		waiting = json_get_int(m, "waiting", 0);
	const char *state = json_get_text(m, "state");
	bool is_down = state && strcmp(state, "down") == 0;
	char when[32], text[64];

	if (!state)
		return;
	term_paint(term, is_down ? TERM_BAD : TERM_PLAIN, state, out);
	buf_adds(out, ", ");
	add_number(out, json_get_int(m, "lists", 0), "list", "lists");
	buf_adds(out, " in ");
	add_number(out, (int64_t)json_array_size(json_get_array(m, "domains")), "domain", "domains");
	if (listed > 0)
		buf_addf(out, ", asked %s ago", term_age(listed, now_wall_us, when, sizeof(when)));
	if (waiting > 0) {
		snprintf(text, sizeof(text), "%" PRId64 " %s for its answer", waiting,
			 waiting == 1 ? "waits" : "wait");
		buf_adds(out, ", ");
		term_paint(term, TERM_WARN, text, out);
	}
	if (is_down && next > 0)
		buf_addf(out, ", asked again %s", term_until(next, now_wall_us, when, sizeof(when)));
	add_trouble(term, ": ", is_down ? json_get_text(m, "last_error") : NULL, out);
	add_trouble(term, "; ", json_get_text(m, "map_error"), out);
}
