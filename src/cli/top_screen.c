/* SPDX-License-Identifier: ISC */
/* See top_screen.h. */
#include "cli/top_screen.h"

#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static SCREEN *screen;
static struct termios before;
static bool is_open;
static char leave[256]; /* what the terminal is told at the end, for a handler that may not call ncurses */
static size_t leave_len;
static volatile sig_atomic_t told_to_end;

/* ---- the end ----------------------------------------------------------------------- */

static void on_end(int number)
{
	(void)number;
	told_to_end = 1;
}

/* Only what POSIX allows in a handler: the process is about to die of this signal (SA_RESETHAND). */
static void on_crash(int number)
{
	ssize_t ignored = write(STDOUT_FILENO, leave, leave_len);

	(void)ignored;
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
	(void)raise(number);
}

static void remember(const char *sequence)
{
	size_t len = sequence && sequence != (char *)-1 ? strlen(sequence) : 0;

	if (len == 0 || len > sizeof(leave) - leave_len)
		return;
	memcpy(leave + leave_len, sequence, len);
	leave_len += len;
}

static void catch(int number, void (*handler)(int), int flags)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = flags };

	sigaction(number, &act, NULL);
}

static void catch_signals(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT }, crashes[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		catch(ends[i], on_end, 0);
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		catch(crashes[i], on_crash, (int)SA_RESETHAND | SA_NODEFER);
}

/* ---- opening ----------------------------------------------------------------------- */

static void make_pairs(void)
{
	static const struct {
		enum term_style style;
		short color;
	} pairs[] = { { TERM_GOOD, COLOR_GREEN }, { TERM_WARN, COLOR_YELLOW }, { TERM_BAD, COLOR_RED } };

	if (!has_colors() || start_color() == ERR || use_default_colors() == ERR)
		return;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		init_pair((short)pairs[i].style, pairs[i].color, -1);
}

int top_screen_open(struct err *e)
{
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) < 0) {
		err_set(e, "this is no terminal: use --batch");
		return -1;
	}
	/* libcurses ends the process when initscr() fails; newterm() returns */
	screen = newterm(NULL, stdout, stdin);
	if (!screen) {
		err_set(e, "TERM=%.40s: this terminal is not known: use --batch", getenv("TERM") ? getenv("TERM") : "");
		return -1;
	}
	is_open = true;
	leave_len = 0;
	remember(tigetstr("sgr0"));
	remember(tigetstr("cnorm"));
	remember(tigetstr("rmcup"));
	atexit(top_screen_close);
	catch_signals();
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	set_escdelay(50);
	make_pairs();
	return 0;
}

void top_screen_close(void)
{
	if (!is_open)
		return;
	is_open = false;
	endwin();
	delscreen(screen);
}

/* ---- using -------------------------------------------------------------------------- */

size_t top_screen_rows(void)
{
	return LINES > 1 ? (size_t)LINES - 1 : 1;
}

size_t top_screen_columns(void)
{
	return COLS > 0 ? (size_t)COLS : 1;
}

static attr_t attributes(const struct term *term, enum term_style style)
{
	switch (style) {
	case TERM_PLAIN:
		return A_NORMAL;
	case TERM_GOOD:
	case TERM_WARN:
	case TERM_BAD:
		return term->color ? (attr_t)COLOR_PAIR((int)style) : A_NORMAL;
	case TERM_DIM:
		return A_DIM;
	case TERM_STRONG:
		return A_BOLD;
	}
	return A_NORMAL;
}

static void draw_line(const struct term *term, int row, const char *line, size_t len)
{
	size_t at = 0;

	move(row, 0);
	while (at < len) {
		enum term_style style;
		size_t n = term_style_at(line + at, &style);

		if (n > 0) {
			attrset((int)attributes(term, style));
			at += n;
			continue;
		}
		n = 1 + strcspn(line + at + 1, "\x1b\n");
		if (n > len - at)
			n = len - at;
		addnstr(line + at, (int)n);
		at += n;
	}
	attrset(A_NORMAL);
	clrtoeol();
}

void top_screen_draw(const struct term *term, const char *text, size_t first, const char *footer)
{
	size_t rows = top_screen_rows(), number = 0;
	int row = 0;

	erase();
	while (*text && row < (int)rows) {
		size_t len = strcspn(text, "\n");

		if (number++ >= first)
			draw_line(term, row++, text, len);
		text += len;
		text += *text == '\n';
	}
	if (LINES > 1) {
		attrset(A_REVERSE);
		mvaddnstr(LINES - 1, 0, footer, COLS);
		attrset(A_NORMAL);
	}
	refresh();
}

enum top_key top_screen_key(int timeout_ms)
{
	int key;

	if (told_to_end)
		return TOP_QUIT;
	timeout(timeout_ms);
	key = getch();
	if (told_to_end)
		return TOP_QUIT;
	switch (key) {
	case 'q':
	case 'Q':
		return TOP_QUIT;
	case 'p':
		return TOP_PAUSE;
	case 's':
		return TOP_SORT;
	case ' ':
	case 'r':
		return TOP_REFRESH;
	case KEY_UP:
	case 'k':
		return TOP_UP;
	case KEY_DOWN:
	case 'j':
		return TOP_DOWN;
	case KEY_PPAGE:
		return TOP_PAGE_UP;
	case KEY_NPAGE:
		return TOP_PAGE_DOWN;
	case KEY_HOME:
		return TOP_HOME;
	case KEY_RESIZE:
		return TOP_RESIZED;
	default:
		return TOP_NOTHING;
	}
}
