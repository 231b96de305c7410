/* SPDX-License-Identifier: ISC */
/*
 * A line of a log, in whichever of the notations it was kept, as an event. What other programs wrote into the
 * same log is none of ours, whatever it looks like further on. Pure, but for the time zone.
 */
#ifndef CLI_LOG_ENTRY_H
#define CLI_LOG_ENTRY_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/*
 * Reads
 *   2026-11-23T10:11:12.123Z posthoused[123]: event=...      standard error, a file
 *   Nov 23 10:11:12 host posthoused[123]: event=...          syslog, of the year before latest_wall_us
 *   2026-11-23T10:11:12.123456+01:00 host posthoused[123]: event=...
 *   {"_time": ..., "event": ...}                             also behind such a beginning
 *   {"MESSAGE": "event=...", "__REALTIME_TIMESTAMP": ...}    journalctl -o json
 * into an object of the pairs, with time_ms, and _program, _pid and _level where they are known. NULL: it is
 * nothing of that. line is overwritten; line[len] must exist.
 */
json_t *log_entry_parse(char *line, size_t len, int64_t latest_wall_us);

#endif
