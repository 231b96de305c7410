/* SPDX-License-Identifier: ISC */
/*
 * Plays the SMTP dialogues of tests/transcripts (their README has the format)
 * against a session in memory.
 */
#ifndef TESTS_TRANSCRIPT_H
#define TESTS_TRANSCRIPT_H

#include "fake_io.h"
#include "session/session.h"

enum transcript_kind {
	TRANSCRIPT_CLIENT, /* text is sent */
	TRANSCRIPT_CLIENT_CLOSES,
	TRANSCRIPT_SERVER, /* text is the reply line, maybe with "..." at its end */
	TRANSCRIPT_SERVER_CLOSES,
	TRANSCRIPT_CONTENT /* text is a line of the content with its CRLF */
};

struct transcript_step {
	enum transcript_kind kind;
	unsigned line; /* in the file */
	char *text;
	size_t len;
};

struct transcript {
	const char *file;
	struct session_config cfg;
	struct transcript_step *step;
	size_t count;
};

/* The defaults that the README names; no time-outs. */
void transcript_default_config(struct session_config *cfg);

/* Failures of both end the test with file and line. */
void transcript_load(struct transcript *t, const char *file);
void transcript_play(const struct transcript *t, enum fake_cut cut, unsigned seed);
void transcript_release(struct transcript *t);

#endif
