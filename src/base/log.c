/* SPDX-License-Identifier: ISC */
/* See log.h. One sink per process, chosen at start by daemon/ or cli/. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/kv.h"

#define LINE_MAX_BYTES 3800 /* with the prefix below PIPE_BUF, so one write() is one line */

static enum log_sink sink = LOG_TO_STDERR;
static enum log_level most_verbose = LOG_LEVEL_INFO;
static const char *ident = "posthouse";
static log_tap_function *tapped;
static void *tap_ctx;

void log_open(enum log_sink new_sink, enum log_level level, const char *name)
{
	sink = new_sink;
	most_verbose = level;
	ident = name;
	if (sink == LOG_TO_SYSLOG)
		openlog(ident, LOG_PID | LOG_NDELAY, LOG_MAIL);
}

void log_tap(log_tap_function *tap, void *ctx)
{
	tapped = tap;
	tap_ctx = ctx;
}

void log_begin(struct log_line *line, enum log_level level, const char *event)
{
	buf_init(&line->text, LINE_MAX_BYTES);
	line->level = level;
	line->cut = false;
	log_str(line, "event", event);
}

void log_strn(struct log_line *line, const char *key, const char *value, size_t len)
{
	if (line->level <= most_verbose && !kv_put(&line->text, key, value, len))
		line->cut = true;
}

void log_str(struct log_line *line, const char *key, const char *value)
{
	if (value)
		log_strn(line, key, value, strlen(value));
}

void log_int(struct log_line *line, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	log_str(line, key, text);
}

void log_seconds(struct log_line *line, const char *key, int64_t ms)
{
	char text[32];

	if (ms < 0)
		ms = 0;
	snprintf(text, sizeof(text), "%lld.%03d", (long long)(ms / 1000), (int)(ms % 1000));
	log_str(line, key, text);
}

static void write_stderr(const char *text)
{
	char stamp[CLOCK_UTC_MAX], whole[4096];
	int n;

	clock_format_utc(clock_wall_us(), stamp);
	n = snprintf(whole, sizeof(whole), "%.23sZ %s[%ld]: %s\n", stamp, ident, (long)getpid(), text);
	if (n > 0 && write(STDERR_FILENO, whole, (size_t)n) < 0) {
		/* nobody is left to tell */
	}
}

void log_end(struct log_line *line)
{
	if (line->level <= most_verbose) {
		/* room for this is kept: LINE_MAX_BYTES leaves it below the real limit */
		if (line->cut) {
			line->text.ceiling += 8;
			kv_puti(&line->text, "cut", 1);
		}
		if (sink == LOG_TO_SYSLOG)
			syslog((int)line->level, "%s", line->text.data);
		else
			write_stderr(line->text.data);
		if (tapped)
			tapped(tap_ctx, line->level, line->text.data, line->text.len);
	}
	buf_release(&line->text);
}

void log_msg(enum log_level level, const char *event, const char *fmt, ...)
{
	struct log_line line;
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_begin(&line, level, event);
	log_str(&line, "msg", text);
	log_end(&line);
}
