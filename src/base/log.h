/* SPDX-License-Identifier: ISC */
/*
 * The log: one line an event, key=value (see kv.h), to standard error or to
 * syslog. A line is built in a fixed buffer and written with one call, so
 * that lines of different processes never mix; what does not fit is cut and
 * the line ends with cut=1. Only the owner of a unit of work logs.
 *
 *   event=accepted id=0m4x7f3q9zkab1cd peer=192.0.2.1:4711 from=a@example.org ...
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>
#include <stddef.h>

#include "base/buf.h"

enum log_sink { LOG_TO_STDERR, LOG_TO_SYSLOG };

/* The numbers are syslog's priorities. */
enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* Until this is called the log goes to standard error, INFO and above. ident is kept, not copied. */
void log_open(enum log_sink sink, enum log_level most_verbose, const char *ident);

/*
 * Somebody else who is told of each line that is written, without its newline, as it stands there: key=value.
 * It must not log. NULL: nobody.
 */
typedef void log_tap_function(void *ctx, enum log_level level, const char *line, size_t len);
void log_tap(log_tap_function *tap, void *ctx);

struct log_line {
	struct buf text;
	enum log_level level;
	bool cut;
};

/* log_begin, then any number of pairs, then log_end, which writes and releases the line. */
void log_begin(struct log_line *line, enum log_level level, const char *event);
void log_str(struct log_line *line, const char *key, const char *value); /* NULL: the pair is left out */
void log_strn(struct log_line *line, const char *key, const char *value, size_t len);
void log_int(struct log_line *line, const char *key, int64_t value);
/* milliseconds, written as seconds with three decimals */
void log_seconds(struct log_line *line, const char *key, int64_t ms);
void log_end(struct log_line *line);

/* event=EVENT msg="..." */
void log_msg(enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
