/* SPDX-License-Identifier: ISC */
/*
 * A line of the log as its receivers want it. Pure: what strangers sent is escaped in the line already (kv.h),
 * and stays harmless in each of these notations.
 */
#ifndef BASE_LOG_FORMAT_H
#define BASE_LOG_FORMAT_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/log.h"

/* As written with one call into a pipe that others write to as well: newline and all (POSIX: 512, here 4096). */
#define LOG_LINE_MAX 4096
#define LOG_TEXT_MAX 3800 /* of the pairs; with what stands in front it is below that */
#define LOG_RECORD_MAX 65536 /* the journal's fields */

struct log_record {
	const char *ident;
	enum log_level level;
	pid_t pid;
	int64_t wall_us;
	const char *text; /* key=value, event first; kv.h */
	size_t len;
};

/* Each is appended without a newline. */

/* 2026-11-23T10:11:12.123Z posthoused[123]: event=... */
void log_format_text(const struct log_record *r, struct buf *out);
/*
 * One JSON object in ASCII, at most LOG_LINE_MAX with a newline: _time, _level, _program, _pid, the pairs (text,
 * as `posthouse watch --json` has them), time_ms. Octets that are no UTF-8 become U+FFFD. Pairs that do not
 * fit are left out, and cut says so.
 */
void log_format_json(const struct log_record *r, struct buf *out);
/* RFC 3164, as /dev/log wants it: <22>Nov 23 10:11:12 posthoused[123]: event=..., or the object. */
void log_format_syslog(const struct log_record *r, enum log_format format, struct buf *out);
/*
 * A datagram of systemd's native journal protocol: MESSAGE is the line, and each pair a field of its own,
 * POSTHOUSE_ID for id. In those, octets other than printable ASCII are \xHH.
 */
void log_format_journal(const struct log_record *r, struct buf *out);

#endif
