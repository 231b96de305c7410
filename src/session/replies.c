/* SPDX-License-Identifier: ISC */
/*
 * Replies on their way out: gathered (RFC 2920 3.2), written, traced; what a
 * refusal counts for. session_internal.h has the contracts.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "session/session_internal.h"

#define OUT_GATHER 4096 /* replies gathered before they are written anyway */

void session_trace(const struct session *s, bool from_client, const char *text, size_t len)
{
	if (s->events && s->events->trace)
		s->events->trace(s->events->ctx, from_client, text, len);
}

bool session_flush_by(struct session *s, int64_t deadline)
{
	enum io_result result = IO_OK;

	if (s->out.len > 0)
		result = s->io->ops->write(s->io, s->out.data, s->out.len, deadline);
	buf_clear(&s->out);
	s->io->owes_answer = false;
	if (result != IO_OK)
		session_finish(s, result == IO_TIMEOUT ? SESSION_TIMED_OUT
				  : result == IO_SHED  ? SESSION_SHED
						       : SESSION_LOST);
	return result == IO_OK;
}

static void trace_reply(const struct session *s, size_t from)
{
	const char *line = s->out.data + from, *end = s->out.data + s->out.len;

	while (line < end) {
		const char *cr = memchr(line, '\r', (size_t)(end - line));

		session_trace(s, false, line, (size_t)(cr - line));
		line = cr + 2;
	}
}

static bool write_reply(struct session *s, const struct smtp_reply *reply)
{
	struct smtp_reply plain;

	if (!(s->cfg->discard & SMTP_EXTENSION_BIT(SMTP_ENHANCEDSTATUSCODES)))
		return smtp_reply_write(reply, &s->out);
	plain = *reply;
	plain.enhanced[0] = '\0';
	return smtp_reply_write(&plain, &s->out);
}

void session_queue(struct session *s, const struct smtp_reply *reply)
{
	size_t before;
	bool fits;

	if (s->out.len > OUT_GATHER && !session_flush(s))
		return;
	before = s->out.len;
	fits = write_reply(s, reply);
	ASSERT(fits);
	trace_reply(s, before);
	hooks_replied(s, reply);
}

void session_hang_up(struct session *s, enum session_end end, const char *enhanced, const char *why)
{
	struct smtp_reply reply;

	session_finish(s, end);
	smtp_reply_set(&reply, 421, enhanced, "%s %s", s->cfg->hostname, why);
	session_queue(s, &reply);
}

void session_shed(struct session *s)
{
	session_hang_up(s, SESSION_SHED, "4.3.2",
			"Error: too busy to wait for you any longer, try again later");
}

void session_spend_command(struct session *s)
{
	if (++s->commands == s->cfg->max_commands && !s->over)
		session_hang_up(s, SESSION_TOO_MANY_ERRORS, "4.7.0",
				"Error: too many commands and no message");
}

void session_send(struct session *s, const struct smtp_reply *reply)
{
	session_queue(s, reply);
	if (reply->code < 400)
		return;
	if (s->events && s->events->rejected)
		s->events->rejected(s->events->ctx, &s->env, s->verb, s->line, s->line_len, reply);
	if (reply->code == 421)
		session_finish(s, SESSION_REFUSED);
	else if (reply->code >= 500 && ++s->errors == s->cfg->max_errors)
		session_hang_up(s, SESSION_TOO_MANY_ERRORS, "4.7.0", "Error: too many errors");
	else if (reply->code < 500)
		session_spend_command(s);
}

void session_reply(struct session *s, int code, const char *enhanced, const char *fmt, ...)
{
	struct smtp_reply reply;
	char text[SMTP_REPLY_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	smtp_reply_set(&reply, code, enhanced, "%s", text);
	session_send(s, &reply);
}

void session_set_syntax(const struct session *s, const struct command_verb *verb, const char *why,
			struct smtp_reply *out)
{
	smtp_reply_set(out, 501, "5.5.4", "Syntax: %s%s%s%s%s", verb->syntax,
		       (verb->flags & COMMAND_PARAMETERS) && s->extended ? " [SP <mail-parameters>]" : "",
		       why ? " (" : "", why ? why : "", why ? ")" : "");
}

void session_reply_syntax(struct session *s, const struct command_verb *verb, const char *why)
{
	struct smtp_reply reply;

	session_set_syntax(s, verb, why, &reply);
	session_send(s, &reply);
}

bool session_send_verdict(struct session *s, enum handler_verdict verdict, const struct smtp_reply *reply,
			  const char *enhanced, const char *words)
{
	switch (verdict) {
	case HANDLER_ACCEPT:
		if (reply->code) {
			ASSERT(smtp_reply_is_positive(reply));
			session_send(s, reply);
		} else {
			session_reply(s, 250, enhanced, "%s", words);
		}
		return true;
	case HANDLER_REFUSE:
		break;
	}
	ASSERT(reply->code >= 400);
	session_send(s, reply);
	return false;
}

bool session_flush(struct session *s)
{
	return session_flush_by(s, session_deadline_in(s->cfg->command_timeout_ms));
}

bool session_policy_passes(struct session *s, enum policy_verdict verdict, const struct smtp_reply *reply)
{
	switch (verdict) {
	case POLICY_PASS:
		return true;
	case POLICY_REFUSE:
		break;
	}
	ASSERT(reply->code >= 400);
	session_send(s, reply);
	return false;
}
