/* SPDX-License-Identifier: ISC */
/*
 * One queued message as the operator sees it: envelope and state read
 * together, and what they add up to.
 */
#ifndef CLI_LISTING_H
#define CLI_LISTING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "base/err.h"
#include "manage/json.h"
#include "spool/id.h"
#include "spool/message.h"
#include "spool/spool.h"
#include "spool/state.h"

/* posthouse(1) explains each; the order is the one of the footer of `posthouse queue`. */
enum condition {
	CONDITION_QUEUED, /* never tried, or being tried for the first time */
	CONDITION_DEFERRED, /* tried, some recipients are left */
	CONDITION_HELD,
	CONDITION_FAILED, /* nobody is left to be tried and somebody did not get it */
	CONDITION_DELIVERED, /* everybody has it: about to leave the spool */
	CONDITION_CORRUPT, /* its file, or its state, is damaged */
	CONDITION_UNREADABLE /* the system refuses to read it */
};
#define CONDITION_COUNT (CONDITION_UNREADABLE + 1)
const char *condition_name(enum condition c); /* "queued", ... */

struct listing {
	struct spool_id id;
	enum condition condition;
	struct err why; /* CORRUPT and UNREADABLE: the reason; the following is empty then */
	struct spool_message msg; /* fd is open */
	struct spool_state state;
	size_t left; /* recipients that are still pending */
};

/*
 * Reads a message. may_have_state: false saves looking for one. False: it is
 * gone (delivered or removed meanwhile), nothing is to be released.
 */
bool listing_open(struct listing *l, const struct spool *s, const char *id, bool may_have_state);
void listing_close(struct listing *l);

/*
 * The same in two steps, for who can tell from the envelope that the message is none of those wanted.
 * message_fd: its file, opened already (taken over); -1: it is opened here. Between the steps
 * state.rcpt is NULL. After a "false" of any, or when it is not readable, nothing is to be done.
 */
bool listing_begin(struct listing *l, const struct spool *s, const char *id, int message_fd);
enum listing_state {
	LISTING_STATE_NONE, /* there is none: it was seen in no list of states */
	LISTING_STATE_OPEN, /* look for it */
	LISTING_STATE_GIVEN /* state_fd is it, -1: there is none; it stays open */
};
bool listing_add_state(struct listing *l, const struct spool *s, enum listing_state how, int state_fd);

/* It is UNREADABLE, because of e. */
void listing_fail(struct listing *l, const char *id, const struct err *e);

/* CORRUPT and UNREADABLE: there is no envelope to show. */
bool listing_is_readable(const struct listing *l);
/* The reply to show in one line: of the last recipient that was tried and is not delivered; NULL: none. */
const char *listing_last_reply(const struct listing *l);
/* CORRUPT and UNREADABLE: the reason without the file's name, for a line that has the id already. */
const char *listing_why(const struct listing *l);

/*
 * The message as the object of posthouse(1) JSON OUTPUT, a superset of
 * `postqueue -j`. The reference is the caller's.
 */
json_t *listing_json(const struct listing *l);

enum json_layout { JSON_ONE_LINE, JSON_READABLE };
/* Writes it and a newline, in pure printable ASCII: nothing in it can move a terminal. */
void json_put(const json_t *value, enum json_layout layout, FILE *out);

#endif
