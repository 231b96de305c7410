/* SPDX-License-Identifier: ISC */
/*
 * What is counted and measured, as one table: it lays out the memory (figures.h), drives the text
 * (render.h), and a test holds posthouse-metrics(7) against it. A new figure: a name in the enum, a line in
 * table.c, a line in the manual, and a call where it happens. Const data, any process.
 */
#ifndef FIGURES_TABLE_H
#define FIGURES_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who counts. Each has memory of its own, which the others cannot write to (figures.h). */
enum figures_area {
	FIGURES_OF_MASTER,
	FIGURES_OF_WORKERS,
	FIGURES_OF_RELAY,
	FIGURES_OF_AUTH,
	FIGURES_OF_MONITOR
};
#define FIGURES_AREAS 5

enum figure {
	/* the master's */
	FIGURE_BUILD_INFO,
	FIGURE_START_TIME,
	FIGURE_WORKERS_MAX,
	FIGURE_PROCESS_EXITS,
	FIGURE_RELOADS,
	FIGURE_CERTIFICATE_EXPIRY,
	FIGURE_STRESS,
	FIGURE_BACKLOG,
	FIGURE_CLIENTS_ENDED,
	/* the workers' */
	FIGURE_SESSIONS,
	FIGURE_SESSION_SECONDS,
	FIGURE_COMMANDS,
	FIGURE_MESSAGES_ACCEPTED,
	FIGURE_RECIPIENTS_ACCEPTED,
	FIGURE_MESSAGE_BYTES,
	FIGURE_RECEIVE_SECONDS,
	FIGURE_REJECTIONS,
	FIGURE_TLS_SESSIONS,
	FIGURE_TLS_FAILURES,
	/* auth's */
	FIGURE_AUTH_ATTEMPTS,
	FIGURE_AUTH_BANS,
	/* the relay's */
	FIGURE_QUEUE_MESSAGES,
	FIGURE_QUEUE_OLDEST,
	FIGURE_QUEUED,
	FIGURE_RECIPIENTS,
	FIGURE_QUEUE_SECONDS,
	FIGURE_ATTEMPT_SECONDS,
	FIGURE_UPSTREAM_REPLIES,
	FIGURE_UPSTREAM_TROUBLES,
	FIGURE_UPSTREAM_SLOWDOWNS,
	FIGURE_UPSTREAM_STATE,
	FIGURE_UPSTREAM_CONNECTIONS,
	FIGURE_UPSTREAM_WAITING,
	FIGURE_SPOOL_QUARANTINED,
	FIGURE_RELAY_BEAT,
	/* the monitor's */
	FIGURE_WORKERS,
	FIGURE_SPOOL_FREE,
	FIGURE_SPOOL_SIZE,
	FIGURE_SPOOL_FILES_FREE,
	FIGURE_HEALTHY,
	FIGURE_HEALTH_CHECK,
	FIGURE_PROBE_SECONDS,
	FIGURE_PROBES,
	FIGURE_HTTP_REQUESTS,
	FIGURE_MONITOR_BEAT,
	FIGURE_MONITOR_ASKED,
	FIGURE_MONITOR_ANSWERED,
	FIGURE_MONITOR_MOVED,
	FIGURE_MONITOR_STORE_FAILED,
	FIGURE_COUNT
};

enum figure_kind { FIGURE_COUNTER, FIGURE_GAUGE, FIGURE_HISTOGRAM };

/* What a cell holds, and so how it is shown. */
enum figure_unit {
	FIGURE_NUMBER,
	FIGURE_BYTES,
	FIGURE_MICROSECONDS, /* shown in seconds */
	FIGURE_WALL_MOMENT, /* microseconds since 1970; shown as seconds of age, 0 when there is none */
	FIGURE_MONO_MOMENT /* milliseconds of the monotonic clock; the same */
};

/* Names that only the configuration knows. */
enum figures_names {
	FIGURES_NO_NAMES,
	FIGURES_LISTENERS,
	FIGURES_UPSTREAMS,
	FIGURES_CERTIFICATES,
	FIGURES_VERSIONS /* of this program: one */
};
#define FIGURES_NAMES 5
#define FIGURES_NAMES_MAX 128 /* of a kind; the last stands for all that are too many */

struct figure_label {
	const char *name; /* NULL: no such label */
	const char *const
		*words; /* its values, ended by NULL; the last stands for what is none of the others */
	enum figures_names names; /* or these */
};
#define FIGURE_LABELS 2

struct figure_info {
	const char *name; /* in full, but for the _total of counters */
	enum figure_kind kind;
	enum figures_area area;
	enum figure_unit unit;
	struct figure_label label[FIGURE_LABELS];
	const int64_t *bounds; /* histograms: upper ones, in the cell's unit, ended by 0 */
	bool sparse; /* what never happened is left out: too many combinations */
	bool internal; /* for health.h, and no figure for people */
	const char *help;
};

extern const struct figure_info figure_table[FIGURE_COUNT];

/* How many values a label has; 1 when there is none. */
unsigned figure_label_size(const struct figure_label *l);
unsigned figure_bounds_count(const struct figure_info *f);
/* "seconds", "bytes" or NULL, as OpenMetrics has it: then the name ends in it */
const char *figure_unit_name(const struct figure_info *f);
/* The index of a word, that of the last one when it is none of them. Without regard to case. */
unsigned figure_word(enum figure f, unsigned label, const char *text, size_t len);

#endif
