/* SPDX-License-Identifier: ISC */
/* See deliver_by.h. */
#include "smtp/deliver_by.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/num.h"

#define US_PER_S 1000000

bool deliver_by_parse_letters(const char *text, size_t len, struct deliver_by *by)
{
	/* ABNF's literals are of any case (RFC 5234 2.3) */
	if (len < 1 || len > 2 || !memchr("NnRr", text[0], 4) || (len == 2 && !memchr("Tt", text[1], 2)))
		return false;
	by->mode = text[0] == 'N' || text[0] == 'n' ? DELIVER_BY_NOTIFY : DELIVER_BY_RETURN;
	by->trace = len == 2;
	return true;
}

int deliver_by_parse(const char *value, size_t len, int64_t now_wall_us, struct deliver_by *out,
		     const char **why)
{
	const char *semicolon = memchr(value, ';', len);
	size_t digits = semicolon ? (size_t)(semicolon - value) : 0;
	bool has_sign = digits > 0 && (value[0] == '-' || value[0] == '+'),
	     negative = has_sign && value[0] == '-';
	struct deliver_by by = { DELIVER_BY_NONE, false, 0 };
	uint64_t seconds;

	*why = "BY takes seconds, a semicolon, N or R, and perhaps T";
	digits -= has_sign;
	if (!semicolon || digits > 9 ||
	    !num_parse_u64(value + has_sign, digits, DELIVER_BY_SECONDS_MAX, &seconds) ||
	    !deliver_by_parse_letters(semicolon + 1, len - (size_t)(semicolon + 1 - value), &by))
		return -1;
	if (by.mode == DELIVER_BY_RETURN && (negative || seconds == 0)) {
		*why = "BY with R takes a time that is still to come";
		return -1;
	}
	by.wall_us = now_wall_us + (negative ? -1 : 1) * (int64_t)seconds * US_PER_S;
	*out = by;
	return 0;
}

int64_t deliver_by_seconds(const struct deliver_by *by, int64_t now_wall_us)
{
	int64_t left_us = by->wall_us - now_wall_us, seconds = left_us / US_PER_S;

	if (left_us < 0 && left_us % US_PER_S != 0)
		seconds--;
	/* the clock may have been set since */
	if (seconds > DELIVER_BY_SECONDS_MAX)
		return DELIVER_BY_SECONDS_MAX;
	return seconds < -DELIVER_BY_SECONDS_MAX ? -DELIVER_BY_SECONDS_MAX : seconds;
}

const char *deliver_by_letters(const struct deliver_by *by)
{
	ASSERT(by->mode != DELIVER_BY_NONE);
	if (by->mode == DELIVER_BY_NOTIFY)
		return by->trace ? "NT" : "N";
	return by->trace ? "RT" : "R";
}

const char *deliver_by_format(const struct deliver_by *by, int64_t now_wall_us, char out[DELIVER_BY_TEXT_MAX])
{
	snprintf(out, DELIVER_BY_TEXT_MAX, "%" PRId64 ";%s", deliver_by_seconds(by, now_wall_us),
		 deliver_by_letters(by));
	return out;
}
