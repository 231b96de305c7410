/* SPDX-License-Identifier: ISC */
/* See explain_say.h. */
#include "cli/explain_say.h"

#include "cli/explain_words.h"
#include "cli/wrap.h"
#include "smtp/date.h"

void say_heading(const struct teller *t, const char *title)
{
	struct buf painted;

	buf_init(&painted, SAY_TEXT_MAX);
	term_paint(t->x->term, TERM_STRONG, title, &painted);
	fprintf(t->out, "\n%s\n", painted.data);
	buf_release(&painted);
}

void say_end(struct teller *t, size_t indent)
{
	wrap_put(t->x->term, indent, t->text.data, t->out);
	buf_clear(&t->text);
}

void say(struct teller *t, const char *text)
{
	buf_adds(&t->text, text);
}

void say_escaped(struct teller *t, const char *text)
{
	term_escapes(t->x->term, text ? text : "?", &t->text);
}

void say_quoted(struct teller *t, const char *text)
{
	say(t, "\"");
	say_escaped(t, text);
	say(t, "\"");
}

void say_length(struct teller *t, int64_t ms)
{
	explain_time(ms, &t->text);
}

void say_ago(struct teller *t, int64_t wall_us)
{
	say_length(t, (t->x->now_wall_us - wall_us) / 1000);
	say(t, " ago");
}

void say_moment(struct teller *t, int64_t wall_us)
{
	char date[SMTP_DATE_MAX];

	say(t, smtp_date_format(wall_us, date));
}

void say_until(struct teller *t, int64_t wall_us)
{
	if (wall_us <= t->x->now_wall_us) {
		say(t, "now");
		return;
	}
	say(t, "in ");
	say_length(t, (wall_us - t->x->now_wall_us) / 1000);
}
