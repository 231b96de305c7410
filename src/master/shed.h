/* SPDX-License-Identifier: ISC */
/*
 * What is done about more clients than workers: policy without processes,
 * sockets or clock.
 *
 * Stress: many workers are busy. Time-outs are short then, also for those who
 * wait already.
 * Full: all of them are, and connections wait in the backlog. Then those go
 * who have kept their worker waiting longest without bringing a message:
 * strangers before privileged clients before local ones.
 * Overdue: who has waited in the backlog for too long all the same is told
 * so (421) and not left without a word.
 *
 * All numbers of clients were written by workers, one of which may have been
 * taken over: nothing here is an index or a length of theirs.
 */
#ifndef MASTER_SHED_H
#define MASTER_SHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/client_wait.h"

struct shed_policy {
	unsigned stress_workers; /* as many busy ones are stress */
	int64_t stress_timeout_ms; /* for one wait then; 0: the same as ever */
	int64_t shed_after_ms; /* of waiting, from which on a client may have to go; 0: nobody has */
	int64_t backlog_timeout_ms; /* in the backlog, before a client is told; 0: it is not told */
	/* content at so many octets a second is no waiting; 0: all content is worth nothing */
	unsigned min_rate;
};

/* In stress, a client that has no message in so many times stress_timeout_ms of waiting goes, too. */
#define SHED_STRESS_WAITS 6

/*
 * While a client of lower rank is being waited for, be it not for long yet, one of higher rank may keep a
 * worker so many times shed_after_ms: strangers are there first and not only judged first.
 */
#define SHED_RANK_WAITS 6

/* ---- stress ------------------------------------------------------------------------- */

#define STRESS_CALM_MS 5000 /* it ends when there was none for so long */

struct stress {
	bool on;
	int64_t calm_since_mono_ms;
};

/* Returns whether it began or ended. */
bool stress_update(struct stress *s, const struct shed_policy *p, unsigned busy, int64_t now_mono_ms);

/* ---- clients ------------------------------------------------------------------------ */

/* A client that a worker waits for now. */
struct shed_client {
	unsigned slot; /* the caller's */
	unsigned episode;
	enum client_rank rank;
	int64_t waits_ms; /* this time */
	int64_t waited_ms; /* in this episode, less what its content made up for */
};

/* False: nobody waits for it, or it has been told to go already. */
bool shed_client_of(struct shed_client *c, const struct shed_policy *p, const struct client_wait *w,
		    int64_t now_mono_ms);
/* In stress: it has used up its time, whether anybody waits for its worker or not. */
bool shed_is_overdue(const struct shed_client *c, const struct shed_policy *p);
/* Whether it may have to, by itself, when it is not known who else is there. */
bool shed_may_go(const struct shed_client *c, const struct shed_policy *p);
/*
 * Who goes to make room for `wanted` others: sorts the clients, those first, and returns how many of them it
 * is.
 */
size_t shed_choose(struct shed_client *c, size_t count, const struct shed_policy *p, size_t wanted);

/* ---- the backlog ------------------------------------------------------------------------ */

#define BACKLOG_SAMPLES 64

/*
 * Nobody can ask the kernel since when the first connection of a backlog has been there. But the backlog is a
 * queue: all that had arrived at some time are served when as many were taken. So it is enough to note how
 * many those were, from time to time.
 */
struct backlog {
	struct backlog_sample {
		int64_t at_mono_ms;
		uint64_t arrived;
	} sample[BACKLOG_SAMPLES];
	unsigned count, next;
	uint64_t turned_away;
};

/*
 * `waiting` connections are there, and workers took `taken` since the beginning of time. Returns how many of
 * those that wait have done so for longer than the policy wants.
 */
unsigned backlog_note(struct backlog *b, const struct shed_policy *p, unsigned waiting, uint64_t taken,
		      int64_t now_mono_ms);
/* That many were told, and are gone. */
void backlog_turned_away(struct backlog *b, unsigned count);

#endif
