/* SPDX-License-Identifier: ISC */
/* See intake.h. */
#include "session/intake.h"

#include <string.h>

#include "base/assert.h"
#include "session/session_internal.h"

bool intake_begin(struct session *s, enum intake_kind kind, struct smtp_reply *refusal)
{
	struct intake *c = &s->intake;

	refusal->code = 0;
	if (s->handler->ops->data_begin(s->handler, &s->env, refusal) == HANDLER_REFUSE) {
		ASSERT(refusal->code >= 400);
		return false;
	}
	memset(c, 0, sizeof(*c));
	c->kind = kind;
	c->header_end = 2; /* an empty line at the very beginning ends the header, too */
	datastream_init(&c->stream, kind == INTAKE_DOTTED, s->cfg->bare_newline);
	/* nothing in the header of binary content is repaired: the rest is not either */
	if (kind == INTAKE_BINARY)
		c->stream.bare_newline = BARE_NEWLINE_REJECT;
	received_count_init(&c->received);
	return true;
}

/*
 * What is wrong with the content so far, if anything, as a reply. Asked anew
 * at the end, so that the answer is the same however the content was cut.
 */
static bool find_fault(const struct session *s, const struct intake *c, struct smtp_reply *reply)
{
	unsigned f = c->stream.faults;

	/* the others were repaired on the way */
	if (c->stream.bare_newline == BARE_NEWLINE_NORMALIZE)
		f &= DATASTREAM_NUL;
	if (f)
		smtp_reply_set(reply, 550, "5.6.11", "Error: %s has%s%s%s, lines must end with <CR><LF>",
			       c->kind == INTAKE_BINARY ? "header" : "message",
			       f & DATASTREAM_BARE_CR ? " bare <CR>" : "",
			       f & DATASTREAM_BARE_LF ? " bare <LF>" : "", f & DATASTREAM_NUL ? " NUL" : "");
	else if (s->cfg->data_size_limit_bytes > 0 && c->size_bytes > s->cfg->data_size_limit_bytes)
		smtp_reply_set(reply, 552, "5.3.4", "Error: Too much mail data");
	else if (s->cfg->max_received > 0 && c->received.fields > s->cfg->max_received)
		smtp_reply_set(reply, 554, "5.4.6", "Error: mail loop, more than %u Received: headers",
			       s->cfg->max_received);
	else
		return false;
	return true;
}

/*
 * What begins with white space has no header; but behind the trace fields that relaying puts in front it
 * would go on with the last of them, and the client could say in our name what it likes. So it is made what
 * it is: a body.
 */
static bool pass_on(struct session *s, struct intake *c, bool first, const char *data, size_t len)
{
	static const char empty_line[] = "\r\n";
	const struct handler_ops *ops = s->handler->ops;

	if (first && ops->facts->relays && (data[0] == ' ' || data[0] == '\t') &&
	    ops->data_chunk(s->handler, empty_line, 2, &c->refusal) == HANDLER_REFUSE)
		return false;
	return ops->data_chunk(s->handler, data, len, &c->refusal) == HANDLER_ACCEPT;
}

static void abort_handler(struct session *s)
{
	s->intake.aborted = true;
	s->handler->ops->abort(s->handler);
}

/* One piece of content, checked and passed on. */
static void take_piece(struct session *s, const char *data, size_t len)
{
	struct intake *c = &s->intake;
	struct smtp_reply fault;
	bool first = c->size_bytes == 0;

	c->size_bytes += len;
	c->last = data[len - 1];
	received_count_add(&c->received, data, len);
	if (!c->aborted && (find_fault(s, c, &fault) || !pass_on(s, c, first, data, len)))
		abort_handler(s);
}

static bool take_lines(struct session *s, const char **at, const char *end)
{
	enum datastream_event event;
	const char *piece;
	size_t len;

	while ((event = datastream_next(&s->intake.stream, at, end, &piece, &len)) == DATASTREAM_CHUNK)
		take_piece(s, piece, len);
	return event == DATASTREAM_END;
}

/* What of this still belongs to the header: up to the CRLF CRLF, however that is cut. */
static const char *header_part(struct intake *c, const char *p, const char *end)
{
	for (; p < end && c->header_end < 4; p++) {
		if (*p == '\r')
			c->header_end = c->header_end == 2 ? 3 : 1;
		else if (*p == '\n' && (c->header_end == 1 || c->header_end == 3))
			c->header_end++;
		else
			c->header_end = 0;
	}
	return p;
}

bool intake_take(struct session *s, const char **at, const char *end)
{
	const char *body;

	if (s->intake.kind != INTAKE_BINARY)
		return take_lines(s, at, end);
	/*
	 * The lines of the header are lines all the same (RFC 3030 3 frees the body): a field behind a bare
	 * LF is one to the next server and none to us.
	 */
	body = header_part(&s->intake, *at, end);
	take_lines(s, at, body);
	if (body < end)
		take_piece(s, body, (size_t)(end - body));
	*at = end;
	return false;
}

void intake_tell(const struct session *s, size_t octets)
{
	/* what is thrown away is worth nothing to anybody */
	if (octets > 0 && !s->intake.aborted && s->events && s->events->content)
		s->events->content(s->events->ctx, octets);
}

/* What was held back, and the end of the last line, which a message whose length was told need not have. */
static void complete_lines(struct session *s)
{
	static const char crlf[] = "\r\n";
	struct intake *c = &s->intake;
	const char *piece;
	size_t len;

	if (c->kind == INTAKE_DOTTED)
		return;
	if (datastream_finish(&c->stream, &piece, &len))
		take_piece(s, piece, len);
	/* these two octets are ours: no limit of the client's */
	if (c->kind == INTAKE_LINES && c->size_bytes > 0 && c->last != '\n' && !c->aborted) {
		c->size_bytes += 2;
		if (!pass_on(s, c, false, crlf, 2))
			abort_handler(s);
	}
}

static void reply_accepted(struct session *s, struct smtp_reply *reply)
{
	if (reply->code == 0)
		smtp_reply_set(reply, 250, "2.0.0", "OK%s%s", s->env.id[0] ? " queued as " : "", s->env.id);
	ASSERT(smtp_reply_is_positive(reply));
	s->errors = 0;
	s->commands = 0;
	if (s->events && s->events->accepted)
		s->events->accepted(s->events->ctx, &s->env, s->intake.size_bytes, reply);
	session_send(s, reply);
}

void intake_finish(struct session *s)
{
	struct smtp_reply reply = { .code = 0 };
	struct intake *c = &s->intake;

	s->messages++;
	if (!c->aborted)
		complete_lines(s);
	if (c->aborted) {
		/* a fault of the message outweighs trouble of the handler: trying again would not help */
		find_fault(s, c, &c->refusal);
		ASSERT(c->refusal.code >= 400);
		session_send(s, &c->refusal);
	} else if (s->handler->ops->data_end(s->handler, &s->env, &reply) == HANDLER_ACCEPT) {
		reply_accepted(s, &reply);
	} else {
		ASSERT(reply.code >= 400);
		session_send(s, &reply);
	}
	s->io->owes_answer = true; /* until it is written */
	session_end_transaction(s, true);
}
