/* SPDX-License-Identifier: ISC */
/*
 * posthouse top: the daemon's status, asked again and again. Each question is
 * a connection of its own, so a daemon that was restarted is simply there again.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/ask.h"
#include "cli/json.h"
#include "cli/status_print.h"
#include "cli/top_screen.h"
#include "cli/verbs.h"

enum { OPT_JSON = ARGS_LONG_ONLY };

const struct args_option top_options[] = {
	{ "delay", 'd', "TIME", "how often to ask (2s)" },
	{ "batch", 'b', NULL, "write to a pipe or file, one status after the other" },
	{ "number", 'n', "N", "end after so many" },
	{ "json", OPT_JSON, NULL, "with --batch: JSON lines" },
	ARGS_OPTIONS_END,
};

#define DELAY_MS 2000
#define DELAY_LEAST_MS 100
#define DELAY_MOST_MS 3600000
#define ANSWER_MS 2000 /* longer, and keys would seem dead */
#define FOOTER_MAX 256

struct top {
	struct cli *cli;
	char *path;
	int64_t delay_ms;
	uint64_t number; /* 0: for ever */
	bool batch, json, paused;
	enum status_sort sort;
	size_t first; /* line at the top of the screen */
	json_t *status; /* the last one; NULL: none yet */
	enum daemon_found found;
	struct err e; /* unless found is DAEMON_CONNECTED */
	struct term term; /* of the screen */
};

/* What was known stays on the screen when there is no answer. */
static void refresh(struct top *t)
{
	json_t *status;

	t->found = ask_daemon(t->path, "status", ANSWER_MS, &status, &t->e);
	if (!status)
		return;
	json_decref(t->status);
	t->status = status;
}

/* ---- on a terminal -------------------------------------------------------------------- */

static size_t lines_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void add_trouble(const struct top *t, FILE *out)
{
	struct buf text, painted;

	if (t->found == DAEMON_CONNECTED)
		return;
	buf_init(&text, 4096);
	buf_init(&painted, 4096);
	term_escapes(&t->term, t->e.text, &text);
	term_paint(&t->term, TERM_BAD, text.data, &painted);
	buf_clear(&text);
	term_cut(&t->term, painted.data, t->term.width, &text);
	fprintf(out, "%s\n%s", text.data, t->status ? "What follows is old.\n" : "");
	buf_release(&text);
	buf_release(&painted);
}

static void draw(struct top *t)
{
	char footer[FOOTER_MAX], *text = NULL;
	size_t len, lines, rows = top_screen_rows();
	FILE *out = open_memstream(&text, &len);

	t->term.width = top_screen_columns();
	add_trouble(t, out);
	if (t->status)
		status_print(t->status, &t->term, t->sort, clock_wall_us(), out);
	fclose(out);
	lines = lines_of(text);
	if (t->first > (lines > rows ? lines - rows : 0))
		t->first = lines > rows ? lines - rows : 0;
	snprintf(footer, sizeof(footer), " q quit  p %s  s sort: %s  arrows scroll %zu/%zu%s ",
		 t->paused ? "go on" : "pause", status_sort_name(t->sort), t->first + 1, lines,
		 t->paused ? "  PAUSED" : "");
	top_screen_draw(&t->term, text, t->first, footer);
	free(text);
}

/* False: the end. *again: ask at once. */
static bool handle(struct top *t, enum top_key key, bool *again)
{
	size_t page = top_screen_rows();

	switch (key) {
	case TOP_QUIT:
		return false;
	case TOP_PAUSE:
		t->paused = !t->paused;
		*again = !t->paused;
		break;
	case TOP_SORT:
		t->sort = (enum status_sort)(((unsigned)t->sort + 1) % STATUS_SORT_COUNT);
		break;
	case TOP_REFRESH:
		*again = true;
		break;
	case TOP_UP:
		t->first -= t->first > 0;
		break;
	case TOP_DOWN:
		t->first++;
		break;
	case TOP_PAGE_UP:
		t->first -= t->first < page ? t->first : page;
		break;
	case TOP_PAGE_DOWN:
		t->first += page;
		break;
	case TOP_HOME:
		t->first = 0;
		break;
	case TOP_RESIZED:
	case TOP_NOTHING:
		break;
	}
	return true;
}

static enum cli_status run_screen(struct top *t)
{
	uint64_t done = 0;
	struct err e;
	bool going = true;

	if (top_screen_open(&e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	while (going && (t->number == 0 || done < t->number)) {
		int64_t next = clock_mono_ms() + t->delay_ms, left;
		bool again = false;

		refresh(t);
		done++;
		do {
			draw(t);
			left = t->paused ? DELAY_MOST_MS : next - clock_mono_ms();
			going = handle(t, top_screen_key(left > 0 ? (int)left : 0), &again);
		} while (going && !again && (t->paused || clock_mono_ms() < next));
	}
	top_screen_close();
	return CLI_DONE;
}

/* ---- in a pipe -------------------------------------------------------------------------- */

static void pause_for(int64_t ms)
{
	struct timespec left = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000L };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static enum cli_status run_batch(struct top *t)
{
	enum cli_status status = CLI_DONE;

	for (uint64_t done = 0; cli_output_is_open() && (t->number == 0 || done < t->number); done++) {
		if (done > 0)
			pause_for(t->delay_ms);
		refresh(t);
		if (t->found != DAEMON_CONNECTED) {
			cli_error("%s", t->e.text);
			status = CLI_UNREACHABLE;
			continue;
		}
		status = CLI_DONE;
		if (t->json) {
			json_put(t->status, JSON_ONE_LINE, stdout);
		} else {
			status_print(t->status, &t->cli->out, t->sort, clock_wall_us(), stdout);
			putchar('\n');
		}
		fflush(stdout);
	}
	return status;
}

/* ---- the verb ----------------------------------------------------------------------------- */

static int take_option(struct top *t, int key)
{
	const char *value = t->cli->args.value;

	switch (key) {
	case 'd':
		if (num_parse_duration(value, DELAY_MOST_MS, &t->delay_ms) && t->delay_ms >= DELAY_LEAST_MS)
			return 0;
		t->cli->ended = cli_usage_error(t->cli, "--delay: %s: not a time from %dms to 1h", value, DELAY_LEAST_MS);
		return -1;
	case 'n':
		if (num_parse_u64(value, strlen(value), UINT32_MAX, &t->number) && t->number > 0)
			return 0;
		t->cli->ended = cli_usage_error(t->cli, "--number: %s: not a number", value);
		return -1;
	case 'b':
		t->batch = true;
		return 0;
	default:
		t->json = true;
		return 0;
	}
}

enum cli_status verb_top(struct cli *cli)
{
	struct top t = { .cli = cli, .delay_ms = DELAY_MS, .term = cli->out };
	enum cli_status status;
	char **operands;
	int key, count;

	while ((key = cli_option(cli)) != ARGS_END)
		if (key == ARGS_BAD || take_option(&t, key) < 0)
			return cli->ended;
	operands = args_operands(&cli->args, &count);
	if (count > 0)
		return cli_usage_error(cli, "%s: it takes no argument", operands[0]);
	if (t.json && !t.batch)
		return cli_usage_error(cli, "--json goes with --batch");
	t.term = cli->out;
	if (cli_spool_path(cli, &t.path) < 0)
		return CLI_UNREACHABLE;
	status = t.batch ? run_batch(&t) : run_screen(&t);
	json_decref(t.status);
	free(t.path);
	return cli_finish_output(status);
}
