/* SPDX-License-Identifier: ISC */
/*
 * state/ID: what attempts did to a message so far. It exists only once a
 * message met a failure, a hold or a partial delivery; without it every
 * recipient is pending and was never tried. Written by the relay (or a CLI
 * that holds the spool lock) only; replaced whole.
 */
#ifndef SPOOL_STATE_H
#define SPOOL_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "smtp/reply.h"
#include "spool/id.h"
#include "spool/message.h"
#include "spool/spool.h"

enum rcpt_status {
	RCPT_PENDING, /* to be sent; tries may be > 0 (deferred) */
	RCPT_DELIVERED, /* the upstream took responsibility: never sent again */
	RCPT_FAILED, /* refused for good, or returned by an operator */
	RCPT_EXPIRED /* given up by age or by an operator */
};

struct rcpt_state {
	enum rcpt_status status;
	int64_t when_wall_us; /* of the last change, 0: never */
	unsigned tries; /* attempts that reached a decision about it */
	int64_t next_wall_us; /* PENDING: not before; 0: now */
	/* FAILED, EXPIRED: dealt with (the sender was told, or nobody is to be told): no report is to be made */
	bool reported;
	char *upstream; /* name of the upstream that answered, NULL: none; owned */
	char *remote; /* its address as configured, "smtp.example.net:587", NULL: none; owned */
	char *reply; /* last reply or error on one line, NULL: none; owned */
};

/* One thing that happened to the message, for `posthouse show --log` and `explain`. */
struct spool_event {
	int64_t when_wall_us; /* the last time, when it came several times */
	unsigned times; /* in a row, 1 or more */
	size_t rcpts; /* how many recipients it was about; 0: the message */
	char *what; /* a word, as in the log: "deferred", "delivered", "held", ...; owned */
	char *upstream, *remote; /* NULL: none; owned */
	char *text; /* reply, or reason; NULL: none; owned */
	char *by; /* operator's command: "uid=0"; NULL: Posthouse itself; owned */
};
#define SPOOL_EVENTS_MAX 32 /* the first and the latest are kept */

struct spool_state {
	unsigned tries; /* attempts that reached a decision about this message */
	int64_t next_attempt_wall_us; /* the earliest of the pending recipients', 0: now (spool_state_follow) */
	int64_t last_attempt_wall_us; /* 0: never */
	bool held; /* not attempted until released */
	char *hold_reason; /* NULL: none; owned */
	/*
	 * The envelope says that the message is held from its first moment (envelope.hold), and why; NULL: it does not. So it is
	 * without a state, or with one that was lost, until `released` is durable. Owned.
	 */
	char *born_hold;
	bool released; /* of born_hold, for good */
	bool uncertain; /* the last attempt sent the content and got no answer */
	bool warned; /* the sender was told of the delay */
	char *route; /* upstream that an operator chose, NULL: by the rules; owned */
	/* id of a report on the failed recipients that is about to be queued: made again, under this id, after
	 * a crash; "": none */
	struct spool_id report_id;
	struct rcpt_state *rcpt; /* by index of the envelope's recipients; owned */
	size_t rcpt_count;
	struct spool_event *event; /* oldest first; owned */
	size_t event_count;
};

/* All pending; for a state that is not that of a message (see below). */
void spool_state_init(struct spool_state *st, size_t rcpt_count);
/* All pending, and held if the envelope says so: for whoever loads, saves or acts on the state of a message. */
void spool_state_init_for(struct spool_state *st, const struct envelope *env);
void spool_state_release(struct spool_state *st);
/* Holds it; the reason is copied, NULL: none. */
void spool_state_hold(struct spool_state *st, const char *reason);
/* It is not held any more, also not by its envelope. */
void spool_state_let_go(struct spool_state *st);
/* Replaces upstream, remote and reply of one recipient with copies. Leaves tries, next and reported. */
void rcpt_state_set(struct rcpt_state *r, enum rcpt_status status, int64_t wall_us, const char *upstream,
		    const char *remote, const char *reply);
/* Works out next_attempt_wall_us from the pending recipients; 0 when there is none. */
void spool_state_follow(struct spool_state *st);
/* Notes what happened, with copies of its texts (times is taken for 1); the same again only counts. */
void spool_state_add_event(struct spool_state *st, const struct spool_event *event);
size_t spool_state_count(const struct spool_state *st, enum rcpt_status status);
/* Nobody is left to be tried or told of: the message may leave the spool. */
bool spool_state_is_finished(const struct spool_state *st);
const char *rcpt_status_name(enum rcpt_status status);

/* The text of a state file, pure: appends it, false when it passes the ceiling of out. */
bool spool_state_format(const struct spool_state *st, struct buf *out);
/*
 * Reads it into an initialised state; text[len] must exist, text is overwritten. False: torn or
 * damaged, and st has something of it.
 */
bool spool_state_parse(struct spool_state *st, char *text, size_t len);

/*
 * Reads state/ID into an initialised state; a missing file leaves it all
 * pending and is SPOOL_READ_OK. rcpt_count must be the envelope's.
 */
enum spool_read spool_state_load(struct spool_state *st, const struct spool *s, const char *id, struct err *e);
/* The same from an open descriptor, which stays open; -1: there is no state. */
enum spool_read spool_state_load_from(struct spool_state *st, const struct spool *s, const char *id, int fd,
				      struct err *e);
#define SPOOL_LEFT_UNKNOWN SIZE_MAX
/* What the first lines of a state say. */
struct spool_state_head {
	int64_t next_wall_us; /* when it is due, 0: now */
	bool held;
	size_t left; /* pending recipients; SPOOL_LEFT_UNKNOWN: written by 0.1, which did not say */
	bool report_wanted; /* a report on failed recipients was begun and not finished */
};
/*
 * For a relay that starts with a million of them: reads the first lines and verifies nothing, so it
 * is a hint and the attempt looks properly. False when there is nothing sensible to read.
 */
bool spool_state_peek(struct spool_state_head *head, const struct spool *s, const char *id);
/*
 * Replaces state/ID. On return of 0 what must not be taken back is durable: recipients that are not
 * pending any more, a hold, its release where the envelope asked for it, a chosen route, a report under way. A state without
 * these may be lost in a power cut, or torn (then it reads as SPOOL_READ_CORRUPT, as it was at first).
 */
int spool_state_save(const struct spool_state *st, const struct spool *s, const char *id, struct err *e);
/* Does it hold anything that a power cut must not take back? */
bool spool_state_must_last(const struct spool_state *st);
/* Its text, for who writes it (batch.c); the buffer is to be released on 0. */
int spool_state_text(const struct spool_state *st, const struct spool *s, const char *id, struct buf *text,
		     struct err *e);

/*
 * Takes the message out of the spool: queue/ID first, then state/ID, so that
 * a crash in between leaves an orphan state (cleaned at start) and never a
 * message that forgot who already got it. 0 also when it was gone already.
 */
int spool_remove(const struct spool *s, const char *id, struct err *e);

#endif
