/* SPDX-License-Identifier: ISC */
/*
 * See talk_internal.h: the session's start, which is channel.c's, driven by a multi handle of our own and
 * curl_multi_poll; LMTP's is hello.c's.
 */
#include <limits.h>
#include <poll.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/control.h"
#include "upstream/hello.h"
#include "upstream/talk_internal.h"

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
	int64_t timeout_ms = t->settings->connect_timeout_ms, deadline = talk_deadline_in(timeout_ms);
	bool connected = false;
	int running;

	for (;;) {
		struct curl_waitfd control = { .fd = talk_control_fd(t), .events = CURL_WAIT_POLLIN };
		int wait;

		curl_multi_perform(t->multi, &running);
		if (is_done(t, result))
			return 0;
		if (!connected && channel_is_connected(&t->channel)) {
			connected = true;
			timeout_ms = t->settings->greeting_timeout_ms;
			deadline = talk_deadline_in(timeout_ms);
		}
		if (talk_must_stop(t))
			return talk_no_answer(why, UPSTREAM_CONNECT, "given up: this service stops");
		if (clock_mono_ms() >= deadline) {
			channel_timed_out(&t->channel, timeout_ms, why);
			return -1;
		}
		wait = talk_wait_ms(t, deadline);
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
	CURLcode result = CURLE_FAILED_INIT;
	struct err e;

	if (channel_open(&t->channel, t->settings, tls, trace, NULL, &e) < 0)
		return talk_no_answer(why, UPSTREAM_RESOLVE, e.text);
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
		enum hello_result result =
			hello_take(h, t->input + t->input_at, t->input_len - t->input_at, &used);

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
			*why = (struct upstream_outcome){ UPSTREAM_ANSWERED, UPSTREAM_GREETING,
							  h->parser.reply };
			return -1;
		case HELLO_BROKEN:
			return talk_no_answer(why, UPSTREAM_GREETING, h->parser.why);
		}
	}
	t->input_at = t->input_len = 0;
	return 0;
}

static int receive_hello(struct talk *t, struct hello *h, struct upstream_outcome *why)
{
	int64_t timeout_ms = t->settings->greeting_timeout_ms, deadline = talk_deadline_in(timeout_ms);
	struct err e;
	int r;

	for (;;) {
		switch (channel_recv(&t->channel, t->input, sizeof(t->input), &t->input_len, &e)) {
		case CHANNEL_IO_AGAIN:
			if (talk_wait_for(t, POLLIN, deadline, timeout_ms, UPSTREAM_GREETING, why) < 0)
				return -1;
			break;
		case CHANNEL_IO_FAILED:
			return talk_no_answer(why, UPSTREAM_GREETING, e.text);
		case CHANNEL_IO_OK:
			if (t->input_len == 0)
				return talk_no_answer(why, UPSTREAM_GREETING,
						      "the server closed the connection");
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
		if (talk_send_all(t, UPSTREAM_GREETING, h.out, h.out_len, why) < 0)
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
	/*
	 * reading at once also ties the connection to this handle: libcurl closes idle ones it takes for
	 * unused
	 */
	r = talk_look_before_speaking(t, UPSTREAM_GREETING, why);
	return r == 0 ? 0 : -1;
}
