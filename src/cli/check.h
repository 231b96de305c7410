/* SPDX-License-Identifier: ISC */
/* The judgement of `posthouse check` on a status object. Pure, for its test. */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"

/* The numbers are exit statuses of Nagios plugins. */
enum check_level { CHECK_OK, CHECK_WARNING, CHECK_CRITICAL, CHECK_UNKNOWN };

enum check_what { CHECK_AGE, CHECK_MESSAGES, CHECK_FAILED, CHECK_HELD }; /* the order of check_options */
#define CHECK_WHAT_COUNT (CHECK_HELD + 1)

/* More than this is too much; -1: no limit. Ages in seconds. */
struct check_limit {
	int64_t warning, critical;
};

struct check_result {
	enum check_level level;
	struct buf text; /* strangers' octets possible */
	struct buf perfdata;
};

/* Release the result. Members that are missing are 0, except the queue: then it is UNKNOWN. */
void check_judge(struct check_result *r, const json_t *status, const struct check_limit limit[CHECK_WHAT_COUNT],
		 int64_t now_wall_us);
void check_release(struct check_result *r);

#endif
