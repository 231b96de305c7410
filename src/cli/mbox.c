/* SPDX-License-Identifier: ISC */
/* See mbox.h. */
#include "cli/mbox.h"

#include <string.h>
#include <time.h>


static const char from[] = "From ";
#define FROM_LEN (sizeof(from) - 1)

/* ---- writing ------------------------------------------------------------------- */

bool mbox_put_separator(const char *sender, int64_t wall_us, struct buf *out)
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm = { 0 };
	char date[64];

	gmtime_r(&seconds, &tm);
	/* the C locale's names: only LC_CTYPE is set in this program */
	strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &tm);
	if (!buf_adds(out, from))
		return false;
	for (const char *p = sender[0] ? sender : "MAILER-DAEMON"; *p; p++)
		if (!buf_addc(out, *p > ' ' && *p < 0x7f ? *p : '_'))
			return false;
	return buf_addf(out, " %s\n", date);
}

void mbox_writer_init(struct mbox_writer *w)
{
	*w = (struct mbox_writer){ .line_start = true, .line_ended = true };
}

/* One octet behind the conversion of line ends. */
static bool put_octet(struct mbox_writer *w, char c, struct buf *out)
{
	bool ok = true;

	w->line_ended = c == '\n';
	if (w->line_start) {
		if (c == from[w->matched]) {
			if (++w->matched < FROM_LEN)
				return true;
			w->matched = 0;
			w->line_start = false;
			return buf_addc(out, '>') && buf_adds(out, from);
		}
		ok = buf_add(out, from, w->matched);
		/*
		 * more of the '>'s in front goes out as it comes: one more anywhere among them is the same
		 * text
		 */
		w->line_start = w->matched == 0 && c == '>';
		w->matched = 0;
	}
	if (c == '\n')
		w->line_start = true;
	return ok && buf_addc(out, c);
}

bool mbox_write(struct mbox_writer *w, const char *data, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		bool held = w->after_cr;

		w->after_cr = data[i] == '\r';
		if (held && data[i] != '\n' && !put_octet(w, '\r', out))
			return false;
		if (!w->after_cr && !put_octet(w, data[i], out))
			return false;
	}
	return true;
}

bool mbox_write_end(struct mbox_writer *w, struct buf *out)
{
	bool ok = !w->after_cr || put_octet(w, '\r', out);

	if (ok && !w->line_ended)
		ok = put_octet(w, '\n', out);
	return ok && buf_addc(out, '\n');
}

/* ---- reading -------------------------------------------------------------------- */

void mbox_reader_init(struct mbox_reader *r, bool (*begin)(void *ctx),
		      bool (*text)(void *ctx, const char *data, size_t len), void *ctx)
{
	memset(r, 0, sizeof(*r));
	r->begin = begin;
	r->text = text;
	r->ctx = ctx;
	r->after_blank = true;
}

static bool give(struct mbox_reader *r, const char *data, size_t len)
{
	if (!r->any) {
		/* empty lines before the first message are nobody's */
		for (size_t i = 0; i < len; i++)
			r->stray |= data[i] != '\r' && data[i] != '\n';
		return true;
	}
	return len == 0 || r->text(r->ctx, data, len);
}

static bool give_blank(struct mbox_reader *r)
{
	size_t len = strlen(r->blank);
	char blank[3];

	memcpy(blank, r->blank, sizeof(blank));
	r->blank[0] = '\0';
	return give(r, blank, len);
}

static bool give_quotes(struct mbox_reader *r)
{
	bool ok = true;

	for (; ok && r->quotes > 0; r->quotes--)
		ok = give(r, ">", 1);
	return ok;
}

/* What was held back at the line's beginning turned out to be text. */
static bool give_held(struct mbox_reader *r)
{
	char held[sizeof(from)] = "";
	size_t matched = r->matched;

	memcpy(held, from, matched);
	r->matched = 0;
	r->state = MBOX_LINE;
	r->after_blank = false;
	return give_blank(r) && give_quotes(r) && give(r, held, matched);
}

/* "From " is whole: a separator, a quoted line, or (behind no empty line) text that nobody quoted. */
static bool take_from(struct mbox_reader *r)
{
	if (r->quotes > 0) {
		r->quotes--;
		return give_held(r);
	}
	if (!r->after_blank)
		return give_held(r);
	r->matched = 0;
	r->blank[0] = '\0';
	r->state = MBOX_SEPARATOR;
	r->any = true;
	return r->begin(r->ctx);
}

/* An octet at the beginning of a line, where all before it was held back. */
static bool read_start(struct mbox_reader *r, char c, bool *taken)
{
	size_t held = strlen(r->blank);

	/* a CR without its LF is the beginning of a line's text */
	*taken = false;
	if (held > 0 && r->blank[held - 1] == '\r' && c != '\n')
		return give_held(r);
	*taken = true;
	if (c == from[r->matched] && r->state != MBOX_LINE) {
		r->state = MBOX_FROM;
		return ++r->matched < FROM_LEN || take_from(r);
	}
	if (r->state != MBOX_FROM && c == '>') {
		r->state = MBOX_QUOTES;
		r->quotes++;
		return true;
	}
	if (r->state == MBOX_LINE_START && (c == '\r' || c == '\n')) {
		bool ok = true;

		/* an empty line: CR LF or LF */
		if (r->blank[0] != '\r' || r->blank[1])
			ok = give_blank(r);
		r->blank[strlen(r->blank) + 1] = '\0';
		r->blank[strlen(r->blank)] = c;
		r->after_blank |= c == '\n';
		return ok;
	}
	*taken = false;
	return give_held(r);
}

bool mbox_read(struct mbox_reader *r, const char *data, size_t len)
{
	const char *end = data + len;

	while (data < end) {
		const char *newline;
		bool taken = false;

		if (r->state != MBOX_LINE && r->state != MBOX_SEPARATOR) {
			bool goes_on = read_start(r, *data, &taken);

			data += taken;
			r->rest = data;
			if (!goes_on)
				return false;
			continue;
		}
		newline = memchr(data, '\n', (size_t)(end - data));
		if (r->state == MBOX_LINE && !give(r, data, (size_t)((newline ? newline + 1 : end) - data)))
			return false;
		if (newline) {
			r->state = MBOX_LINE_START;
			r->after_blank = false;
		}
		data = newline ? newline + 1 : end;
	}
	return true;
}

bool mbox_read_end(struct mbox_reader *r)
{
	/* an empty line that is the last one is the separator of the message before it */
	return r->state == MBOX_LINE_START || r->state == MBOX_LINE || r->state == MBOX_SEPARATOR || give_held(r);
}
