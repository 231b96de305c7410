/* SPDX-License-Identifier: ISC */
/* See send_report.h. */
#include "cli/send_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define REPLY_TEXT_MAX 4096

void send_report_init(struct send_report *r, const char *server, const char *message, size_t recipients)
{
	*r = (struct send_report){ .server = server, .message = message, .recipients = recipients };
}

/* What is said on standard error: of which message, if there are several. */
static void complain(const struct send_report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void complain(const struct send_report *r, const char *fmt, ...)
{
	struct buf text;
	va_list ap;

	buf_init(&text, 2 * REPLY_TEXT_MAX);
	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	if (r->message)
		cli_error("%s: %s", r->message, text.data);
	else
		cli_error("%s", text.data);
	buf_release(&text);
}

/* "550 5.1.1 no such user", or the words for what happened instead of a reply. */
static void reply_text(const struct smtp_reply *reply, struct buf *out)
{
	buf_init(out, REPLY_TEXT_MAX);
	if (reply->code != 0)
		smtp_reply_oneline(reply, out);
	else
		buf_adds(out, reply->text);
}

static const char *refused(const struct smtp_reply *reply)
{
	return smtp_reply_is_permanent(reply) ? "refused" : "refused for now";
}

/* "WHO: REPLY" on standard output; of which message, if there are several */
static void print_reply(const struct send_report *r, const char *who, const char *text)
{
	struct buf shown;
	struct term out;

	term_init(&out, STDOUT_FILENO);
	buf_init(&shown, 8 * REPLY_TEXT_MAX);
	if (r->message) {
		term_escapes(&out, r->message, &shown);
		buf_adds(&shown, ": ");
	}
	term_escapes(&out, who, &shown);
	buf_adds(&shown, ": ");
	term_escapes(&out, text, &shown);
	puts(shown.data);
	buf_release(&shown);
}

void send_report_recipient(struct send_report *r, const char *address, const struct smtp_reply *reply)
{
	struct buf text;

	if (smtp_reply_is_positive(reply))
		return;
	r->refused++;
	r->refused_for_now += !smtp_reply_is_permanent(reply);
	reply_text(reply, &text);
	complain(r, "%s: %s: %s", address, refused(reply), text.data);
	buf_release(&text);
}

void send_report_final(struct send_report *r, const char *address, const struct smtp_reply *reply)
{
	struct buf text;

	r->finals++;
	if (!smtp_reply_is_positive(reply)) {
		send_report_recipient(r, address, reply);
		return;
	}
	r->accepted = true;
	reply_text(reply, &text);
	print_reply(r, address, text.data);
	buf_release(&text);
}

/* What we said, or were saying, when it happened. */
static const char *step(enum upstream_phase phase)
{
	switch (phase) {
	case UPSTREAM_MAIL:
		return "MAIL";
	case UPSTREAM_RCPT:
		return "RCPT";
	case UPSTREAM_DATA:
		return "DATA";
	case UPSTREAM_CONTENT:
		return "the content";
	case UPSTREAM_FINAL_DOT:
		return "the end of data";
	case UPSTREAM_RESOLVE:
	case UPSTREAM_CONNECT:
	case UPSTREAM_TLS_HANDSHAKE:
	case UPSTREAM_GREETING:
	case UPSTREAM_AUTH:
	case UPSTREAM_IDLE:
		break;
	}
	return upstream_phase_name(phase);
}

static void report_answer(struct send_report *r, const struct upstream_outcome *outcome, const char *remote,
			  const char *text)
{
	if (outcome->phase == UPSTREAM_FINAL_DOT && r->finals > 0) {
		if (!r->accepted)
			r->failure = r->refused_for_now == r->refused ? CLI_LATER : CLI_NOTHING;
	} else if (outcome->phase == UPSTREAM_FINAL_DOT && smtp_reply_is_positive(&outcome->reply)) {
		r->accepted = true;
		print_reply(r, remote[0] ? remote : r->server, text);
	} else if (outcome->phase == UPSTREAM_RCPT) {
		r->failure = r->refused_for_now == r->refused ? CLI_LATER : CLI_NOTHING;
		complain(r, "%s: no recipient was accepted, so nothing was sent", r->server);
	} else {
		r->failure = send_reply_status(&outcome->reply);
		complain(r, "%s: the message was %s in answer to %s: %s", r->server, refused(&outcome->reply),
			 step(outcome->phase), text);
	}
}

void send_report_done(struct send_report *r, size_t count, const struct upstream_outcome *outcome,
		      const char *remote)
{
	struct buf text;

	r->ended += count;
	r->done = r->ended == r->recipients;
	reply_text(&outcome->reply, &text);
	switch (outcome->how) {
	case UPSTREAM_ANSWERED:
		report_answer(r, outcome, remote, text.data);
		break;
	case UPSTREAM_NO_ANSWER:
		r->failure = outcome->phase == UPSTREAM_FINAL_DOT ? CLI_UNCERTAIN : CLI_UNREACHABLE;
		if (outcome->phase == UPSTREAM_FINAL_DOT)
			complain(r,
				 "%s: the message was sent, but the server's answer is missing (%s): "
				 "it may have been accepted",
				 r->server, text.data);
		else
			complain(r, "%s: %s (at %s): nothing was accepted", r->server, text.data,
				 step(outcome->phase));
		break;
	case UPSTREAM_UNSUPPORTED:
		r->failure = CLI_UNSUPPORTED;
		complain(r, "%s: this server cannot take the message: %s", r->server, text.data);
		break;
	case UPSTREAM_SOURCE_FAILED:
		r->failure = CLI_UNREACHABLE;
		complain(r, "%s: nothing was accepted", text.data);
		break;
	case UPSTREAM_NOT_STARTED:
		r->ended -= count; /* closed() has the reason */
		r->done = false;
		break;
	}
	buf_release(&text);
}

void send_report_closed(struct send_report *r, const struct upstream_outcome *why, bool ever_ready)
{
	struct buf text;

	if (r->done)
		return;
	if (r->failure != CLI_UNCERTAIN)
		r->failure = send_session_failure(why);
	reply_text(&why->reply, &text);
	if (why->how == UPSTREAM_ANSWERED && ever_ready)
		complain(r, "%s: the server ended the session: %s", r->server, text.data);
	else if (why->how == UPSTREAM_ANSWERED)
		complain(r, "%s: the server refused the session (at %s): %s", r->server, step(why->phase),
			 text.data);
	else
		complain(r, "%s: %s", r->server, text.data);
	buf_release(&text);
}

enum cli_status send_session_failure(const struct upstream_outcome *why)
{
	switch (why->phase) {
	case UPSTREAM_TLS_HANDSHAKE:
		return CLI_TLS;
	case UPSTREAM_AUTH:
		return CLI_AUTH;
	case UPSTREAM_RESOLVE:
	case UPSTREAM_CONNECT:
	case UPSTREAM_GREETING:
	case UPSTREAM_MAIL:
	case UPSTREAM_RCPT:
	case UPSTREAM_DATA:
	case UPSTREAM_CONTENT:
	case UPSTREAM_FINAL_DOT:
	case UPSTREAM_IDLE:
		break;
	}
	return CLI_UNREACHABLE;
}

enum cli_status send_reply_status(const struct smtp_reply *reply)
{
	if (smtp_reply_is_positive(reply))
		return CLI_DONE;
	return smtp_reply_is_permanent(reply) ? CLI_NOTHING : CLI_LATER;
}

enum cli_status send_report_status(const struct send_report *r)
{
	/* what did not fit into the first transaction had one of its own */
	if (r->accepted && (r->failure == CLI_NOTHING || r->failure == CLI_LATER))
		return CLI_PARTLY;
	if (r->failure != CLI_DONE)
		return r->failure;
	if (!r->done || !r->accepted)
		return CLI_UNREACHABLE;
	return r->refused == 0 ? CLI_DONE : CLI_PARTLY;
}

static bool is_of_session(enum cli_status s)
{
	return s == CLI_UNREACHABLE || s == CLI_TLS || s == CLI_AUTH;
}

enum cli_status send_report_combine(enum cli_status before, enum cli_status next)
{
	if (before == next)
		return before;
	if (before == CLI_UNCERTAIN || next == CLI_UNCERTAIN)
		return CLI_UNCERTAIN;
	return is_of_session(before) ? before : is_of_session(next) ? next : CLI_PARTLY;
}
