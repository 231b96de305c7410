/* SPDX-License-Identifier: ISC */
/*
 * The lines that Python's smtplib prints of a dialogue after set_debuglevel
 * (smtplib.py of 3.11: _print_debug and its callers), each for itself.
 */
#ifndef CLI_TRANSCRIPT_PYTHON_H
#define CLI_TRANSCRIPT_PYTHON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/sink.h"
#include "cli/term.h"
#include "submit/submit.h"

struct python {
	struct sink *out;
	const struct term *term; /* what characters can be shown */
	bool times; /* set_debuglevel(2) */
};

/* connect: to ('HOST', PORT) None */
void python_connect_to(const struct python *p, bool tls, const char *host, unsigned port, const char *source);
/* send: 'COMMAND\r\n': a str */
void python_send(const struct python *p, const char *line, size_t len);
/* send: b'CONTENT.\r\n': bytes */
void python_send_content(const struct python *p, const struct submission *content);
/* reply: b'250-LINE\r\n' */
void python_reply_line(const struct python *p, const char *line, size_t len);
/* reply: retcode (250); Msg: b'LINES' */
void python_reply(const struct python *p, int code, const char *text, size_t len);
/* connect: b'GREETING' */
void python_connected(const struct python *p, const char *text, size_t len);
/* data: (354, b'TEXT') */
void python_data(const struct python *p, int code, const char *text, size_t len);

#endif
