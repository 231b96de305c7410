/* SPDX-License-Identifier: ISC */
/*
 * The dialogue with a server, shown on standard error: `posthouse send -v`
 * and --transcript. Secrets are masked before they come here. What a server
 * says is escaped: it cannot move the terminal.
 */
#ifndef CLI_TRANSCRIPT_H
#define CLI_TRANSCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/endpoint.h"
#include "cli/term.h"
#include "submit/submit.h"
#include "upstream/upstream.h"

enum transcript_style {
	TRANSCRIPT_NONE,
	TRANSCRIPT_PLAIN, /* "C: MAIL ...", "S: 250 ..." */
	TRANSCRIPT_TIMES, /* the same with seconds since the beginning, the connection and the sizes */
	TRANSCRIPT_PYTHON, /* as smtplib prints it after set_debuglevel(1) */
	TRANSCRIPT_PYTHON_TIMES /* set_debuglevel(2): with the time of day in front */
};
#define TRANSCRIPT_STYLE_NAMES "plain", "times", "python", "python-times" /* from TRANSCRIPT_PLAIN on */
bool transcript_style_parse(const char *name, enum transcript_style *out);

struct transcript {
	enum transcript_style style;
	struct term err;
	int64_t began_mono_ms;
	bool lmtp; /* the end of data has a reply for each recipient that was accepted */
	const struct submission *content; /* what goes out before the next final dot; NULL: not known */
	/* replies that are to come, each a letter (transcript.c); and the one that is coming */
	struct buf expected, text;
	size_t expected_at, accepted;
};

void transcript_init(struct transcript *t, enum transcript_style style, bool lmtp);
void transcript_release(struct transcript *t);
/* Before each connection is begun. source: NULL or the address it comes from. */
void transcript_connecting(struct transcript *t, const struct endpoint *to, bool tls, const char *source);
/* A line of either side with its line end, as upstream_conn_ops.wire has it. */
void transcript_wire(struct transcript *t, bool from_server, const char *data, size_t len);
/* The session is up. */
void transcript_session(struct transcript *t, const char *remote, const char *via,
			const struct upstream_tls_info *tls);

/* One line of it without a line end, in the plain style. */
void transcript_line(bool from_server, const char *text, size_t len);

#endif
