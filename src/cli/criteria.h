/* SPDX-License-Identifier: ISC */
/*
 * What narrows the queue down: one const table of selector options, each
 * with how its value is read and how a message is held against it. Pure but
 * for the clock and the routes it is given; select.h is the way in for verbs.
 */
#ifndef CLI_CRITERIA_H
#define CLI_CRITERIA_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/args.h"
#include "cli/listing.h"
#include "manage/route.h"

enum criterion_kind {
	CRITERION_FROM,
	CRITERION_TO,
	CRITERION_DOMAIN,
	CRITERION_UPSTREAM,
	CRITERION_STATE,
	CRITERION_OLDER,
	CRITERION_YOUNGER,
	CRITERION_LARGER,
	CRITERION_SMALLER,
	CRITERION_TRIES,
	CRITERION_ERROR
};
#define CRITERION_COUNT (CRITERION_ERROR + 1)
#define CRITERION_KEY (ARGS_LONG_ONLY + 800) /* + kind: the key of its option */
#define CRITERION_TEXT_MAX 512 /* octets of a pattern or a text to look for */

/* How much of a message must be known. What can be said earlier saves reading the rest. */
enum criterion_phase {
	PHASE_ID, /* the id alone */
	PHASE_MESSAGE, /* its file was opened; the state is not known, every recipient counts as left */
	PHASE_STATE /* all is known */
};

struct criterion {
	enum criterion_kind kind;
	const char *text; /* as typed; argv's */
	uint64_t least, most; /* of what is counted; STATE: least is a set of bits */
	regex_t *regex; /* ERROR: /.../; owned */
};

struct criteria {
	struct criterion *item; /* owned */
	size_t count;
	unsigned kinds; /* a bit for each kind that is there */
	int64_t now_wall_us;
	/* UPSTREAM: where recipients go by the configuration; NULL: it is not known */
	const struct routes *routes;
};

/* In the order of the kinds, ended by ARGS_OPTIONS_END. */
extern const struct args_option criterion_options[];

void criteria_init(struct criteria *c); /* takes the time */
void criteria_release(struct criteria *c);
/* One option with its value. -1 and e: what is wrong with the value. */
int criteria_add(struct criteria *c, enum criterion_kind kind, const char *value, struct err *e);
bool criteria_has(const struct criteria *c, enum criterion_kind kind);
/* The last phase in which anything is left to be asked. */
enum criterion_phase criteria_last_phase(const struct criteria *c);
/*
 * Can the message still be one of those that are wanted? In the last phase it is one. In PHASE_ID only
 * l->id is read, and the rest must be zero.
 */
bool criteria_match(const struct criteria *c, enum criterion_phase phase, const struct listing *l);

/* route_pattern_matches, and '*' anywhere stands for any characters. */
bool pattern_matches(enum route_field field, const char *pattern, const char *address);

#endif
