/* SPDX-License-Identifier: ISC */
/* See log.h. How much of what is logged: events by what they tell of, and the words of log_level. */
#include <string.h>

#include "base/log.h"

const char *const log_part_names[LOG_PART_COUNT] = {
	[LOG_PART_SERVICE] = "service", [LOG_PART_CLIENT] = "client",     [LOG_PART_AUTH] = "auth",
	[LOG_PART_RELAY] = "relay",     [LOG_PART_UPSTREAM] = "upstream", [LOG_PART_PROGRAM] = "program",
	[LOG_PART_MODULE] = "module",
};

static const struct {
	const char *name;
	enum log_level level;
} levels_there_are[] = {
	{ "error", LOG_LEVEL_ERROR },
	{ "warning", LOG_LEVEL_WARNING },
	{ "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },
};
#define LEVELS (sizeof(levels_there_are) / sizeof(levels_there_are[0]))

/* What is not in here tells of the service itself. posthoused(8) has the same events in the same order. */
static const char *const events[LOG_PART_COUNT][48] = {
	[LOG_PART_CLIENT] = { "accepted", "rejected", "flush_asked", "tls", "tls_failed", "proxy_failed",
			      "session", "dialogue", "outbox", "outbox_failed", "rewritten",
			      "rewrite_skipped", "rewrite_failed", "content_error" },
	[LOG_PART_AUTH] = { "authenticated", "auth_failed", "auth_banned", "auth_malformed", "auth_error",
			    "auth_unavailable", "auth_recovered" },
	[LOG_PART_RELAY] = { "delivered",     "deferred",    "uncertain", "failed",     "expired",
			     "bounced",       "warned",      "relayed",   "completed",  "unsaved",
			     "quarantined",   "spool_error", "waiting",   "flush",      "flushed",
			     "flush_ignored", "rescan",      "recovered", "retried",    "held",
			     "released",      "removed",     "requeued",  "rerouted",   "action_failed",
			     "probe_ordered", "suspended",   "resumed",   "door_failed" },
	[LOG_PART_UPSTREAM] = { "upstream_down", "upstream_still_down", "upstream_up", "upstream_crowded",
				"upstream_slowed", "upstream_recovered", "upstream_dialogue",
				"mailman_listed", "mailman_down", "mailman_still_down", "mailman_up",
				"oauth_loaded", "oauth_refreshed", "oauth_failed", "oauth_unsaved",
				"credentials_refused" },
	[LOG_PART_PROGRAM] = { "program", "program_stderr", "program_error", "filter_failed" },
	[LOG_PART_MODULE] = { "module", "module_timeout", "module_fault", "module_error" },
};

enum log_part log_part_of(const char *event)
{
	for (int part = 0; part < LOG_PART_COUNT; part++)
		for (const char *const *at = events[part]; *at; at++)
			if (strcmp(*at, event) == 0)
				return (enum log_part)part;
	return LOG_PART_SERVICE;
}

const char *log_level_name(enum log_level level)
{
	for (size_t i = 0; i < LEVELS; i++)
		if (levels_there_are[i].level == level)
			return levels_there_are[i].name;
	return NULL;
}

void log_levels_set(struct log_levels *levels, enum log_level all)
{
	for (int part = 0; part < LOG_PART_COUNT; part++)
		levels->of[part] = all;
}

static bool level_find(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < LEVELS; i++) {
		if (strcmp(levels_there_are[i].name, name) != 0)
			continue;
		*level = levels_there_are[i].level;
		return true;
	}
	return false;
}

static int part_find(const char *name, size_t len)
{
	for (int part = 0; part < LOG_PART_COUNT; part++)
		if (strlen(log_part_names[part]) == len && strncmp(log_part_names[part], name, len) == 0)
			return part;
	return -1;
}

int log_levels_take(struct log_levels *levels, const char *text, struct err *e)
{
	const char *equals = strchr(text, '=');
	enum log_level level;
	int part = equals ? part_find(text, (size_t)(equals - text)) : -1;

	if (equals && part < 0) {
		err_set(e,
			"\"%s\": the part is not one of service, client, auth, relay, upstream, program or module",
			text);
		return -1;
	}
	if (!level_find(equals ? equals + 1 : text, &level)) {
		err_set(e, "\"%s\": the level is not one of error, warning, info or debug", text);
		return -1;
	}
	if (equals)
		levels->of[part] = level;
	else
		log_levels_set(levels, level);
	return 0;
}

void log_levels_format(const struct log_levels *levels, struct buf *out)
{
	enum log_level all = levels->of[LOG_PART_SERVICE];

	buf_addf(out, "\"%s\"", log_level_name(all));
	for (int part = 0; part < LOG_PART_COUNT; part++)
		if (levels->of[part] != all)
			buf_addf(out, ", \"%s=%s\"", log_part_names[part], log_level_name(levels->of[part]));
}
