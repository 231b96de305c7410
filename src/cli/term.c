/* SPDX-License-Identifier: ISC */
/* See term.h. Runs in the operator's command only. */
#include "cli/term.h"

#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/num.h"
#include "base/utf8.h"

#define WIDTH_MIN 20 /* narrower than this nothing can be said; the terminal wraps */
#define WIDTH_MAX 10000

void term_init(struct term *t, int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t n;

	t->is_tty = isatty(fd) == 1;
	t->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	t->width = TERM_NO_LIMIT;
	if (columns && num_parse_u64(columns, strlen(columns), WIDTH_MAX, &n) && n > 0)
		t->width = n;
	else if (t->is_tty && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		t->width = size.ws_col;
	if (t->width < WIDTH_MIN)
		t->width = WIDTH_MIN;
	term_choose_color(t, TERM_COLOR_AUTO);
}

/* ---- colours ------------------------------------------------------------------ */

bool term_color_parse(const char *text, enum term_color *out)
{
	static const char *const names[] = { "auto", "always", "never" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		*out = (enum term_color)i;
		return true;
	}
	return false;
}

void term_choose_color(struct term *t, enum term_color when)
{
	const char *refused = getenv("NO_COLOR"), *kind = getenv("TERM");

	switch (when) {
	case TERM_COLOR_AUTO:
		t->color = t->is_tty && !(refused && *refused) && kind && strcmp(kind, "dumb") != 0;
		return;
	case TERM_COLOR_ALWAYS:
		t->color = true;
		return;
	case TERM_COLOR_NEVER:
		t->color = false;
		return;
	}
}

/* ECMA-48 8.3.117. Colours of the terminal's own palette, which its owner chose to be readable. */
static const char *const style_sequence[TERM_STYLE_COUNT] = {
	[TERM_PLAIN] = "\x1b[0m", [TERM_GOOD] = "\x1b[32m", [TERM_WARN] = "\x1b[33m",
	[TERM_BAD] = "\x1b[31m",  [TERM_DIM] = "\x1b[2m",   [TERM_STRONG] = "\x1b[1m",
};

void term_paint(const struct term *t, enum term_style style, const char *text, struct buf *out)
{
	if (!t->color || style == TERM_PLAIN || !*text) {
		buf_adds(out, text);
		return;
	}
	buf_adds(out, style_sequence[style]);
	buf_adds(out, text);
	buf_adds(out, style_sequence[TERM_PLAIN]);
}

size_t term_style_at(const char *text, enum term_style *style)
{
	for (unsigned i = 0; *text == '\x1b' && i < TERM_STYLE_COUNT; i++) {
		if (strncmp(text, style_sequence[i], strlen(style_sequence[i])) != 0)
			continue;
		*style = (enum term_style)i;
		return strlen(style_sequence[i]);
	}
	return 0;
}

/* Characters with a width that change how their neighbours look: right-to-left overrides and the like. */
static bool misleads(uint32_t c)
{
	static const struct {
		uint32_t from, to;
	} ranges[] = {
		{ 0x7f, 0x9f }, /* DEL and C1: U+009B is a CSI to many terminals */
		{ 0xad, 0xad }, /* soft hyphen */
		{ 0x61c, 0x61c }, /* Arabic letter mark */
		{ 0x115f, 0x1160 }, /* Hangul fillers */
		{ 0x180b, 0x180f }, /* Mongolian selectors */
		{ 0x200b, 0x200f }, /* zero-width, direction marks */
		{ 0x2028, 0x202e }, /* line ends, embeddings and overrides */
		{ 0x2060, 0x206f }, /* invisible operators, isolates */
		{ 0x3164, 0x3164 }, /* Hangul filler */
		{ 0xe000, 0xf8ff }, /* private use */
		{ 0xfe00, 0xfe0f }, /* variation selectors */
		{ 0xfeff, 0xfeff }, /* byte order mark */
		{ 0xfff0, 0xfffb }, /* annotation marks */
		{ 0xe0000, 0x10ffff }, /* tags, private planes */
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (c >= ranges[i].from && c <= ranges[i].to)
			return true;
	return false;
}

static bool escape_octet(unsigned char c, struct buf *out)
{
	static const char named[][2] = { { '\n', 'n' }, { '\r', 'r' }, { '\t', 't' } };

	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (named[i][0] == (char)c)
			return buf_addf(out, "\\%c", named[i][1]);
	return buf_addf(out, "\\x%02x", c);
}

bool term_shows(const struct term *t, const char *text, size_t len, uint32_t *code, size_t *octets)
{
	*octets = utf8_decode(text, len, code);
	return t->utf8 && *octets > 0 && !misleads(*code) && wcwidth((wchar_t)*code) >= 0;
}

void term_escape(const struct term *t, const char *text, size_t len, enum term_tabs tabs, struct buf *out)
{
	size_t at = 0;

	while (at < len) {
		unsigned char c = (unsigned char)text[at];
		uint32_t cp;
		size_t n = 0;

		if ((c >= 0x20 && c < 0x7f) || (c == '\t' && tabs == TERM_KEEP_TABS)) {
			if (!buf_addc(out, (char)c))
				return;
			at++;
			continue;
		}
		if (c >= 0x80 && term_shows(t, text + at, len - at, &cp, &n)) {
			if (!buf_add(out, text + at, n))
				return;
			at += n;
			continue;
		}
		/* a character that is not shown is escaped whole: its tail is not one by itself */
		for (size_t end = at + (t->utf8 && n > 0 ? n : 1); at < end; at++)
			if (!escape_octet((unsigned char)text[at], out))
				return;
	}
}

void term_escapes(const struct term *t, const char *text, struct buf *out)
{
	term_escape(t, text, strlen(text), TERM_ESCAPE_TABS, out);
}

/* One character of escaped text, or one sequence of ours: its octets, and its columns. */
static size_t one_char(const struct term *t, const char *text, size_t len, size_t *columns)
{
	enum term_style ignored;
	uint32_t cp;
	size_t n = term_style_at(text, &ignored);
	int width;

	if (n > 0) {
		*columns = 0;
		return n;
	}
	n = t->utf8 ? utf8_decode(text, len, &cp) : 0;
	*columns = 1;
	if (n <= 1)
		return 1;
	width = wcwidth((wchar_t)cp);
	*columns = width < 0 ? 1 : (size_t)width;
	return n;
}

size_t term_columns(const struct term *t, const char *text)
{
	size_t len = strlen(text), total = 0, columns;

	for (size_t at = 0; at < len;) {
		at += one_char(t, text + at, len - at, &columns);
		total += columns;
	}
	return total;
}

size_t term_cut(const struct term *t, const char *text, size_t columns, struct buf *out)
{
	const char *mark = t->utf8 ? "\xe2\x80\xa6" : "~"; /* one column each */
	size_t len = strlen(text), total = 0, at = 0, width;
	enum term_style style = TERM_PLAIN;

	if (columns == TERM_NO_LIMIT || term_columns(t, text) <= columns) {
		buf_adds(out, text);
		return columns == TERM_NO_LIMIT ? 0 : term_columns(t, text);
	}
	if (columns == 0)
		return 0;
	while (at < len) {
		size_t n = one_char(t, text + at, len - at, &width);

		if (total + width > columns - 1)
			break;
		(void)term_style_at(text + at, &style);
		total += width;
		at += n;
	}
	buf_add(out, text, at);
	buf_adds(out, mark);
	if (style != TERM_PLAIN) /* what ends it was cut off */
		buf_adds(out, style_sequence[TERM_PLAIN]);
	return total + 1;
}

const char *term_until(int64_t wall_us, int64_t now_wall_us, char *out, size_t cap)
{
	char age[16];

	if (wall_us <= now_wall_us)
		snprintf(out, cap, "now");
	else
		snprintf(out, cap, "in %s",
			 num_format_age((wall_us - now_wall_us + 999999) / 1000, age, sizeof(age)));
	return out;
}

const char *term_age(int64_t wall_us, int64_t now_wall_us, char *out, size_t cap)
{
	return num_format_age((now_wall_us - wall_us) / 1000, out, cap);
}
