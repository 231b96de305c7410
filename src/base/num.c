/* SPDX-License-Identifier: ISC */
/* See num.h. */
#include "base/num.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool num_parse_u64(const char *text, size_t len, uint64_t max, uint64_t *value)
{
	uint64_t n = 0;

	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(text[i] - '0'), &n))
			return false;
	}
	if (n > max)
		return false;
	*value = n;
	return true;
}

static bool split_unit(const char *text, uint64_t *n, const char **unit)
{
	size_t digits = strspn(text, "0123456789");

	*unit = text + digits;
	return num_parse_u64(text, digits, UINT64_MAX, n);
}

bool num_parse_size(const char *text, uint64_t max_bytes, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	uint64_t n;
	const char *unit;

	if (!split_unit(text, &n, &unit))
		return false;
	if (*unit) {
		const char *at = strchr(units, toupper((unsigned char)unit[0]));

		if (!at || unit[1])
			return false;
		for (int i = 0; i <= at - units; i++)
			if (__builtin_mul_overflow(n, 1024, &n))
				return false;
	}
	if (n > max_bytes)
		return false;
	*bytes = n;
	return true;
}

bool num_parse_duration(const char *text, int64_t max_ms, int64_t *ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{ "ms", 1 }, { "", 1000 }, { "s", 1000 }, { "m", 60000 },
		{ "h", 3600000 }, { "d", 86400000 }, { "w", 604800000 },
	};
	uint64_t n;
	const char *unit;

	if (!split_unit(text, &n, &unit))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(unit, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(n, units[i].ms, &n) || n > (uint64_t)max_ms)
			return false;
		*ms = (int64_t)n;
		return true;
	}
	return false;
}

bool num_parse_bool(const char *text, bool *value)
{
	static const char *const yes[] = { "yes", "true", "on", "1" };
	static const char *const no[] = { "no", "false", "off", "0" };

	for (size_t i = 0; i < 4; i++) {
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*value = strcasecmp(text, yes[i]) == 0;
			return true;
		}
	}
	return false;
}

const char *num_format_size(uint64_t bytes, char *out, size_t cap)
{
	static const char units[] = "KMGTPE";
	double n = (double)bytes;
	int unit = -1;

	while (n >= 1024 && unit < 5) {
		n /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(out, cap, "%u", (unsigned)bytes);
	else
		snprintf(out, cap, n < 10 ? "%.1f%c" : "%.0f%c", n, units[unit]);
	return out;
}

const char *num_format_age(int64_t ms, char *out, size_t cap)
{
	int64_t s = ms < 0 ? 0 : ms / 1000;

	if (s < 120)
		snprintf(out, cap, "%llds", (long long)s);
	else if (s < 7200)
		snprintf(out, cap, "%lldm", (long long)(s / 60));
	else if (s < 172800)
		snprintf(out, cap, "%lldh", (long long)(s / 3600));
	else
		snprintf(out, cap, "%lldd", (long long)(s / 86400));
	return out;
}
