/* SPDX-License-Identifier: ISC */
/* See log_filter.h. */
#include "cli/log_filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/json.h"

struct log_seen {
	char id[SPOOL_ID_LEN];
	unsigned met; /* a bit for each kind of criterion */
};

void log_filter_init(struct log_filter *f)
{
	memset(f, 0, sizeof(*f));
	criteria_init(&f->criteria);
}

void log_filter_release(struct log_filter *f)
{
	criteria_release(&f->criteria);
	free(f->seen);
	memset(f, 0, sizeof(*f));
}

bool log_filter_wants_two_passes(const struct log_filter *f)
{
	return f->criteria.kinds != 0;
}

/* ---- messages ---------------------------------------------------------------------------- */

static const char *id_of(const json_t *event)
{
	const char *id = json_get_text(event, "id");

	return id && strlen(id) == SPOOL_ID_LEN ? id : NULL;
}

static bool meets(const struct criterion *one, const json_t *event)
{
	const char *from = json_get_text(event, "from"), *to = json_get_text(event, "to"),
		   *upstream = json_get_text(event, "upstream");

	switch (one->kind) {
	case CRITERION_FROM:
		return from && pattern_matches(ROUTE_SENDER, one->text, from);
	case CRITERION_TO:
	case CRITERION_DOMAIN:
		return to && pattern_matches(ROUTE_RECIPIENT, one->text, to);
	case CRITERION_UPSTREAM:
		return upstream && strcmp(upstream, one->text) == 0;
	case CRITERION_STATE:
	case CRITERION_OLDER:
	case CRITERION_YOUNGER:
	case CRITERION_LARGER:
	case CRITERION_SMALLER:
	case CRITERION_TRIES:
	case CRITERION_ERROR:
		break;
	}
	return false;
}

static unsigned met_by(const struct log_filter *f, const json_t *event)
{
	unsigned met = 0;

	for (size_t i = 0; i < f->criteria.count; i++)
		if (meets(&f->criteria.item[i], event))
			met |= 1u << f->criteria.item[i].kind;
	return met;
}

/* The place of the id, or where it belongs. Ids come in the order of time, mostly, so the search begins at the end. */
static size_t find(const struct log_filter *f, const char *id)
{
	size_t low = 0, high = f->seen_count;

	if (high > 0 && memcmp(f->seen[high - 1].id, id, SPOOL_ID_LEN) < 0)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(f->seen[middle].id, id, SPOOL_ID_LEN) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_seen(const struct log_filter *f, size_t at, const char *id)
{
	return at < f->seen_count && memcmp(f->seen[at].id, id, SPOOL_ID_LEN) == 0;
}

static void remember(struct log_filter *f, const char *id, unsigned met)
{
	size_t at = find(f, id);

	if (!is_seen(f, at, id)) {
		if (f->seen_count == f->seen_cap) {
			f->seen_cap = f->seen_cap ? 2 * f->seen_cap : 1024;
			f->seen = mem_resize(f->seen, f->seen_cap, sizeof(*f->seen));
		}
		memmove(f->seen + at + 1, f->seen + at, (f->seen_count - at) * sizeof(*f->seen));
		memcpy(f->seen[at].id, id, SPOOL_ID_LEN);
		f->seen[at].met = 0;
		f->seen_count++;
	}
	f->seen[at].met |= met;
}

void log_filter_learn(struct log_filter *f, const json_t *event)
{
	const char *id = id_of(event);
	unsigned met = id ? met_by(f, event) : 0;

	if (met != 0)
		remember(f, id, met);
}

/* ---- lines ------------------------------------------------------------------------------- */

/* Also where a line about one message names another: the report on it. */
static bool passes_ids(struct log_filter *f, const json_t *event)
{
	const char *about[] = { json_get_text(event, "id"), json_get_text(event, "report") };

	for (size_t k = 0; k < sizeof(about) / sizeof(about[0]); k++)
		if (about[k] && strlen(about[k]) == SPOOL_ID_LEN && f->id_count > 0 &&
		    id_prefixes_match(f->id, f->id_count, about[k]))
			return true;
	return f->id_count == 0;
}

/* A line without a message stands for itself. */
static bool passes_criteria(const struct log_filter *f, const json_t *event)
{
	const char *id = id_of(event);
	unsigned met = met_by(f, event);

	if (id) {
		size_t at = find(f, id);

		met |= is_seen(f, at, id) ? f->seen[at].met : 0;
	}
	return (met & f->criteria.kinds) == f->criteria.kinds;
}

static bool passes_time(const struct log_filter *f, const json_t *event)
{
	int64_t when_ms = json_get_int(event, "time_ms", 0), when_us;

	if (when_ms > INT64_MAX / 1000 || when_ms < INT64_MIN / 1000) /* nobody's clock */
		when_ms = 0;
	when_us = when_ms * 1000;
	return when_us == 0 || ((f->since_wall_us == 0 || when_us >= f->since_wall_us) &&
				(f->until_wall_us == 0 || when_us < f->until_wall_us));
}

static bool passes_event(const struct log_filter *f, const json_t *event)
{
	const char *name = json_get_text(event, "event");

	for (size_t i = 0; i < f->event_count; i++)
		if (name && strcmp(name, f->event[i]) == 0)
			return true;
	return f->event_count == 0;
}

bool log_filter_passes(struct log_filter *f, const json_t *event)
{
	log_filter_learn(f, event);
	return passes_event(f, event) && passes_time(f, event) && passes_ids(f, event) &&
	       passes_criteria(f, event);
}

bool log_filter_rules_out(const struct log_filter *f, const char *line)
{
	for (size_t i = 0; i < f->id_count; i++)
		if (strstr(line, f->id[i].text))
			return false;
	return f->id_count > 0;
}
