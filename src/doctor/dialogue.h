/* SPDX-License-Identifier: ISC */
/*
 * One session with an upstream, by the relay's own client (upstream/), and all that was seen of it, for the
 * checks to judge: so what doctor says is what the relay meets. No message is sent unless one is given.
 */
#ifndef DOCTOR_DIALOGUE_H
#define DOCTOR_DIALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "submit/submit.h"
#include "upstream/upstream.h"

#define DIALOGUE_LINES_MAX 500 /* kept; a session without a message has some dozens */

struct dialogue_plan {
	const struct upstream_settings *settings;
	const struct submission *message; /* to one recipient; NULL: none is sent */
	/* May be NULL; each line as it comes. */
	void (*trace)(void *ctx, bool from_upstream, const char *text, size_t len);
	void *ctx;
};

struct dialogue_line {
	bool from_upstream;
	char *text; /* printable ASCII; owned */
};

struct dialogue {
	struct dialogue_line *line; /* owned */
	size_t line_count;
	bool ready; /* the session came up */
	struct upstream_features features; /* what was announced so far */
	bool has_tls; /* tls is what is known of the encryption, also when the session failed by it */
	struct upstream_tls_info tls;
	char remote[ENDPOINT_TEXT_MAX];
	int64_t ready_ms; /* how long that took */
	struct upstream_outcome why; /* not ready: where it ended, and why */
	/* with a message */
	bool sent; /* its transaction ended: */
	struct upstream_outcome outcome;
};

void dialogue_run(const struct dialogue_plan *plan, struct dialogue *out);
void dialogue_release(struct dialogue *d);

/* ---- looking at it: pure ------------------------------------------------------------ */

/* The text of the first line the upstream said; NULL: none. */
const char *dialogue_greeting(const struct dialogue *d);
/*
 * The i-th keyword line ("SIZE 1000") of its answer to the last EHLO, or with first to the first one; NULL:
 * there is no such line. Points into d.
 */
const char *dialogue_keyword(const struct dialogue *d, bool first, size_t i);
/* Its parameters ("" without), or NULL when the keyword was not announced in that answer. */
const char *dialogue_announced(const struct dialogue *d, bool first, const char *keyword);
/* Whether we said EHLO, or LHLO. */
bool dialogue_said_hello(const struct dialogue *d);
/* Whether we said a line that begins so. */
bool dialogue_said(const struct dialogue *d, const char *beginning, const char **line);

#endif
