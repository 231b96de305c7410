/* SPDX-License-Identifier: ISC */
/* See log.h. One sink per process, chosen at start by daemon/ or cli/. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/kv.h"
#include "base/log_format.h"
#include "base/log_out.h"

static struct log_setup setup = {
	.sink = LOG_TO_STDERR,
	.ident = "posthouse",
	.levels = { { LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO,
		      LOG_LEVEL_INFO, LOG_LEVEL_INFO } },
	.fd = -1,
};
/* of the levels of all parts: what lies outside of them is settled without asking which part it is */
static enum log_level least = LOG_LEVEL_INFO, most = LOG_LEVEL_INFO;
static struct log_out out = { .fd = STDERR_FILENO, .kind = LOG_OUT_STREAM };
static log_tap_function *tapped;
static void *tap_ctx;
static _Atomic uint64_t own_lost, *lost = &own_lost;

void log_open_with(const struct log_setup *s)
{
	setup = *s;
	least = most = s->levels.of[0];
	for (int i = 1; i < LOG_PART_COUNT; i++) {
		least = s->levels.of[i] < least ? s->levels.of[i] : least;
		most = s->levels.of[i] > most ? s->levels.of[i] : most;
	}
	log_out_close(&out);
	switch (s->sink) {
	case LOG_TO_STDERR:
		log_out_stderr(&out);
		break;
	case LOG_TO_SYSLOG:
		tzset(); /* its time stamps are local; a process that gave up its rights may not find the file */
		log_out_socket(&out, LOG_SYSLOG_SOCKET);
		break;
	case LOG_TO_JOURNAL:
		log_out_socket(&out, LOG_JOURNAL_SOCKET);
		break;
	case LOG_TO_FD:
		log_out_fd(&out, s->fd);
		break;
	}
}

void log_open(enum log_sink sink, enum log_level level, const char *name)
{
	struct log_setup s = { .sink = sink, .ident = name, .fd = -1 };

	log_levels_set(&s.levels, level);
	log_open_with(&s);
}

void log_count_lost_in(_Atomic uint64_t *counter)
{
	lost = counter ? counter : &own_lost;
}

uint64_t log_lost(void)
{
	return atomic_load(lost);
}

void log_tap(log_tap_function *tap, void *ctx)
{
	tapped = tap;
	tap_ctx = ctx;
}

bool log_wants(enum log_level level, const char *event)
{
	return level <= least || (level <= most && level <= setup.levels.of[log_part_of(event)]);
}

void log_begin(struct log_line *line, enum log_level level, const char *event)
{
	buf_init(&line->text, LOG_TEXT_MAX);
	line->level = level;
	line->wanted = log_wants(level, event);
	line->cut = false;
	log_str(line, "event", event);
}

void log_strn(struct log_line *line, const char *key, const char *value, size_t len)
{
	if (line->wanted && !kv_put(&line->text, key, value, len))
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

static bool write_line(const struct log_line *line)
{
	const struct log_record record = { .ident = setup.ident,
					   .level = line->level,
					   .pid = getpid(),
					   .wall_us = clock_wall_us(),
					   .text = line->text.data,
					   .len = line->text.len };
	struct buf whole;
	bool written;

	buf_init(&whole, LOG_RECORD_MAX);
	switch (setup.sink) {
	case LOG_TO_STDERR:
	case LOG_TO_FD:
		if (setup.format == LOG_FORMAT_JSON)
			log_format_json(&record, &whole);
		else
			log_format_text(&record, &whole);
		buf_addc(&whole, '\n');
		break;
	case LOG_TO_SYSLOG:
		log_format_syslog(&record, setup.format, &whole);
		break;
	case LOG_TO_JOURNAL:
		log_format_journal(&record, &whole);
		break;
	}
	written = log_out_write(&out, whole.data, whole.len);
	if (!written)
		atomic_fetch_add(lost, 1);
	buf_release(&whole);
	return written;
}

bool log_end(struct log_line *line)
{
	bool written = true;

	if (line->wanted) {
		/* room for this is kept: LOG_TEXT_MAX leaves it below the real limit */
		if (line->cut) {
			line->text.ceiling += 8;
			kv_puti(&line->text, "cut", 1);
		}
		written = write_line(line);
		if (tapped)
			tapped(tap_ctx, line->level, line->text.data, line->text.len);
	}
	buf_release(&line->text);
	return written;
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
