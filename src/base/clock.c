/* SPDX-License-Identifier: ISC */
/* See clock.h. */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool frozen;
static int64_t frozen_wall_us, frozen_mono_ms;

int64_t clock_wall_us(void)
{
	struct timespec t;

	if (frozen)
		return frozen_wall_us;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
	struct timespec t;

	if (frozen)
		return frozen_mono_ms;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_mono_us(void)
{
	struct timespec t;

	if (frozen)
		return frozen_mono_ms * 1000;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_file_us(void)
{
	struct timespec t, tick;

	/* the tick, because this clock may be set forward a moment before that of the files */
	if (clock_gettime(CLOCK_REALTIME_COARSE, &t) < 0 || clock_getres(CLOCK_REALTIME_COARSE, &tick) < 0)
		return clock_wall_us() - 1000000;
	return (int64_t)(t.tv_sec - tick.tv_sec) * 1000000 + (t.tv_nsec - tick.tv_nsec) / 1000 - 1;
}

const char *clock_format_utc(int64_t wall_us, char out[CLOCK_UTC_MAX])
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(out, CLOCK_UTC_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, CLOCK_UTC_MAX - n, ".%06dZ", (int)(wall_us % 1000000));
	return out;
}

static int two_digits(const char *text)
{
	return (text[0] - '0') * 10 + (text[1] - '0');
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar that exists; -1: it does not. */
static int64_t days_since_epoch(int year, int month, int day)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };
	int leap_day, y = year - 1;

	if (month < 1 || month > 12)
		return -1;
	leap_day = is_leap(year) && month == 2;
	if (day < 1 || day > before[month] - before[month - 1] + leap_day)
		return -1;
	return (int64_t)(year - 1970) * 365 + (y / 4 - y / 100 + y / 400) - 477 + before[month - 1] + day - 1 +
	       (is_leap(year) && month > 2);
}

/* By hand, for a listing of the queue reads half a million of them. */
bool clock_parse_utc(const char *text, int64_t *wall_us)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";
	int hour, minute, second, year;
	int64_t days;

	for (size_t i = 0; i < sizeof(shape); i++) {
		bool is_digit = text[i] >= '0' && text[i] <= '9';

		if (shape[i] == 'd' ? !is_digit : text[i] != shape[i])
			return false;
	}
	year = two_digits(text) * 100 + two_digits(text + 2);
	days = days_since_epoch(year, two_digits(text + 5), two_digits(text + 8));
	hour = two_digits(text + 11);
	minute = two_digits(text + 14);
	second = two_digits(text + 17);
	if (year < 1970 || days < 0 || hour > 23 || minute > 59 || second > 59)
		return false;
	*wall_us = (((days * 24 + hour) * 60 + minute) * 60 + second) * INT64_C(1000000) +
		   two_digits(text + 20) * 10000 + two_digits(text + 22) * 100 + two_digits(text + 24);
	return true;
}

void clock_freeze(int64_t wall_us, int64_t mono_ms)
{
	frozen = true;
	frozen_wall_us = wall_us;
	frozen_mono_ms = mono_ms;
}

void clock_thaw(void)
{
	frozen = false;
}
