/* SPDX-License-Identifier: ISC */
/*
 * See talk_internal.h: the socket, poll(2) and the reply parser, within deadlines.
 *
 * What the server says when nothing was asked is never taken for the answer
 * to what is said next: there would be no way to find out of step with it
 * again. So each step looks first whether something lies there.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/control.h"
#include "upstream/talk_internal.h"

/* ---- how a step ends ------------------------------------------------------------ */

int talk_no_answer(struct upstream_outcome *o, enum upstream_phase phase, const char *text)
{
	o->how = UPSTREAM_NO_ANSWER;
	o->phase = phase;
	smtp_reply_set(&o->reply, 0, "", "%s", text);
	return -1;
}

int talk_lost(struct talk *t, enum upstream_phase phase, const char *text, struct upstream_outcome *o)
{
	talk_abort(t);
	return talk_no_answer(o, phase, text);
}

/* The reply in the parser answers the phase. */
static void answered(struct talk *t, enum upstream_phase phase, struct upstream_outcome *o)
{
	o->how = UPSTREAM_ANSWERED;
	o->phase = phase;
	o->reply = t->parser.reply;
	channel_trace_reply(&t->channel.trace, &o->reply);
	if (o->reply.code == 421 || o->reply.code == 221)
		talk_abort(t);
}

/* ---- waiting -------------------------------------------------------------------- */

int64_t talk_deadline_in(int64_t ms)
{
	int64_t now = clock_mono_ms();

	return ms < CLOCK_NEVER - now ? now + ms : CLOCK_NEVER;
}

bool talk_must_stop(const struct talk *t)
{
	const struct control *c = t->options.control;

	return c && c->stopping && clock_mono_ms() >= c->stop_by_mono_ms;
}

int talk_wait_ms(const struct talk *t, int64_t deadline_mono_ms)
{
	const struct control *c = t->options.control;
	int64_t until = c && c->stop_by_mono_ms < deadline_mono_ms ? c->stop_by_mono_ms : deadline_mono_ms,
		left;

	if (until == CLOCK_NEVER)
		return -1;
	left = until - clock_mono_ms();
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* The control line is watched until it has said "stop"; after that it stays readable. */
int talk_control_fd(const struct talk *t)
{
	return t->options.control && !t->options.control->stopping ? t->options.control->fd : -1;
}

int talk_wait_for(struct talk *t, short events, int64_t deadline_mono_ms, int64_t timeout_ms,
		  enum upstream_phase phase, struct upstream_outcome *o)
{
	char text[128];

	for (;;) {
		struct pollfd fds[2] = { { channel_socket(&t->channel), events, 0 },
					 { talk_control_fd(t), POLLIN, 0 } };
		int n;

		if (talk_must_stop(t))
			return talk_lost(t, phase, "given up: this service stops", o);
		n = poll(fds, 2, talk_wait_ms(t, deadline_mono_ms));
		if (n < 0 && errno != EINTR)
			return talk_lost(t, phase, strerror(errno), o);
		if (n > 0 && fds[1].revents)
			control_read(t->options.control);
		if (n > 0 && fds[0].revents)
			return 0; /* also for POLLHUP and POLLERR: the call that follows says what it is */
		if (clock_mono_ms() >= deadline_mono_ms)
			break;
	}
	if (deadline_mono_ms == t->attempt_by_mono_ms)
		snprintf(text, sizeof(text), "not done after %.3f s, in phase %s",
			 (double)t->settings->attempt_timeout_ms / 1000, upstream_phase_name(phase));
	else
		snprintf(text, sizeof(text), "timed out after %.3f s in phase %s", (double)timeout_ms / 1000,
			 upstream_phase_name(phase));
	return talk_lost(t, phase, text, o);
}

/* A deadline from now; that of the transaction counts for what belongs to one. */
static int64_t step_deadline(const struct talk *t, enum upstream_phase phase, int64_t timeout_ms)
{
	int64_t deadline = talk_deadline_in(timeout_ms);

	return phase != UPSTREAM_IDLE && t->attempt_by_mono_ms < deadline ? t->attempt_by_mono_ms : deadline;
}

int64_t talk_timeout_of(const struct talk *t, enum upstream_phase phase)
{
	return phase == UPSTREAM_IDLE ? t->settings->command_timeout_ms
				      : upstream_timeout_ms(t->settings, phase);
}

/* ---- replies -------------------------------------------------------------------- */

enum heard {
	HEARD_NOTHING, /* no whole reply is there */
	HEARD_REPLY, /* one is, in the parser */
	HEARD_END /* the connection is over, *o says why */
};

/* What is there, without waiting. */
static enum heard listen_now(struct talk *t, enum upstream_phase phase, struct upstream_outcome *o)
{
	struct err e;
	size_t used;

	for (;;) {
		while (t->input_at < t->input_len) {
			enum smtp_reply_event event = smtp_reply_parse(&t->parser, t->input + t->input_at,
								       t->input_len - t->input_at, &used);

			t->input_at += used;
			if (event == SMTP_REPLY_DONE)
				return HEARD_REPLY;
			if (event == SMTP_REPLY_BAD) {
				talk_lost(t, phase, t->parser.why, o);
				return HEARD_END;
			}
		}
		t->input_at = t->input_len = 0;
		switch (channel_recv(&t->channel, t->input, sizeof(t->input), &t->input_len, &e)) {
		case CHANNEL_IO_AGAIN:
			return HEARD_NOTHING;
		case CHANNEL_IO_FAILED:
			talk_lost(t, phase, e.text, o);
			return HEARD_END;
		case CHANNEL_IO_OK:
			if (t->input_len > 0)
				break;
			talk_lost(t, phase, "the server closed the connection", o);
			return HEARD_END;
		}
	}
}

int talk_read_reply(struct talk *t, enum upstream_phase phase, int64_t timeout_ms, struct upstream_outcome *o)
{
	int64_t deadline = step_deadline(t, phase, timeout_ms);

	for (;;) {
		switch (listen_now(t, phase, o)) {
		case HEARD_REPLY:
			answered(t, phase, o);
			return 0;
		case HEARD_END:
			return -1;
		case HEARD_NOTHING:
			break;
		}
		if (talk_wait_for(t, POLLIN, deadline, timeout_ms, phase, o) < 0)
			return -1;
	}
}

/* A 421 may come at any time, before the server leaves. */
static int reply_unasked(struct talk *t, enum upstream_phase phase, struct upstream_outcome *o)
{
	if (t->parser.reply.code == 421) {
		answered(t, phase, o);
		return 0;
	}
	channel_trace_reply(&t->channel.trace, &t->parser.reply);
	return talk_lost(t, phase, "the server said something that nobody asked for", o);
}

int talk_look_before_speaking(struct talk *t, enum upstream_phase phase, struct upstream_outcome *o)
{
	if (!t->open)
		return talk_no_answer(o, phase, "the connection is closed");
	switch (listen_now(t, phase, o)) {
	case HEARD_NOTHING:
		break;
	case HEARD_REPLY:
		return reply_unasked(t, phase, o) == 0 ? 1 : -1;
	case HEARD_END:
		return -1;
	}
	if (t->parser.complete)
		return 0;
	return talk_lost(t, phase, "the server said something that nobody asked for", o);
}

bool talk_is_silent(struct talk *t, struct upstream_outcome *why)
{
	struct upstream_outcome unused;

	return talk_look_before_speaking(t, UPSTREAM_IDLE, why ? why : &unused) == 0;
}

/* ---- sending ----------------------------------------------------------------------- */

/* A failed send may have its reason waiting to be read: "421", "552" before the connection was closed. */
static int send_failed(struct talk *t, enum upstream_phase phase, const struct err *e,
		       struct upstream_outcome *o)
{
	switch (listen_now(t, phase, o)) {
	case HEARD_REPLY:
		answered(t, phase, o);
		talk_abort(t);
		return -1;
	case HEARD_END:
		return -1;
	case HEARD_NOTHING:
		break;
	}
	return talk_lost(t, phase, e->text, o);
}

/*
 * The server is to wait for the end of the content (RFC 5321 4.1.1.4); who refuses before it is done with us.
 */
static int look_while_sending(struct talk *t, enum upstream_phase phase, struct upstream_outcome *o)
{
	switch (listen_now(t, phase, o)) {
	case HEARD_NOTHING:
		return 0;
	case HEARD_END:
		return -1;
	case HEARD_REPLY:
		break;
	}
	answered(t, phase, o);
	if (o->reply.code < 400)
		return talk_lost(t, phase, "the server answered before the end of the message", o);
	talk_abort(t);
	return -1;
}

int talk_send_all(struct talk *t, enum upstream_phase phase, const char *data, size_t len,
		  struct upstream_outcome *o)
{
	int64_t timeout_ms = talk_timeout_of(t, phase), deadline = step_deadline(t, phase, timeout_ms);
	bool content = phase == UPSTREAM_CONTENT;
	struct err e;

	while (len > 0) {
		size_t n = 0;

		if (content && look_while_sending(t, phase, o) < 0)
			return -1;
		switch (channel_write(&t->channel, data, len < TALK_BLOCK_BYTES ? len : TALK_BLOCK_BYTES, &n,
				      &e)) {
		case CHANNEL_IO_OK:
			data += n;
			len -= n;
			deadline = step_deadline(t, phase, timeout_ms);
			break;
		case CHANNEL_IO_AGAIN:
			if (talk_wait_for(t, (short)(content ? POLLIN | POLLOUT : POLLOUT), deadline,
					  timeout_ms, phase, o) < 0)
				return -1;
			break;
		case CHANNEL_IO_FAILED:
			return send_failed(t, phase, &e, o);
		}
	}
	return 0;
}
