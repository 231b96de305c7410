/* SPDX-License-Identifier: ISC */
/* See password.h. */
#include "cli/password.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* ---- signals: let in only while we wait, so that none is missed ------------------------- */

static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
#define CAUGHT (sizeof(caught) / sizeof(caught[0]))

static volatile sig_atomic_t pending;

static void note(int number)
{
	pending = number;
}

struct guard {
	sigset_t mask; /* as it was */
	struct sigaction action[CAUGHT];
};

static void guard_begin(struct guard *g)
{
	const struct sigaction take = { .sa_handler = note };
	sigset_t block;

	sigemptyset(&block);
	for (size_t i = 0; i < CAUGHT; i++)
		sigaddset(&block, caught[i]);
	sigprocmask(SIG_BLOCK, &block, &g->mask);
	for (size_t i = 0; i < CAUGHT; i++) {
		sigaction(caught[i], NULL, &g->action[i]);
		if (g->action[i].sa_handler != SIG_IGN)
			sigaction(caught[i], &take, NULL);
	}
}

/* What came is delivered now, to whom it would have gone. */
static void guard_end(struct guard *g)
{
	int number = pending;

	for (size_t i = 0; i < CAUGHT; i++)
		sigaction(caught[i], &g->action[i], NULL);
	pending = 0;
	if (number)
		raise(number);
	sigprocmask(SIG_SETMASK, &g->mask, NULL);
}

/* ---- the terminal ---------------------------------------------------------------------------- */

static void put(int tty, const char *text)
{
	(void)!write(tty, text, strlen(text));
}

/* A line: 1; 0: a signal is pending; -1 and e. What is too long is an error at its end, and not cut. */
static int read_line(int tty, const sigset_t *mask, char *out, size_t cap, struct err *e)
{
	size_t len = 0;
	bool fits = true;

	for (;;) {
		struct pollfd p = { .fd = tty, .events = POLLIN };
		char c;
		ssize_t n;

		if (ppoll(&p, 1, NULL, mask) < 0) {
			if (errno == EINTR && pending)
				return 0;
			if (errno == EINTR)
				continue;
			err_set_os(e, errno, "the terminal");
			return -1;
		}
		n = read(tty, &c, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err_set(e, "nothing was entered");
			return -1;
		}
		if (c == '\n')
			break;
		fits = fits && len + 1 < cap;
		if (fits)
			out[len++] = c;
	}
	out[len] = '\0';
	if (fits)
		return 1;
	err_set(e, "what was entered is longer than %zu octets", cap - 1);
	return -1;
}

/* Once, without echo; as read_line. */
static int ask_once(int tty, const char *prompt, char *out, size_t cap, struct err *e)
{
	struct termios before, silent;
	struct guard guard;
	int result;

	guard_begin(&guard);
	if (tcgetattr(tty, &before) < 0) {
		err_set_os(e, errno, "the terminal");
		guard_end(&guard);
		return -1;
	}
	silent = before;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	silent.c_lflag |= ICANON | ISIG;
	put(tty, prompt);
	/* FLUSH: what was typed before it could be seen that nothing shows is not taken for the password */
	(void)tcsetattr(tty, TCSAFLUSH, &silent);
	result = read_line(tty, &guard.mask, out, cap, e);
	(void)tcsetattr(tty, TCSANOW, &before);
	put(tty, "\n");
	guard_end(&guard);
	return result;
}

/* Stopped and continued, we ask again. */
static int ask(int tty, const char *prompt, char *out, size_t cap, struct err *e)
{
	int result;

	do
		result = ask_once(tty, prompt, out, cap, e);
	while (result == 0);
	return result;
}

static int open_terminal(const char *instead, struct err *e)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (tty < 0)
		err_set(e, "there is no terminal to ask on: %s", instead);
	return tty;
}

int password_ask_once(const char *prompt, char *out, size_t cap, struct err *e)
{
	int tty = open_terminal("give it on standard input", e), result;

	if (tty < 0)
		return -1;
	result = ask(tty, prompt, out, cap, e);
	close(tty);
	return result > 0 ? 0 : -1;
}

int password_ask(const char *whose, char *out, size_t cap, struct err *e)
{
	char again[4096], prompt[600];
	int tty = open_terminal("--stdin reads the password from standard input", e);
	int result = -1;

	if (tty < 0)
		return -1;
	snprintf(prompt, sizeof(prompt), "Password for %s: ", whose);
	if (ask(tty, prompt, out, cap, e) > 0 && ask(tty, "The same again: ", again, sizeof(again), e) > 0) {
		if (strcmp(out, again) == 0)
			result = 0;
		else
			err_set(e, "the two passwords differ: nothing is changed");
	}
	explicit_bzero(again, sizeof(again));
	close(tty);
	return result;
}

/* ---- standard input --------------------------------------------------------------------------- */

/* Octet by octet: what stands behind the line is for whoever reads next. */
int password_read(char *out, size_t cap, struct err *e)
{
	size_t len = 0;

	for (;;) {
		char c;
		ssize_t n = read(STDIN_FILENO, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set_os(e, errno, "standard input");
			return -1;
		}
		if (n == 0 || c == '\n')
			break;
		if (c == '\0' || len + 1 >= cap) {
			err_set(e, "the line on standard input is longer than %zu octets, or holds a NUL",
				cap - 1);
			return -1;
		}
		out[len++] = c;
	}
	out[len] = '\0';
	if (len > 0)
		return 0;
	err_set(e, "standard input has nothing in its first line");
	return -1;
}
