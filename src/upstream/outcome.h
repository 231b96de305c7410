/* SPDX-License-Identifier: ISC */
/*
 * What follows from what an upstream did: the one decision table, of the relay
 * and of the handler "proxy". Facts in (upstream.h), a verdict out. Pure, and tested by walking the table.
 */
#ifndef UPSTREAM_OUTCOME_H
#define UPSTREAM_OUTCOME_H

#include <stdbool.h>

#include "upstream/upstream.h"

enum verdict {
	VERDICT_DELIVERED, /* the upstream has taken responsibility */
	VERDICT_FAILED, /* permanent, for this message or recipient alone */
	VERDICT_DEFERRED, /* temporary: tried again later */
	VERDICT_UNCERTAIN, /* temporary, and the upstream may have it: a duplicate is possible */
	VERDICT_UNTOUCHED /* nothing was learnt about this message: it does not count as a try */
};

struct decision {
	enum verdict verdict;
	/* the trouble is the upstream's and not the message's: it should pause */
	bool upstream_trouble;
};

struct decision outcome_decide(const struct upstream_outcome *outcome);

/* The table itself, for the test and for `posthouse explain`. First match wins. */
struct outcome_rule {
	enum upstream_how how;
	enum upstream_phase first, last; /* phases it covers */
	int code_first, code_last; /* reply codes it covers; 0..999 for any */
	struct decision decision;
	const char *because;
};
extern const struct outcome_rule outcome_rules[];
extern const unsigned outcome_rule_count;

#endif
