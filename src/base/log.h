/* SPDX-License-Identifier: ISC */
/*
 * The log: one line an event, key=value (see kv.h), to standard error, a
 * file, syslog or the journal. A line is built in a fixed buffer and written
 * with one call, so that lines of different processes never mix; what does not
 * fit is cut and the line ends with cut=1. Only the owner of a unit of work logs.
 *
 *   event=accepted id=0m4x7f3q9zkab1cd peer=192.0.2.1:4711 from=a@example.org ...
 *
 * A log that takes nothing (a full pipe, a daemon that hangs) holds nobody up:
 * what it does not take within a moment is dropped, and counted.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum log_sink {
	LOG_TO_STDERR,
	LOG_TO_SYSLOG, /* the socket /dev/log */
	LOG_TO_JOURNAL, /* the journal's own socket: each pair is a field */
	LOG_TO_FD /* a file, or the pipe to who writes one (daemon/log_writer.h) */
};

/* The numbers are syslog's priorities. */
enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* How a line looks on standard error, in a file, and to syslog; the journal has fields. */
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* ---- how much ------------------------------------------------------------------------ */

/* What an event tells of, whichever process does: see the table in log_level.c. */
enum log_part {
	LOG_PART_SERVICE, /* processes, start and stop, files read again: all that is in no other part */
	LOG_PART_CLIENT, /* sessions with clients */
	LOG_PART_AUTH, /* their log-ins */
	LOG_PART_RELAY, /* the queue, deliveries, operators */
	LOG_PART_UPSTREAM, /* states of upstreams, dialogues with them, tokens, Mailman */
	LOG_PART_PROGRAM,
	LOG_PART_MODULE
};
#define LOG_PART_COUNT (LOG_PART_MODULE + 1)
extern const char *const log_part_names[LOG_PART_COUNT];

struct log_levels {
	enum log_level of[LOG_PART_COUNT]; /* the most verbose that is written */
};

void log_levels_set(struct log_levels *levels, enum log_level all);
/* "debug": all parts; "relay=debug": one. The message lists what there is. */
int log_levels_take(struct log_levels *levels, const char *text, struct err *e);
/* Appends what log_levels_take makes them of, each between quote marks, with ", " between. */
void log_levels_format(const struct log_levels *levels, struct buf *out);
/* "info"; NULL for what is no level */
const char *log_level_name(enum log_level level);
enum log_part log_part_of(const char *event);

/* ---- where to ------------------------------------------------------------------------ */

struct log_setup {
	enum log_sink sink;
	enum log_format format;
	const char *ident; /* kept, not copied */
	struct log_levels levels;
	int fd; /* LOG_TO_FD: stays the caller's; a pipe is to be non-blocking */
};

/*
 * From now on. Until it is called the log goes to standard error, INFO and above. Children inherit it. What it
 * opens (a socket) it closes when it is called again.
 */
void log_open_with(const struct log_setup *setup);
/* The same, as text, with one level for all. */
void log_open(enum log_sink sink, enum log_level most_verbose, const char *ident);

/*
 * Where lines that were dropped are counted; NULL: in this process. Processes that share memory share the count.
 */
void log_count_lost_in(_Atomic uint64_t *counter);
uint64_t log_lost(void);

/*
 * Somebody else who is told of each line that is written, without its newline, as it stands there: key=value.
 * It must not log. NULL: nobody.
 */
typedef void log_tap_function(void *ctx, enum log_level level, const char *line, size_t len);
void log_tap(log_tap_function *tap, void *ctx);

/* ---- lines --------------------------------------------------------------------------- */

struct log_line {
	struct buf text;
	enum log_level level;
	bool wanted; /* else nothing is built */
	bool cut;
};

/* Whether such a line would be written: for who has work to do to make one. */
bool log_wants(enum log_level level, const char *event);

/*
 * log_begin, then any number of pairs, then log_end, which writes and releases the line. It returns false when
 * the line was dropped (and counted), which nobody but who tells of that cares about.
 */
void log_begin(struct log_line *line, enum log_level level, const char *event);
void log_str(struct log_line *line, const char *key, const char *value); /* NULL: the pair is left out */
void log_strn(struct log_line *line, const char *key, const char *value, size_t len);
void log_int(struct log_line *line, const char *key, int64_t value);
/* milliseconds, written as seconds with three decimals */
void log_seconds(struct log_line *line, const char *key, int64_t ms);
bool log_end(struct log_line *line);

/* event=EVENT msg="..." */
void log_msg(enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
