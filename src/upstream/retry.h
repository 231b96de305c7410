/* SPDX-License-Identifier: ISC */
/*
 * When to try again: the message's own growing interval, and the pause of an
 * upstream that fails (a circuit breaker). Policy: times in, times out. The
 * random numbers come from the caller, so tests choose them.
 */
#ifndef UPSTREAM_RETRY_H
#define UPSTREAM_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct retry_limits {
	int64_t min_ms, max_ms;
	double factor; /* >= 1 */
};

/*
 * The wait after the n-th try (n >= 1): min * factor^(n-1), at most max, then
 * up to a tenth more or less by `luck` in [0, 1), so that messages deferred
 * together do not come back together.
 */
int64_t retry_interval_ms(const struct retry_limits *limits, unsigned tries, double luck);

/*
 * An upstream is UP until a session fails, then PAUSED for a growing time,
 * then PROBING with one connection; the first message it answers for makes it
 * UP again.
 */
enum breaker_state { BREAKER_UP, BREAKER_PAUSED, BREAKER_PROBING };

struct breaker {
	enum breaker_state state;
	unsigned failures; /* in a row */
	int64_t paused_until_mono_ms;
};

/* A session failed. Returns the pause; *news is set when it was up before. */
int64_t breaker_failed(struct breaker *b, const struct retry_limits *probe, double luck, int64_t now_mono_ms,
		       bool *news);
/* It answered for a message. True when that is news. */
bool breaker_worked(struct breaker *b);
/* Ends a pause whose time is over: PAUSED becomes PROBING. */
void breaker_follow_clock(struct breaker *b, int64_t now_mono_ms);

#endif
