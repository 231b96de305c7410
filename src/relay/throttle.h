/* SPDX-License-Identifier: ISC */
/*
 * How fast an upstream is served: its rate (a token bucket) and how many
 * connections it seems to like. Policy: times in, decisions out. Pure.
 */
#ifndef RELAY_THROTTLE_H
#define RELAY_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "smtp/reply.h"

/* messages_per_minute: tokens come evenly, a tenth of a minute's worth (at least one) may be saved up. */
struct bucket {
	unsigned per_minute; /* 0: no limit */
	double tokens;
	int64_t filled_mono_ms; /* when tokens was right */
};

void bucket_init(struct bucket *b, unsigned per_minute, int64_t now_mono_ms); /* full */
/* How many may go now; UINT_MAX when there is no limit. */
unsigned bucket_has(struct bucket *b, int64_t now_mono_ms);
/* Takes one; false when there is none. */
bool bucket_take(struct bucket *b, int64_t now_mono_ms);
/* What was taken was not used. */
void bucket_return(struct bucket *b);
/* When there is one; now or before: at once. */
int64_t bucket_next_mono_ms(const struct bucket *b);

/*
 * An upstream that answers 421, 432, 450, 451 or 452 gets half as many connections, at most once in
 * THROTTLE_PAUSE_MS; each window's worth of messages that it takes gives it one more.
 */
#define THROTTLE_PAUSE_MS 3000

struct throttle {
	unsigned window; /* connections allowed, 0: not slowed */
	unsigned worked; /* messages since the window last grew */
	int64_t slowed_mono_ms;
};

/* Is this a reply that says "too fast"? */
bool throttle_is_slow_down(const struct smtp_reply *reply);
/* It said so, while that many connections were open. True when it was not slowed before. */
bool throttle_slow(struct throttle *t, unsigned open, int64_t now_mono_ms);
/* It took a message. True when it is not slowed any more: the window is as large as most. */
bool throttle_worked(struct throttle *t, unsigned most);
/* Connections there may be, of at most `most`. */
unsigned throttle_allows(const struct throttle *t, unsigned most);

#endif
