/* SPDX-License-Identifier: ISC */
/*
 * One connection, step by step, in three files: talk_connect.c (until commands may follow), talk_io.c
 * (waiting, replies in, octets out), talk.c (what can be said). This is what they share. talk.h has the
 * contract, and says how a step ends.
 */
#ifndef UPSTREAM_TALK_INTERNAL_H
#define UPSTREAM_TALK_INTERNAL_H

#include <stdint.h>

#include "upstream/channel.h"
#include "upstream/talk.h"

#define TALK_BLOCK_BYTES 16384 /* at once: one TLS record, so that a blocked send is a blocked record */
#define TALK_INPUT_BYTES 4096

struct talk {
	const struct upstream_settings *settings;
	struct talk_options options;
	CURLM *multi;
	struct channel channel;
	bool opened; /* the channel was */
	bool in_multi;
	bool open; /* steps can be taken */
	struct smtp_reply_parser parser;
	char input[TALK_INPUT_BYTES]; /* received and not yet parsed: from input_at to input_len */
	size_t input_at, input_len;
	char last[2]; /* of the content so far */
	char *block; /* content to be sent, dot-stuffed; TALK_BLOCK_BYTES, allocated while there is content; owned */
	size_t block_len;
	int64_t attempt_by_mono_ms; /* the transaction must be over by then */
};

/* ---- how a step ends: always -1 --------------------------------------------------- */

int talk_no_answer(struct upstream_outcome *o, enum upstream_phase phase, const char *text);
/* And the connection is closed. */
int talk_lost(struct talk *t, enum upstream_phase phase, const char *text, struct upstream_outcome *o);

/* ---- waiting ------------------------------------------------------------------------- */

int64_t talk_deadline_in(int64_t ms);
/* The service stops, and its grace time is over. */
bool talk_must_stop(const struct talk *t);
/* How long to wait at most, for poll: until the deadline or the end of the grace time. */
int talk_wait_ms(const struct talk *t, int64_t deadline_mono_ms);
/* The line from the master, to be polled too; -1: no more. */
int talk_control_fd(const struct talk *t);
/* For events on the socket; -1: the deadline passed, or the service stops, and the connection is closed. */
int talk_wait_for(struct talk *t, short events, int64_t deadline_mono_ms, int64_t timeout_ms,
		  enum upstream_phase phase, struct upstream_outcome *o);
/* IDLE stands for any command that is not of a transaction. */
int64_t talk_timeout_of(const struct talk *t, enum upstream_phase phase);

/* ---- both directions ------------------------------------------------------------------- */

int talk_read_reply(struct talk *t, enum upstream_phase phase, int64_t timeout_ms,
		    struct upstream_outcome *o);
/* Before something is said: 0 go on; 1: the server took leave, *o is its reply; -1. */
int talk_look_before_speaking(struct talk *t, enum upstream_phase phase, struct upstream_outcome *o);
/* All of it; each part of TALK_BLOCK_BYTES has the phase's time to be taken. */
int talk_send_all(struct talk *t, enum upstream_phase phase, const char *data, size_t len,
		  struct upstream_outcome *o);

#endif
