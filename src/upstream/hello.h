/* SPDX-License-Identifier: ISC */
/*
 * The beginning of an LMTP session (RFC 2033 4.1): the greeting, LHLO, what
 * is announced. libcurl speaks no LMTP and only connects; with SMTP all this
 * is its own business. Pure: bytes in, bytes out.
 */
#ifndef UPSTREAM_HELLO_H
#define UPSTREAM_HELLO_H

#include <stdbool.h>
#include <stddef.h>

#include "smtp/reply.h"
#include "upstream/upstream.h"

#define HELLO_LINE_MAX 300

struct hello {
	struct upstream_features *features; /* filled in */
	const struct upstream_settings *settings;
	struct smtp_reply_parser parser; /* holds the last reply */
	bool greeted; /* LHLO is due or said */
	char out[HELLO_LINE_MAX]; /* to be sent, with CRLF */
	size_t out_from, out_len;
};

enum hello_result {
	HELLO_MORE, /* all input was used */
	HELLO_LINE, /* a whole line was taken, and is in parser.line: for who notes the dialogue */
	HELLO_DONE, /* the session is up; the line as above */
	HELLO_REFUSED, /* parser.reply says no; the line as above */
	HELLO_BROKEN /* no such protocol: parser.why */
};

/* features and settings must outlive h. */
void hello_init(struct hello *h, struct upstream_features *features,
		const struct upstream_settings *settings);
/* Takes up to one line of what was received. */
enum hello_result hello_take(struct hello *h, const char *data, size_t len, size_t *used);

#endif
