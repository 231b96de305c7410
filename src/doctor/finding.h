/* SPDX-License-Identifier: ISC */
/*
 * What `posthouse doctor` found, as values: which check, how good, what was seen, what to do about it. How that
 * is shown is cli/doctor_print's. And the tables of checks, which are run one after the other: a check whose needs
 * failed is not run, and that is a finding too.
 */
#ifndef DOCTOR_FINDING_H
#define DOCTOR_FINDING_H

#include <stdbool.h>
#include <stddef.h>

enum finding_level {
	FINDING_OK,
	FINDING_WARNING, /* works, and will not always, or not as well as it could */
	FINDING_SKIPPED, /* not reached */
	FINDING_FAILED
};
#define FINDING_LEVEL_COUNT (FINDING_FAILED + 1)
const char *finding_level_name(enum finding_level level); /* "ok", "warning", "skipped", "failed" */

struct finding {
	const char *check; /* its name in the table */
	enum finding_level level;
	char *what; /* may hold strangers' octets; owned */
	char *advice; /* what to do about it; NULL: nothing; owned */
};

struct findings {
	struct finding *item; /* owned */
	size_t count, cap;
	const char *check; /* whose findings are being added */
};

#define FINDINGS_MAX 5000 /* what comes beyond is dropped */
#define FINDING_TEXT_MAX 4000 /* longer texts are cut */

void findings_init(struct findings *f);
void findings_release(struct findings *f);
void finding_add(struct findings *f, enum finding_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Of the one added last. */
void finding_advise(struct findings *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* How many of each level. */
void findings_count(const struct findings *f, size_t count[FINDING_LEVEL_COUNT]);
/* The worst of those of one check; OK when it has none. */
enum finding_level findings_worst(const struct findings *f, const char *check);

struct doctor_check {
	const char *name; /* also in the manual, and in JSON */
	const char *needs; /* another one above it in the table that must not have failed; NULL: nothing */
	bool (*applies)(const void *subject); /* else it is left out without a word; NULL: always */
	/* Adds what it found; nothing, where there is nothing to look at. Has a deadline, and changes nothing. */
	void (*run)(void *subject, struct findings *f);
};

/* Runs a table; after each check told() gets the findings from *first on (may be NULL). */
void doctor_run(const struct doctor_check *table, size_t count, void *subject, struct findings *f,
		void (*told)(void *ctx, const struct findings *f, size_t first), void *ctx);

#endif
