/* SPDX-License-Identifier: ISC */
/*
 * The screen of `posthouse top`: the only user of ncurses. Whatever ends the
 * process (also a signal, also an assertion) gives the terminal back as it was.
 */
#ifndef CLI_TOP_SCREEN_H
#define CLI_TOP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "cli/term.h"

enum top_key { TOP_NOTHING, TOP_QUIT, TOP_PAUSE, TOP_SORT, TOP_REFRESH, TOP_UP, TOP_DOWN, TOP_PAGE_UP, TOP_PAGE_DOWN,
	       TOP_HOME, TOP_RESIZED };

int top_screen_open(struct err *e); /* -1: the terminal cannot do it; e */
void top_screen_close(void);
size_t top_screen_rows(void);
size_t top_screen_columns(void);
/* Lines of painted text (term_paint) from the one numbered `first`, and a last one reversed. */
void top_screen_draw(const struct term *term, const char *text, size_t first, const char *footer);
/* Waits at most timeout_ms for a key; TOP_QUIT also when the process was told to end. */
enum top_key top_screen_key(int timeout_ms);

#endif
