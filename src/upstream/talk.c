/* SPDX-License-Identifier: ISC */
/*
 * See talk.h. The session's start is channel.c's, driven by a multi handle of
 * our own and curl_multi_poll; afterwards it is the socket, poll(2), and the
 * reply parser. Runs in workers and in the operator's commands.
 *
 * What the server says when nothing was asked is never taken for the answer
 * to what is said next: there would be no way to find out of step with it
 * again. So each step looks first whether something lies there.
 */
#include "upstream/talk.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/control.h"
#include "upstream/channel.h"
#include "upstream/command.h"
#include "upstream/content.h"
#include "upstream/hello.h"

#define BLOCK_BYTES 16384 /* at once: one TLS record, so that a blocked send is a blocked record */
#define INPUT_BYTES 4096
#define QUIT_TIMEOUT_MS 5000 /* nothing depends on the answer to QUIT */

struct talk {
	const struct upstream_settings *settings;
	struct talk_options options;
	CURLM *multi;
	struct channel channel;
	bool opened; /* the channel was */
	bool in_multi;
	bool open; /* steps can be taken */
	struct smtp_reply_parser parser;
	char input[INPUT_BYTES]; /* received and not yet parsed: from input_at to input_len */
	size_t input_at, input_len;
	char last[2]; /* of the content so far */
	char *block; /* content to be sent, dot-stuffed; BLOCK_BYTES, allocated while there is content; owned */
	size_t block_len;
	int64_t attempt_by_mono_ms; /* the transaction must be over by then */
};

/* ---- life --------------------------------------------------------------------- */

struct talk *talk_new(const struct upstream_settings *settings, const struct talk_options *options)
{
	struct talk *t = mem_alloc(sizeof(*t));

	/* OpenSSL writes with write(2): a connection the peer closed must not end the process */
	signal(SIGPIPE, SIG_IGN);
	t->settings = settings;
	t->options = *options;
	t->attempt_by_mono_ms = CLOCK_NEVER;
	ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	t->multi = curl_multi_init();
	ASSERT(t->multi);
	return t;
}

static void end_content(struct talk *t)
{
	free(t->block);
	t->block = NULL;
	t->block_len = 0;
}

void talk_abort(struct talk *t)
{
	t->open = false;
	end_content(t);
	if (t->in_multi)
		curl_multi_remove_handle(t->multi, t->channel.easy);
	t->in_multi = false;
	if (t->opened)
		channel_close(&t->channel);
}

void talk_free(struct talk *t)
{
	if (!t)
		return;
	talk_abort(t);
	if (t->opened)
		channel_release(&t->channel);
	curl_multi_cleanup(t->multi);
	curl_global_cleanup();
	free(t);
}

const struct upstream_features *talk_features(const struct talk *t)
{
	return &t->channel.features;
}

const char *talk_remote(const struct talk *t)
{
	return t->channel.remote;
}

const char *talk_via(const struct talk *t)
{
	return t->channel.via;
}

bool talk_tls(const struct talk *t, struct upstream_tls_info *info)
{
	return t->opened && tls_info(&t->channel.watch, info);
}

bool talk_is_open(const struct talk *t)
{
	return t->open;
}

/* ---- how a step ends ------------------------------------------------------------ */

static int no_answer(struct upstream_outcome *o, enum upstream_phase phase, const char *text)
{
	o->how = UPSTREAM_NO_ANSWER;
	o->phase = phase;
	smtp_reply_set(&o->reply, 0, "", "%s", text);
	return -1;
}

static int lost(struct talk *t, enum upstream_phase phase, const char *text, struct upstream_outcome *o)
{
	talk_abort(t);
	return no_answer(o, phase, text);
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

static int64_t deadline_in(int64_t ms)
{
	int64_t now = clock_mono_ms();

	return ms < CLOCK_NEVER - now ? now + ms : CLOCK_NEVER;
}

static bool must_stop(const struct talk *t)
{
	const struct control *c = t->options.control;

	return c && c->stopping && clock_mono_ms() >= c->stop_by_mono_ms;
}

/* How long to wait at most, for poll: until the deadline or the end of the grace time. */
static int wait_ms(const struct talk *t, int64_t deadline_mono_ms)
{
	const struct control *c = t->options.control;
	int64_t until = c && c->stop_by_mono_ms < deadline_mono_ms ? c->stop_by_mono_ms : deadline_mono_ms, left;

	if (until == CLOCK_NEVER)
		return -1;
	left = until - clock_mono_ms();
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* The control line is watched until it has said "stop"; after that it stays readable. */
static int control_fd(const struct talk *t)
{
	return t->options.control && !t->options.control->stopping ? t->options.control->fd : -1;
}

/* For events on the socket; -1: the deadline passed, or the service stops, and the connection is closed. */
static int wait_for(struct talk *t, short events, int64_t deadline_mono_ms, int64_t timeout_ms,
		    enum upstream_phase phase, struct upstream_outcome *o)
{
	char text[128];

	for (;;) {
		struct pollfd fds[2] = { { channel_socket(&t->channel), events, 0 }, { control_fd(t), POLLIN, 0 } };
		int n;

		if (must_stop(t))
			return lost(t, phase, "given up: this service stops", o);
		n = poll(fds, 2, wait_ms(t, deadline_mono_ms));
		if (n < 0 && errno != EINTR)
			return lost(t, phase, strerror(errno), o);
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
	return lost(t, phase, text, o);
}

/* A deadline from now; that of the transaction counts for what belongs to one. */
static int64_t step_deadline(const struct talk *t, enum upstream_phase phase, int64_t timeout_ms)
{
	int64_t deadline = deadline_in(timeout_ms);

	return phase != UPSTREAM_IDLE && t->attempt_by_mono_ms < deadline ? t->attempt_by_mono_ms : deadline;
}

/* IDLE stands for any command that is not of a transaction. */
static int64_t timeout_of(const struct talk *t, enum upstream_phase phase)
{
	return phase == UPSTREAM_IDLE ? t->settings->command_timeout_ms : upstream_timeout_ms(t->settings, phase);
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
				lost(t, phase, t->parser.why, o);
				return HEARD_END;
			}
		}
		t->input_at = t->input_len = 0;
		switch (channel_recv(&t->channel, t->input, sizeof(t->input), &t->input_len, &e)) {
		case CHANNEL_IO_AGAIN:
			return HEARD_NOTHING;
		case CHANNEL_IO_FAILED:
			lost(t, phase, e.text, o);
			return HEARD_END;
		case CHANNEL_IO_OK:
			if (t->input_len > 0)
				break;
			lost(t, phase, "the server closed the connection", o);
			return HEARD_END;
		}
	}
}

static int read_reply(struct talk *t, enum upstream_phase phase, int64_t timeout_ms, struct upstream_outcome *o)
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
		if (wait_for(t, POLLIN, deadline, timeout_ms, phase, o) < 0)
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
	return lost(t, phase, "the server said something that nobody asked for", o);
}

/* Before something is said: 0 go on; 1: the server took leave, *o is its reply; -1. */
static int look_before_speaking(struct talk *t, enum upstream_phase phase, struct upstream_outcome *o)
{
	if (!t->open)
		return no_answer(o, phase, "the connection is closed");
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
	return lost(t, phase, "the server said something that nobody asked for", o);
}

bool talk_is_silent(struct talk *t, struct upstream_outcome *why)
{
	struct upstream_outcome unused;

	return look_before_speaking(t, UPSTREAM_IDLE, why ? why : &unused) == 0;
}

/* ---- sending ----------------------------------------------------------------------- */

/* A failed send may have its reason waiting to be read: "421", "552" before the connection was closed. */
static int send_failed(struct talk *t, enum upstream_phase phase, const struct err *e, struct upstream_outcome *o)
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
	return lost(t, phase, e->text, o);
}

/* The server is to wait for the end of the content (RFC 5321 4.1.1.4); who refuses before it is done with us. */
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
		return lost(t, phase, "the server answered before the end of the message", o);
	talk_abort(t);
	return -1;
}

/* All of it; each part of BLOCK_BYTES has the phase's time to be taken. */
static int send_all(struct talk *t, enum upstream_phase phase, const char *data, size_t len,
		    struct upstream_outcome *o)
{
	int64_t timeout_ms = timeout_of(t, phase), deadline = step_deadline(t, phase, timeout_ms);
	bool content = phase == UPSTREAM_CONTENT;
	struct err e;

	while (len > 0) {
		size_t n = 0;

		if (content && look_while_sending(t, phase, o) < 0)
			return -1;
		switch (channel_write(&t->channel, data, len < BLOCK_BYTES ? len : BLOCK_BYTES, &n, &e)) {
		case CHANNEL_IO_OK:
			data += n;
			len -= n;
			deadline = step_deadline(t, phase, timeout_ms);
			break;
		case CHANNEL_IO_AGAIN:
			if (wait_for(t, (short)(content ? POLLIN | POLLOUT : POLLOUT), deadline, timeout_ms, phase,
				     o) < 0)
				return -1;
			break;
		case CHANNEL_IO_FAILED:
			return send_failed(t, phase, &e, o);
		}
	}
	return 0;
}

/* ---- commands ------------------------------------------------------------------------ */

static bool is_verb(const char *line, size_t len, const char *verb)
{
	size_t n = strlen(verb);

	return len >= n && strncasecmp(line, verb, n) == 0 && (len == n || line[n] == ' ');
}

static const char *why_unsayable(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (line[i] == '\r' || line[i] == '\n' || line[i] == '\0')
			return "a command is one line: it cannot hold CR, LF or NUL";
	if (len > COMMAND_MAX - 2)
		return "the command is too long";
	if (is_verb(line, len, "STARTTLS") || is_verb(line, len, "AUTH"))
		return "STARTTLS and AUTH belong to the session's start";
	return NULL;
}

static int unsupported(enum upstream_phase phase, const char *why, struct upstream_outcome *o)
{
	o->how = UPSTREAM_UNSUPPORTED;
	o->phase = phase;
	smtp_reply_set(&o->reply, 501, "5.5.4", "%s", why);
	return -1;
}

int talk_command(struct talk *t, enum upstream_phase phase, const char *line, size_t len, struct upstream_outcome *o)
{
	const char *why = why_unsayable(line, len);
	char text[COMMAND_MAX];
	int left;

	if (why)
		return unsupported(phase, why, o);
	if ((left = look_before_speaking(t, phase, o)) != 0)
		return left > 0 ? 0 : -1;
	if (phase == UPSTREAM_MAIL)
		t->attempt_by_mono_ms = t->settings->attempt_timeout_ms > 0 ?
						deadline_in(t->settings->attempt_timeout_ms) :
						CLOCK_NEVER;
	memcpy(text, line, len);
	memcpy(text + len, "\r\n", 2);
	channel_trace_command(&t->channel.trace, line, len);
	if (send_all(t, phase, text, len + 2, o) < 0)
		return o->how == UPSTREAM_ANSWERED ? 0 : -1; /* its last words before it left */
	return read_reply(t, phase, timeout_of(t, phase), o);
}

int talk_commandf(struct talk *t, enum upstream_phase phase, struct upstream_outcome *o, const char *fmt, ...)
{
	char line[COMMAND_MAX];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (len < 0 || len > COMMAND_MAX - 2)
		return unsupported(phase, "the command is too long", o);
	return talk_command(t, phase, line, (size_t)len, o);
}

int talk_reply(struct talk *t, enum upstream_phase phase, struct upstream_outcome *o)
{
	if (!t->open)
		return no_answer(o, phase, "the connection is closed");
	return read_reply(t, phase, timeout_of(t, phase), o);
}

int talk_quit(struct talk *t, struct upstream_outcome *o)
{
	static const char quit[] = "QUIT\r\n";
	struct upstream_outcome unused;
	int r;

	if (!o)
		o = &unused;
	if ((r = look_before_speaking(t, UPSTREAM_IDLE, o)) != 0)
		return r > 0 ? 0 : -1;
	channel_trace_command(&t->channel.trace, quit, sizeof(quit) - 3);
	r = send_all(t, UPSTREAM_IDLE, quit, sizeof(quit) - 1, o);
	if (r == 0)
		r = read_reply(t, UPSTREAM_IDLE, QUIT_TIMEOUT_MS, o);
	talk_abort(t);
	return r;
}

/* ---- content ------------------------------------------------------------------------- */

static int flush_block(struct talk *t, struct upstream_outcome *o)
{
	size_t len = t->block_len;

	t->block_len = 0;
	return send_all(t, UPSTREAM_CONTENT, t->block, len, o);
}

static void begin_content(struct talk *t)
{
	if (t->block)
		return;
	t->block = mem_alloc(BLOCK_BYTES);
	memcpy(t->last, CONTENT_BEGIN, sizeof(t->last));
}

int talk_content(struct talk *t, const char *data, size_t len, struct upstream_outcome *o)
{
	if (!t->open)
		return no_answer(o, UPSTREAM_CONTENT, "the connection is closed");
	begin_content(t);
	while (len > 0) {
		size_t half = (BLOCK_BYTES - t->block_len) / 2, n = len < half ? len : half;

		if (half < CONTENT_ROOM_MIN) {
			if (flush_block(t, o) < 0)
				return -1;
			continue;
		}
		t->block_len += content_stuff(data, n, t->last[1] == '\n', t->block + t->block_len);
		content_remember_last(t->last, data, n);
		data += n;
		len -= n;
	}
	return 0;
}

int talk_content_end(struct talk *t, struct upstream_outcome *o)
{
	if (!t->open)
		return no_answer(o, UPSTREAM_CONTENT, "the connection is closed");
	begin_content(t);
	if (BLOCK_BYTES - t->block_len < CONTENT_FINISH_MAX && flush_block(t, o) < 0)
		return -1;
	t->block_len += content_finish(t->last, t->block + t->block_len);
	if (flush_block(t, o) < 0)
		return -1;
	end_content(t);
	channel_trace_command(&t->channel.trace, ".", 1);
	return read_reply(t, UPSTREAM_FINAL_DOT, timeout_of(t, UPSTREAM_FINAL_DOT), o);
}

int talk_chunk(struct talk *t, const char *data, size_t len, bool last, struct upstream_outcome *o)
{
	enum upstream_phase phase = last ? UPSTREAM_FINAL_DOT : UPSTREAM_CONTENT;
	char line[64];
	int n = snprintf(line, sizeof(line), "BDAT %zu%s\r\n", len, last ? " LAST" : ""), left;

	if ((left = look_before_speaking(t, UPSTREAM_CONTENT, o)) != 0)
		return left > 0 ? 0 : -1;
	channel_trace_command(&t->channel.trace, line, (size_t)n - 2);
	if (send_all(t, UPSTREAM_CONTENT, line, (size_t)n, o) < 0 ||
	    send_all(t, UPSTREAM_CONTENT, data, len, o) < 0)
		return -1;
	return read_reply(t, phase, timeout_of(t, UPSTREAM_FINAL_DOT), o);
}

/* ---- the session's start ----------------------------------------------------------------- */

static bool is_done(struct talk *t, CURLcode *result)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(t->multi, &left))) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		*result = msg->data.result;
		return true;
	}
	return false;
}

/* Until libcurl is done: 0 and its result; -1: it took too long, or the service stops. */
static int drive(struct talk *t, CURLcode *result, struct upstream_outcome *why)
{
	int64_t timeout_ms = t->settings->connect_timeout_ms, deadline = deadline_in(timeout_ms);
	bool connected = false;
	int running;

	for (;;) {
		struct curl_waitfd control = { .fd = control_fd(t), .events = CURL_WAIT_POLLIN };
		int wait;

		curl_multi_perform(t->multi, &running);
		if (is_done(t, result))
			return 0;
		if (!connected && channel_is_connected(&t->channel)) {
			connected = true;
			timeout_ms = t->settings->greeting_timeout_ms;
			deadline = deadline_in(timeout_ms);
		}
		if (must_stop(t))
			return no_answer(why, UPSTREAM_CONNECT, "given up: this service stops");
		if (clock_mono_ms() >= deadline) {
			channel_timed_out(&t->channel, timeout_ms, why);
			return -1;
		}
		wait = wait_ms(t, deadline);
		curl_multi_poll(t->multi, &control, control.fd >= 0, wait < 0 ? INT_MAX : wait, NULL);
		if (control.revents)
			control_read(t->options.control);
	}
}

static int start(struct talk *t, enum upstream_tls tls, struct upstream_outcome *why)
{
	struct channel_trace trace = { .line = t->options.trace,
				       .wire = t->options.wire,
				       .ctx = t->options.ctx };
	CURLcode result;
	struct err e;

	if (channel_open(&t->channel, t->settings, tls, trace, NULL, &e) < 0)
		return no_answer(why, UPSTREAM_RESOLVE, e.text);
	t->opened = true;
	t->in_multi = true;
	ASSERT(curl_multi_add_handle(t->multi, t->channel.easy) == CURLM_OK);
	if (drive(t, &result, why) < 0)
		return -1;
	return channel_conclude(&t->channel, result, why);
}

/* What lies in t->input, line by line. 1: the session is up; 0: there is more to come. */
static int take_hello(struct talk *t, struct hello *h, struct upstream_outcome *why)
{
	size_t used;

	for (; t->input_at < t->input_len; t->input_at += used) {
		enum hello_result result = hello_take(h, t->input + t->input_at, t->input_len - t->input_at, &used);

		if (result != HELLO_MORE && result != HELLO_BROKEN)
			channel_trace_line(&t->channel.trace, h->parser.line, h->parser.taken_len);
		switch (result) {
		case HELLO_MORE:
		case HELLO_LINE:
			break;
		case HELLO_DONE:
			t->input_at += used;
			return 1;
		case HELLO_REFUSED:
			*why = (struct upstream_outcome){ UPSTREAM_ANSWERED, UPSTREAM_GREETING, h->parser.reply };
			return -1;
		case HELLO_BROKEN:
			return no_answer(why, UPSTREAM_GREETING, h->parser.why);
		}
	}
	t->input_at = t->input_len = 0;
	return 0;
}

static int receive_hello(struct talk *t, struct hello *h, struct upstream_outcome *why)
{
	int64_t timeout_ms = t->settings->greeting_timeout_ms, deadline = deadline_in(timeout_ms);
	struct err e;
	int r;

	for (;;) {
		switch (channel_recv(&t->channel, t->input, sizeof(t->input), &t->input_len, &e)) {
		case CHANNEL_IO_AGAIN:
			if (wait_for(t, POLLIN, deadline, timeout_ms, UPSTREAM_GREETING, why) < 0)
				return -1;
			break;
		case CHANNEL_IO_FAILED:
			return no_answer(why, UPSTREAM_GREETING, e.text);
		case CHANNEL_IO_OK:
			if (t->input_len == 0)
				return no_answer(why, UPSTREAM_GREETING, "the server closed the connection");
			r = take_hello(t, h, why);
			if (r != 0 || h->out_from < h->out_len)
				return r;
			break;
		}
	}
}

/* LMTP: greeting and LHLO are ours (hello.h). */
static int say_hello(struct talk *t, struct upstream_outcome *why)
{
	struct hello h;
	int r;

	hello_init(&h, &t->channel.features, t->settings);
	while ((r = receive_hello(t, &h, why)) == 0) {
		channel_trace_command(&t->channel.trace, h.out, h.out_len - 2);
		if (send_all(t, UPSTREAM_GREETING, h.out, h.out_len, why) < 0)
			return -1;
		h.out_from = h.out_len;
	}
	return r < 0 ? -1 : 0;
}

int talk_connect(struct talk *t, struct upstream_outcome *why)
{
	int r;

	ASSERT(!t->opened);
	r = start(t, t->settings->tls, why);
	if (r < 0 && t->opened && channel_may_go_plain(&t->channel, why)) {
		talk_abort(t);
		channel_release(&t->channel);
		t->opened = false;
		r = start(t, UPSTREAM_TLS_NONE, why);
	}
	if (r == 0 && t->settings->lmtp)
		r = say_hello(t, why);
	if (r < 0) {
		talk_abort(t);
		return -1;
	}
	smtp_reply_parser_init(&t->parser);
	t->open = true;
	/* reading at once also ties the connection to this handle: libcurl closes idle ones it takes for unused */
	r = look_before_speaking(t, UPSTREAM_GREETING, why);
	return r == 0 ? 0 : -1;
}
