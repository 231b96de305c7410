/* SPDX-License-Identifier: ISC */
/* See progress.h. Runs in the operator's command only. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"

#define QUIET_MS 500
#define REDRAW_MS 100
#define BAR_MIN 10
#define BAR_MAX 40
#define LINE_MAX_BYTES 1024

const char *count_text(uint64_t n, char out[COUNT_TEXT_MAX])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	char *to = out;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return out;
}

static unsigned percent(const struct progress *p, uint64_t done)
{
	return done >= p->total ? 100 : (unsigned)((double)done * 100 / (double)p->total);
}

static void add_bar(unsigned full_percent, size_t width, struct buf *out)
{
	size_t full = width * full_percent / 100;

	buf_adds(out, " [");
	for (size_t i = 0; i < width; i++)
		buf_addc(out, i < full ? '#' : '.');
	buf_addc(out, ']');
}

/* What stands behind the bar. */
static void add_figures(const struct progress *p, uint64_t done, int64_t elapsed_ms, struct buf *out)
{
	char count[COUNT_TEXT_MAX], of[COUNT_TEXT_MAX], age[16];
	double rate = elapsed_ms > 0 ? (double)done * 1000 / (double)elapsed_ms : 0;

	if (p->total > 0)
		buf_addf(out, " %3u%% %s/%s", percent(p, done), count_text(done, count), count_text(p->total, of));
	else
		buf_addf(out, " %s", count_text(done, count));
	if (rate >= 1)
		buf_addf(out, ", %s/s", count_text((uint64_t)rate, count));
	if (rate >= 0.001 && p->total > done)
		buf_addf(out, ", %s left",
			 num_format_age((int64_t)((double)(p->total - done) * 1000 / rate), age, sizeof(age)));
}

void progress_format(const struct progress *p, uint64_t done, int64_t elapsed_ms, size_t columns, struct buf *out)
{
	struct buf line, figures;
	size_t used;

	buf_init(&line, LINE_MAX_BYTES);
	buf_init(&figures, LINE_MAX_BYTES);
	buf_adds(&line, p->what);
	add_figures(p, done, elapsed_ms, &figures);
	used = line.len + figures.len + 3; /* " [" and "]" */
	if (p->total > 0 && columns != TERM_NO_LIMIT && columns >= used + BAR_MIN)
		add_bar(percent(p, done), columns - used < BAR_MAX ? columns - used : BAR_MAX, &line);
	buf_add(&line, figures.data, figures.len);
	term_cut(&p->term, line.data, columns, out);
	buf_release(&line);
	buf_release(&figures);
}

void progress_begin(struct progress *p, const char *what, uint64_t total)
{
	memset(p, 0, sizeof(*p));
	p->what = what;
	p->total = total;
	p->is_shown = isatty(STDERR_FILENO) == 1;
	p->began_mono_ms = clock_mono_ms();
	p->drawn_mono_ms = p->began_mono_ms + QUIET_MS - REDRAW_MS;
	if (p->is_shown)
		term_init(&p->term, STDERR_FILENO);
}

void progress_at(struct progress *p, uint64_t done)
{
	struct buf line;
	int64_t now;

	if (!p->is_shown)
		return;
	now = clock_mono_ms();
	if (now - p->drawn_mono_ms < REDRAW_MS)
		return;
	p->drawn_mono_ms = now;
	buf_init(&line, LINE_MAX_BYTES);
	/* the last column stays free: some terminals wrap when it is written */
	progress_format(p, done, now - p->began_mono_ms,
			p->term.width == TERM_NO_LIMIT ? TERM_NO_LIMIT : p->term.width - 1, &line);
	fprintf(stderr, "\r%s\033[K", line.data);
	fflush(stderr);
	p->is_drawn = true;
	buf_release(&line);
}

void progress_clear(struct progress *p)
{
	if (!p->is_drawn)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	p->is_drawn = false;
}
