/* SPDX-License-Identifier: ISC */
/* See date.h. */
#include "smtp/date.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

const char *smtp_date_format(int64_t wall_us, char out[SMTP_DATE_MAX])
{
	/* not strftime's %a and %b: those follow the locale */
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)(wall_us / 1000000);
	struct tm tm;
	long zone_min;

	localtime_r(&t, &tm);
	zone_min = tm.tm_gmtoff / 60;
	snprintf(out, SMTP_DATE_MAX, "%s, %d %s %d %02d:%02d:%02d %c%02ld%02ld", days[tm.tm_wday], tm.tm_mday,
		 months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
		 zone_min < 0 ? '-' : '+', labs(zone_min) / 60, labs(zone_min) % 60);
	return out;
}
