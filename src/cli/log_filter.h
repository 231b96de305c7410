/* SPDX-License-Identifier: ISC */
/*
 * Which lines of a log are shown. What is said of messages (ids, sender, recipient, upstream) selects messages, and
 * then all of their lines, though most lines have only some of it: so a log is read twice, the first time to
 * learn which messages they are. What is said of events and times selects lines. Pure.
 */
#ifndef CLI_LOG_FILTER_H
#define CLI_LOG_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "cli/criteria.h"
#include "cli/lookup.h"

#define LOG_FILTER_NAMES_MAX 32

struct log_filter {
	struct id_prefix id[LOG_FILTER_NAMES_MAX];
	size_t id_count;
	struct criteria criteria; /* FROM, TO, DOMAIN, UPSTREAM; empty: all messages */
	const char *event[LOG_FILTER_NAMES_MAX]; /* the caller's */
	size_t event_count;
	int64_t since_wall_us, until_wall_us; /* 0: no bound */
	struct log_seen *seen; /* messages by id, and which criteria a line of theirs met; owned */
	size_t seen_count, seen_cap;
};

void log_filter_init(struct log_filter *f);
void log_filter_release(struct log_filter *f);

/* Whether the log must be read once with log_filter_learn, before it is read to be shown. */
bool log_filter_wants_two_passes(const struct log_filter *f);
/* What an event tells of its message. */
void log_filter_learn(struct log_filter *f, const json_t *event);
/* Whether it is shown; learns from it first. */
bool log_filter_passes(struct log_filter *f, const json_t *event);
/* The line cannot be wanted, as far as can be seen without reading it: it has none of the whole ids. */
bool log_filter_rules_out(const struct log_filter *f, const char *line);

#endif
