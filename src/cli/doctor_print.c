/* SPDX-License-Identifier: ISC */
/* See doctor_print.h. */
#include "cli/doctor_print.h"

#include <string.h>

#include "cli/json.h"
#include "cli/transcript.h"
#include "cli/wrap.h"

#define INDENT 11 /* of the text behind "  skipped" */
#define LINE_MAX_BYTES 65536

/* The words people read; JSON has finding_level_name's. */
static const struct {
	const char *word;
	enum term_style style;
} shown[FINDING_LEVEL_COUNT] = {
	[FINDING_OK] = { "ok", TERM_GOOD },
	[FINDING_WARNING] = { "warning", TERM_WARN },
	[FINDING_SKIPPED] = { "skipped", TERM_DIM },
	[FINDING_FAILED] = { "failed", TERM_BAD },
};

void doctor_print_begin(struct doctor_printer *p, const char *upstream, const char *remoteaddr)
{
	p->upstream = upstream;
	p->remoteaddr = remoteaddr;
	p->titled = false;
}

static void put_title(struct doctor_printer *p)
{
	struct buf text, painted;

	if (p->titled)
		return;
	buf_init(&text, LINE_MAX_BYTES);
	buf_init(&painted, LINE_MAX_BYTES);
	if (p->upstream) {
		buf_adds(&text, "Upstream ");
		term_escapes(p->term, p->upstream, &text);
		buf_adds(&text, ", ");
		term_escapes(p->term, p->remoteaddr, &text);
	} else {
		buf_adds(&text, "This machine");
	}
	term_paint(p->term, TERM_STRONG, text.data, &painted);
	fprintf(p->out, "%s%s\n", p->began ? "\n" : "", painted.data);
	buf_release(&text);
	buf_release(&painted);
	p->titled = p->began = true;
}

static void put_text(struct doctor_printer *p, const struct finding *f)
{
	struct buf line;

	put_title(p);
	buf_init(&line, LINE_MAX_BYTES);
	term_paint(p->term, shown[f->level].style, shown[f->level].word, &line);
	fprintf(p->out, "  %s%*s", line.data, (int)(INDENT - 2 - strlen(shown[f->level].word)), "");
	buf_clear(&line);
	buf_addf(&line, "%s: ", f->check);
	term_escapes(p->term, f->what, &line);
	wrap_put_from(p->term, INDENT, INDENT, line.data, p->out);
	if (f->advice) {
		buf_clear(&line);
		buf_adds(&line, "-> ");
		term_escapes(p->term, f->advice, &line);
		fprintf(p->out, "%*s", INDENT, "");
		wrap_put_from(p->term, INDENT, INDENT + 3, line.data, p->out);
	}
	buf_release(&line);
}

static void put_json(const struct doctor_printer *p, const struct finding *f)
{
	json_t *o = json_object();

	json_put_key(o, "upstream", json_text_or_null(p->upstream));
	json_put_key(o, "remoteaddr", json_text_or_null(p->upstream ? p->remoteaddr : NULL));
	json_put_key(o, "check", json_text_or_null(f->check));
	json_put_key(o, "level", json_text_or_null(finding_level_name(f->level)));
	json_put_key(o, "text", json_text_or_null(f->what));
	json_put_key(o, "advice", json_text_or_null(f->advice));
	json_put(o, JSON_ONE_LINE, p->out);
	json_decref(o);
}

void doctor_print_findings(void *printer, const struct findings *f, size_t first)
{
	struct doctor_printer *p = printer;

	for (size_t i = first; i < f->count; i++) {
		p->total[f->item[i].level]++;
		if (p->json)
			put_json(p, &f->item[i]);
		else
			put_text(p, &f->item[i]);
	}
	fflush(p->out); /* the next check may take its time */
}

void doctor_print_end(struct doctor_printer *p)
{
	static const char *const keys[FINDING_LEVEL_COUNT] = { "ok", "warnings", "skipped", "failed" };
	struct buf line;
	char text[40];
	json_t *o;

	if (p->json) {
		o = json_object();
		for (size_t i = 0; i < FINDING_LEVEL_COUNT; i++)
			json_put_key(o, keys[i], json_integer((json_int_t)p->total[i]));
		json_put(o, JSON_ONE_LINE, p->out);
		json_decref(o);
		return;
	}
	buf_init(&line, 1024);
	for (size_t i = 0; i < FINDING_LEVEL_COUNT; i++) {
		if (i > 0)
			buf_adds(&line, ", ");
		snprintf(text, sizeof(text), "%zu %s", p->total[i],
			 p->total[i] == 1 ? shown[i].word : keys[i]);
		term_paint(p->term, p->total[i] > 0 ? shown[i].style : TERM_PLAIN, text, &line);
	}
	fprintf(p->out, "%s%s\n", p->began ? "\n" : "", line.data);
	buf_release(&line);
}

void doctor_print_trace(void *printer, bool from_upstream, const char *text, size_t len)
{
	(void)printer;
	transcript_line(from_upstream, text, len);
}
