/* SPDX-License-Identifier: ISC */
/*
 * What the command knows about where its output goes, and how text that
 * strangers wrote (addresses, replies, headers, file names) gets there: never
 * raw. A terminal obeys escape sequences; a mail must not be able to give it any.
 */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define TERM_NO_LIMIT ((size_t)-1)

struct term {
	bool is_tty;
	size_t width; /* columns; TERM_NO_LIMIT when lines may be of any length */
	bool utf8; /* characters beyond ASCII can be shown */
	bool color; /* term_paint paints */
};

/*
 * Looks at a descriptor. The width is COLUMNS when it is set, else the
 * terminal's; a pipe or file has none. setlocale(LC_CTYPE) comes before.
 * Colours as with TERM_COLOR_AUTO.
 */
void term_init(struct term *t, int fd);

enum term_color {
	TERM_COLOR_AUTO, /* on a terminal, unless NO_COLOR is set (no-color.org) or TERM is "dumb" */
	TERM_COLOR_ALWAYS,
	TERM_COLOR_NEVER
};
bool term_color_parse(const char *text, enum term_color *out); /* "auto", "always", "never" */
void term_choose_color(struct term *t, enum term_color when);

/* What a text means; how that looks is in one table. */
enum term_style {
	TERM_PLAIN,
	TERM_GOOD, /* works, delivered */
	TERM_WARN, /* wants attention: deferred, old, held */
	TERM_BAD, /* failed, down */
	TERM_DIM, /* of less interest */
	TERM_STRONG /* titles */
};
#define TERM_STYLE_COUNT (TERM_STRONG + 1)
/*
 * Appends escaped text, between the sequences that set a style and end it when there are colours. Those (ESC
 * [ ... m, which escaped text cannot have) take no columns below; painted text is not painted again.
 */
void term_paint(const struct term *t, enum term_style style, const char *text, struct buf *out);
/* Reads one such sequence: its length and what it sets; 0 when there is none at text. */
size_t term_style_at(const char *text, enum term_style *style);

enum term_tabs { TERM_ESCAPE_TABS, TERM_KEEP_TABS };

/*
 * Appends text so that it can do nothing but be read: printable characters as
 * they are; line ends, controls (C0, C1), what is not UTF-8, and the
 * characters that reorder or hide text (bidirectional controls, zero-width
 * ones) as \n, \r, \t or \xHH, octet by octet. Cut silently at out's ceiling.
 */
void term_escape(const struct term *t, const char *text, size_t len, enum term_tabs tabs, struct buf *out);
void term_escapes(const struct term *t, const char *text, struct buf *out); /* a string, tabs escaped */

/*
 * Whether the character at the beginning of text is shown as it is (of those beyond ASCII). *octets: how many
 * it has, 0 when it is no UTF-8; *code: which it is.
 */
bool term_shows(const struct term *t, const char *text, size_t len, uint32_t *code, size_t *octets);

/* Columns that escaped (and painted) text takes. */
size_t term_columns(const struct term *t, const char *text);
/*
 * Appends escaped text cut to a number of columns, with a mark when something
 * was left out; returns the columns it takes.
 */
size_t term_cut(const struct term *t, const char *text, size_t columns, struct buf *out);

/* "now", or "in 5m", "in 3h": a moment seen from now. Out has at least 24 bytes; returns out. */
const char *term_until(int64_t wall_us, int64_t now_wall_us, char *out, size_t cap);
/* "5m", "3h": how long ago. Returns out. */
const char *term_age(int64_t wall_us, int64_t now_wall_us, char *out, size_t cap);

#endif
