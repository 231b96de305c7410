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

bool clock_parse_utc(const char *text, int64_t *wall_us)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";
	char canonical[CLOCK_UTC_MAX];
	struct tm tm = { 0 };
	int us;

	for (size_t i = 0; i < sizeof(shape); i++) {
		bool is_digit = text[i] >= '0' && text[i] <= '9';

		if (shape[i] == 'd' ? !is_digit : text[i] != shape[i])
			return false;
	}
	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		   &tm.tm_min, &tm.tm_sec, &us) != 7 || tm.tm_year < 1970)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*wall_us = (int64_t)timegm(&tm) * 1000000 + us;
	/* timegm forgives the 31st of February; we do not */
	return strcmp(clock_format_utc(*wall_us, canonical), text) == 0;
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
