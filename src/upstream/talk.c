/* SPDX-License-Identifier: ISC */
/* See talk.h. Runs in workers and in the operator's commands. */
#include "upstream/talk.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "upstream/command.h"
#include "upstream/content.h"
#include "upstream/talk_internal.h"

#define QUIT_TIMEOUT_MS 5000 /* nothing depends on the answer to QUIT */

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

int talk_command(struct talk *t, enum upstream_phase phase, const char *line, size_t len,
		 struct upstream_outcome *o)
{
	const char *why = why_unsayable(line, len);
	char text[COMMAND_MAX];
	int left;

	if (why)
		return unsupported(phase, why, o);
	if ((left = talk_look_before_speaking(t, phase, o)) != 0)
		return left > 0 ? 0 : -1;
	if (phase == UPSTREAM_MAIL)
		t->attempt_by_mono_ms = t->settings->attempt_timeout_ms > 0
						? talk_deadline_in(t->settings->attempt_timeout_ms)
						: CLOCK_NEVER;
	memcpy(text, line, len);
	memcpy(text + len, "\r\n", 2);
	channel_trace_command(&t->channel.trace, line, len);
	if (talk_send_all(t, phase, text, len + 2, o) < 0)
		return o->how == UPSTREAM_ANSWERED ? 0 : -1; /* its last words before it left */
	return talk_read_reply(t, phase, talk_timeout_of(t, phase), o);
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

int talk_quit(struct talk *t, struct upstream_outcome *o)
{
	static const char quit[] = "QUIT\r\n";
	struct upstream_outcome unused;
	int r;

	if (!o)
		o = &unused;
	if ((r = talk_look_before_speaking(t, UPSTREAM_IDLE, o)) != 0)
		return r > 0 ? 0 : -1;
	channel_trace_command(&t->channel.trace, quit, sizeof(quit) - 3);
	r = talk_send_all(t, UPSTREAM_IDLE, quit, sizeof(quit) - 1, o);
	if (r == 0)
		r = talk_read_reply(t, UPSTREAM_IDLE, QUIT_TIMEOUT_MS, o);
	talk_abort(t);
	return r;
}

/* ---- content ------------------------------------------------------------------------- */

static int flush_block(struct talk *t, struct upstream_outcome *o)
{
	size_t len = t->block_len;

	t->block_len = 0;
	return talk_send_all(t, UPSTREAM_CONTENT, t->block, len, o);
}

static void begin_content(struct talk *t)
{
	if (t->block)
		return;
	t->block = mem_alloc(TALK_BLOCK_BYTES);
	memcpy(t->last, CONTENT_BEGIN, sizeof(t->last));
}

int talk_content(struct talk *t, const char *data, size_t len, struct upstream_outcome *o)
{
	if (!t->open)
		return talk_no_answer(o, UPSTREAM_CONTENT, "the connection is closed");
	begin_content(t);
	while (len > 0) {
		size_t half = (TALK_BLOCK_BYTES - t->block_len) / 2, n = len < half ? len : half;

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
		return talk_no_answer(o, UPSTREAM_CONTENT, "the connection is closed");
	begin_content(t);
	if (TALK_BLOCK_BYTES - t->block_len < CONTENT_FINISH_MAX && flush_block(t, o) < 0)
		return -1;
	t->block_len += content_finish(t->last, t->block + t->block_len);
	if (flush_block(t, o) < 0)
		return -1;
	end_content(t);
	channel_trace_command(&t->channel.trace, ".", 1);
	return talk_read_reply(t, UPSTREAM_FINAL_DOT, talk_timeout_of(t, UPSTREAM_FINAL_DOT), o);
}

int talk_chunk(struct talk *t, const char *data, size_t len, bool last, struct upstream_outcome *o)
{
	enum upstream_phase phase = last ? UPSTREAM_FINAL_DOT : UPSTREAM_CONTENT;
	char line[64];
	int n = snprintf(line, sizeof(line), "BDAT %zu%s\r\n", len, last ? " LAST" : ""), left;

	if ((left = talk_look_before_speaking(t, UPSTREAM_CONTENT, o)) != 0)
		return left > 0 ? 0 : -1;
	channel_trace_command(&t->channel.trace, line, (size_t)n - 2);
	if (talk_send_all(t, UPSTREAM_CONTENT, line, (size_t)n, o) < 0 ||
	    talk_send_all(t, UPSTREAM_CONTENT, data, len, o) < 0)
		return -1;
	return talk_read_reply(t, phase, talk_timeout_of(t, UPSTREAM_FINAL_DOT), o);
}
