/* SPDX-License-Identifier: ISC */
/* See style.h. */
#include "cli/style.h"

#include <string.h>

enum term_style style_of_condition(enum condition c)
{
	switch (c) {
	case CONDITION_QUEUED:
		return TERM_PLAIN;
	case CONDITION_DEFERRED:
	case CONDITION_HELD:
		return TERM_WARN;
	case CONDITION_DELIVERED:
		return TERM_GOOD;
	case CONDITION_FAILED:
	case CONDITION_CORRUPT:
	case CONDITION_UNREADABLE:
		return TERM_BAD;
	}
	return TERM_PLAIN;
}

enum term_style style_of_status(enum rcpt_status status)
{
	switch (status) {
	case RCPT_PENDING:
		return TERM_PLAIN;
	case RCPT_DELIVERED:
		return TERM_GOOD;
	case RCPT_FAILED:
	case RCPT_EXPIRED:
		return TERM_BAD;
	}
	return TERM_PLAIN;
}

enum term_style style_of_age(int64_t age_ms)
{
	return age_ms >= INT64_C(24) * 3600 * 1000 ? TERM_WARN : TERM_PLAIN;
}

enum term_style style_of_word(const char *word)
{
	static const struct {
		enum term_style style;
		const char *words; /* each with a space on both sides */
	} rows[] = {
		{ TERM_GOOD, " delivered completed relayed up ready resumed released upstream_up " },
		{ TERM_WARN, " deferred uncertain held warned paused probing suspended rejected retry removed "
			     "requeued rerouted upstream_slowed upstream_suspended stopping leaving " },
		{ TERM_BAD, " failed expired bounced down upstream_down upstream_still_down quarantined spool_error "
			    "unsaved killed child_exited relay_failed worker_failed spawn_failed start_failed " },
		{ TERM_DIM, " session idle starting dialogue upstream_dialogue rescan " },
	};
	size_t len = strlen(word);

	for (size_t i = 0; len > 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
		for (const char *at = rows[i].words; (at = strstr(at, word)); at++)
			if (at[-1] == ' ' && at[len] == ' ')
				return rows[i].style;
	return TERM_PLAIN;
}
