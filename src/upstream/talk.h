/* SPDX-License-Identifier: ISC */
/*
 * One connection to a server, step by step and blocking: what smtplib.SMTP is
 * in Python. For who has one thing to do at a time and needs each answer
 * before the next step: the handler "proxy" in a worker, the verbs of
 * `posthouse send`. Who has many messages to send uses upstream.h, which
 * pipelines.
 *
 * The session's start (resolve, connect, greeting, EHLO or HELO, STARTTLS or
 * implicit TLS with verification, AUTH) is the relay's own (channel.h), with
 * the same settings and the same words for what went wrong. After it each
 * function below says one thing and waits for its answer, within the
 * deadline that the settings give the phase. No event loop, no callback but
 * the trace; a process may have several, each used by one thread at a time.
 *
 * How a step ends. Each returns 0, or -1 when there is no use going on, and
 * then *o says why:
 *
 *   0,  how ANSWERED      o->reply is the server's, 2yz to 5yz; o->phase the step's
 *   -1, how NO_ANSWER     lost, timed out, not SMTP, or told to stop; o->reply.code is 0 and its text says how.
 *                         The connection is closed. o->phase FINAL_DOT: all of the end of data was sent, so
 *                         the server may have the message; CONTENT: it was not, so it cannot have it
 *   -1, how ANSWERED      only where said below: the server refused at a moment that is not its turn
 *   -1, how UNSUPPORTED   nothing was said: the line is none that may be said (below); the connection is as before
 *
 * A 421 or 221 is an answer like any other, but the server leaves with it
 * (RFC 5321 3.8): the connection is closed then, talk_is_open() tells so.
 */
#ifndef UPSTREAM_TALK_H
#define UPSTREAM_TALK_H

#include <stdbool.h>
#include <stddef.h>

#include "upstream/upstream.h"

struct control;
struct talk;

struct talk_options {
	/*
	 * Each line of both sides, as in struct upstream_conn_ops: printable ASCII, other octets as '?',
	 * AUTH's secrets masked, no content but its final dot. For taking notes only. NULL: nobody wants it.
	 */
	void (*trace)(void *ctx, bool from_upstream, const char *text, size_t len);
	void (*wire)(void *ctx, bool from_upstream, const char *data, size_t len); /* as there; NULL: nobody wants it */
	void *ctx;
	/*
	 * The line from the master (base/control.h): when the service stops, no step waits longer than the
	 * grace time. NULL: there is none.
	 */
	struct control *control;
};

/*
 * settings, and what they point to, are the caller's and outlive it; so do the options' pointers. Does no
 * I/O. Sets SIGPIPE to be ignored in this process.
 */
struct talk *talk_new(const struct upstream_settings *settings, const struct talk_options *options);
/* Closes the connection without a word, if it is open. NULL: nothing. */
void talk_free(struct talk *t);

/*
 * The session's start; once for each talk. 0: commands may follow. -1: *why is as in upstream_conn_ops.closed
 * (ANSWERED with the refusing reply in phase GREETING or AUTH, or NO_ANSWER). Blocks for connect_timeout_ms
 * and greeting_timeout_ms at most, and again when an opportunistic handshake failed and it goes on in the
 * clear; libcurl's resolver may hold it a little longer.
 */
int talk_connect(struct talk *t, struct upstream_outcome *why);

/*
 * What is known after talk_connect, also when it failed (of TLS and addresses as far as it came), until
 * talk_free.
 */
const struct upstream_features *talk_features(const struct talk *t);
const char *talk_remote(const struct talk *t); /* as upstream_conn_remote */
const char *talk_via(const struct talk *t); /* as upstream_conn_via */
bool talk_tls(const struct talk *t, struct upstream_tls_info *info); /* as upstream_conn_tls */

/* There is a connection that the server did not say it would leave. Does no I/O. */
bool talk_is_open(const struct talk *t);
/*
 * Whether the connection can take a new transaction, as far as can be seen without a word: it is open and the
 * server neither closed it nor said anything (421 when it is tired of waiting) since the last answer. Never
 * blocks. False: the connection is closed now; *why, unless NULL, has what was said (ANSWERED), or how it
 * ended (NO_ANSWER), in phase IDLE. True is no promise: it may end in the very next moment.
 */
bool talk_is_silent(struct talk *t, struct upstream_outcome *why);

/*
 * One command line, and its reply. The line is without CRLF; one that holds CR, LF or NUL (len tells), or
 * that is longer than COMMAND_MAX (command.h) with its CRLF, is not said: UNSUPPORTED, code 501. Nor are
 * STARTTLS and AUTH, which belong to talk_connect. 8-bit octets pass. phase chooses the deadline and stands
 * in *o: MAIL, RCPT, DATA; IDLE for all other commands (command_timeout_ms).
 */
int talk_command(struct talk *t, enum upstream_phase phase, const char *line, size_t len, struct upstream_outcome *o);
/* The same from a printf format; a line that is too long for COMMAND_MAX is UNSUPPORTED. */
int talk_commandf(struct talk *t, enum upstream_phase phase, struct upstream_outcome *o, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * A piece of the content, after a 354 to DATA: any number of times, cut anywhere, memory does not grow. Dots
 * at the start of a line are doubled (RFC 5321 4.5.2); line ends go out as they are, so the caller sees to
 * CRLF. Each block of 16 kB at most has block_timeout_ms to be taken. 0: it goes on, *o is untouched. -1 with
 * ANSWERED, phase CONTENT: the server did not wait for the end; its reply (4yz or 5yz) is its answer to the
 * message, and the connection is closed, as what it made of the rest cannot be known. What was said here may
 * still wait in our buffer.
 */
int talk_content(struct talk *t, const char *data, size_t len, struct upstream_outcome *o);
/* The end of data, and its reply; the last line gets its CRLF if it had none. Otherwise as talk_content. */
int talk_content_end(struct talk *t, struct upstream_outcome *o);
/*
 * To break off content: only talk_free or talk_abort. The end of data is never sent then, so the server must
 * not take the message (RFC 5321 4.1.1.4).
 */

/*
 * A chunk of content with BDAT (RFC 3030), and its reply; after MAIL and RCPT, instead of DATA and what
 * follows it. The octets go out as they are. The phase is CONTENT, with last FINAL_DOT once it is all sent:
 * then the server may have the message though it did not answer.
 */
int talk_chunk(struct talk *t, const char *data, size_t len, bool last, struct upstream_outcome *o);

/*
 * QUIT, and its reply, for which it waits five seconds at most; closed afterwards whatever happened. Nothing
 * when it was not open: -1, NO_ANSWER. o may be NULL.
 */
int talk_quit(struct talk *t, struct upstream_outcome *o);
/* Closes it now without a word. What was learnt stays for the questions above. */
void talk_abort(struct talk *t);

#endif
