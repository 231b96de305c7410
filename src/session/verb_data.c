/* SPDX-License-Identifier: ISC */
/*
 * DATA (RFC 5321 4.1.1.4): streams the content into the handler. Whatever is
 * wrong with it, it is read to its end first, so that no octet of a message
 * is ever taken for a command; only then the refusal goes out.
 */
#include <string.h>

#include "base/assert.h"
#include "session/datastream.h"
#include "session/received_count.h"
#include "session/session_internal.h"

struct content {
	struct datastream stream;
	struct received_count received;
	uint64_t size_bytes; /* without stuffed dots (RFC 1870 3) */
	bool aborted; /* the handler was told so and gets no more */
	struct smtp_reply refusal; /* the handler's own, code 0 when it had none */
};

/*
 * What is wrong with the content so far, if anything, as a reply. Asked anew
 * at the end, so that the answer is the same however the content was cut.
 */
static bool find_fault(const struct session *s, const struct content *c, struct smtp_reply *reply)
{
	unsigned f = c->stream.faults;

	/* the others were repaired on the way */
	if (s->cfg->bare_newline == BARE_NEWLINE_NORMALIZE)
		f &= DATASTREAM_NUL;
	if (f)
		smtp_reply_set(reply, 550, "5.6.11", "Error: message has%s%s%s, lines must end with <CR><LF>",
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
 * What begins with white space has no header; but behind the trace fields that relaying puts in front it would go on with
 * the last of them, and the client could say in our name what it likes. So it is made what it is: a body.
 */
static bool pass_on(struct session *s, struct content *c, bool first, const char *data, size_t len)
{
	static const char empty_line[] = "\r\n";
	const struct handler_ops *ops = s->handler->ops;

	if (first && ops->relays && (data[0] == ' ' || data[0] == '\t') &&
	    ops->data_chunk(s->handler, empty_line, 2, &c->refusal) == HANDLER_REFUSE)
		return false;
	return ops->data_chunk(s->handler, data, len, &c->refusal) == HANDLER_ACCEPT;
}

/* One piece of content, checked and passed on. */
static void take_piece(struct session *s, struct content *c, const char *data, size_t len)
{
	struct smtp_reply fault;
	bool first = c->size_bytes == 0;

	c->size_bytes += len;
	received_count_add(&c->received, data, len);
	if (c->aborted)
		return;
	if (find_fault(s, c, &fault) || !pass_on(s, c, first, data, len)) {
		c->aborted = true;
		s->handler->ops->abort(s->handler);
	}
}

/* Reads up to the end of data; false when the session ended before. */
static bool receive(struct session *s, struct content *c)
{
	for (;;) {
		const char *start = s->in.data + s->in.start, *at = start, *end = s->in.data + s->in.end;
		enum datastream_event event;
		const char *piece;
		size_t len;

		while ((event = datastream_next(&c->stream, &at, end, &piece, &len)) == DATASTREAM_CHUNK)
			take_piece(s, c, piece, len);
		/* a block that filled the buffer: more is waiting, take it in larger ones */
		if (s->in.end == s->in.cap)
			input_widen(&s->in);
		s->in.start += (size_t)(at - start);
		s->in.scanned = s->in.start;
		if (event == DATASTREAM_END)
			return true;
		if (!session_fill(s, session_deadline_in(s->cfg->data_timeout_ms)))
			return false;
	}
}

static void reply_accepted(struct session *s, const struct content *c, struct smtp_reply *reply)
{
	if (reply->code == 0)
		smtp_reply_set(reply, 250, "2.0.0", "OK%s%s", s->env.id[0] ? " queued as " : "", s->env.id);
	ASSERT(smtp_reply_is_positive(reply));
	s->errors = 0;
	if (s->events && s->events->accepted)
		s->events->accepted(s->events->ctx, &s->env, c->size_bytes, reply);
	session_send(s, reply);
}

static void finish_message(struct session *s, struct content *c)
{
	struct smtp_reply reply = { .code = 0 };

	s->messages++;
	if (c->aborted) {
		/* a fault of the message outweighs trouble of the handler: trying again would not help */
		find_fault(s, c, &c->refusal);
		ASSERT(c->refusal.code >= 400);
		session_send(s, &c->refusal);
	} else if (s->handler->ops->data_end(s->handler, &s->env, &reply) == HANDLER_ACCEPT) {
		reply_accepted(s, c, &reply);
	} else {
		ASSERT(reply.code >= 400);
		session_send(s, &reply);
	}
	session_end_transaction(s, true);
}

void verb_data(struct session *s, const char *arg, size_t len)
{
	struct content c = { .aborted = false };

	(void)arg;
	(void)len;
	if (s->state == COMMAND_MAIL) {
		if (s->rcpt_refused)
			session_reply(s, 554, "5.5.1", "Error: no valid recipients");
		else
			session_reply(s, 503, "5.5.1", "Error: need RCPT command");
		return;
	}
	if (s->handler->ops->data_begin(s->handler, &s->env, &c.refusal) == HANDLER_REFUSE) {
		ASSERT(c.refusal.code >= 400);
		session_send(s, &c.refusal);
		session_end_transaction(s, false);
		return;
	}
	c.refusal.code = 0;
	session_reply(s, 354, NULL, "End data with <CR><LF>.<CR><LF>");
	/* the command line goes with the input buffer; from now on "." stands for the end of data */
	s->line = ".";
	s->line_len = 1;
	datastream_init(&c.stream, s->cfg->bare_newline);
	received_count_init(&c.received);
	if (receive(s, &c))
		finish_message(s, &c);
	else
		session_end_transaction(s, c.aborted);
}
