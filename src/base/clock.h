/* SPDX-License-Identifier: ISC */
/*
 * The two clocks. Wall time names moments that outlive the process (arrival,
 * next attempt); monotonic time measures deadlines. Tests may stop both.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* "never": a deadline that does not come */
#define CLOCK_NEVER INT64_MAX

int64_t clock_wall_us(void); /* microseconds since 1970-01-01 UTC */
int64_t clock_mono_ms(void); /* milliseconds, monotonic */
int64_t clock_mono_us(void); /* the same in microseconds, for what is measured */

/*
 * No file that is made from now on has an older time stamp. The kernel stamps files with a clock of its own,
 * which lies behind clock_wall_us() by a tick or, where the timer is late (a busy host), by much more.
 */
int64_t clock_file_us(void);

#define CLOCK_UTC_MAX 32
/* "2026-11-22T20:10:21.123456Z" (RFC 3339) into out; returns out. */
const char *clock_format_utc(int64_t wall_us, char out[CLOCK_UTC_MAX]);
/* Exactly that notation; years 1970 to 9999. */
bool clock_parse_utc(const char *text, int64_t *wall_us);

/* For tests: from now on both clocks stand still at these values. */
void clock_freeze(int64_t wall_us, int64_t mono_ms);
void clock_thaw(void);

#endif
