/* SPDX-License-Identifier: ISC */
/*
 * Whole sessions. The first octet chooses settings, the second where the
 * stream is cut, and with its highest bits whether there are AUTH and XCLIENT, and hooks that veto content. Promise: the replies do not depend on the cuts, each is a
 * reply, the handler is called in its order (tests/unit/fake_handler.c checks
 * that), and no accepted content has a bare CR, a bare LF or a NUL in it (after BINARYMIME: no accepted header).
 */
#include <stdlib.h>
#include <string.h>

#include "fake_handler.h"
#include "fake_io.h"
#include "fake_policy.h"
#include "fuzz.h"
#include "session/hooks.h"
#include "session/session.h"

static void check_content(const struct buf *content, bool is_binary)
{
	for (size_t i = 0; i < content->len; i++) {
		char o = content->data[i];

		/* behind the header anything may follow */
		if (is_binary && i >= 2 && memcmp(content->data + i - 2, "\r\n", 2) == 0 &&
		    (i == 2 || (i >= 4 && memcmp(content->data + i - 4, "\r\n", 2) == 0)))
			return;

		ASSERT(o != '\0');
		ASSERT(o != '\r' || content->data[i + 1] == '\n');
		ASSERT(o != '\n' || (i > 0 && content->data[i - 1] == '\r'));
	}
}

static void on_accepted(void *ctx, const struct envelope *env, uint64_t size_bytes,
			const struct smtp_reply *reply)
{
	struct fake_handler *h = ctx;

	(void)reply;
	/* with an empty line in front where it began with white space */
	ASSERT(env->rcpt_count > 0);
	ASSERT(size_bytes == h->content.len ||
	       (size_bytes + 2 == h->content.len && strncmp(h->content.data, "\r\n", 2) == 0 &&
		(h->content.data[2] == ' ' || h->content.data[2] == '\t')));
	ASSERT(h->content.data[0] != ' ' && h->content.data[0] != '\t');
	check_content(&h->content, env->body == BODY_BINARYMIME);
}

/* Lines of "NNN text" or "NNN-text" CRLF, printable. */
static void check_replies(const struct buf *out)
{
	const char *line = out->data, *end;

	for (; *line; line = end + 2) {
		end = strstr(line, "\r\n");
		ASSERT(end && end - line >= 4);
		ASSERT(line[0] >= '2' && line[0] <= '5' && (line[3] == ' ' || line[3] == '-'));
		for (const char *p = line; p < end; p++)
			ASSERT(*p >= ' ' && *p < 0x7f);
	}
	ASSERT(strlen(out->data) == out->len);
}

/* Asks on as long as an answer has an even length; who says nothing is alice. */
static enum authenticator_result judge(const char *response, struct authenticator_answer *out)
{
	size_t len = strlen(response);

	out->challenge = "YQ==";
	strcpy(out->user, "alice");
	return len == 0 ? AUTHENTICATOR_OK : len % 2 ? AUTHENTICATOR_FAILED : AUTHENTICATOR_CONTINUE;
}

static void fake_mechanisms(struct session_authenticator *a, const struct session_client *client, struct buf *out)
{
	(void)a;
	ASSERT(!client->tls);
	buf_adds(out, "FUZZ");
}

static enum authenticator_result fake_begin(struct session_authenticator *a, const struct session_client *client,
					    const char *mechanism, const char *initial, int64_t deadline_mono_ms,
					    struct authenticator_answer *out)
{
	(void)a;
	(void)deadline_mono_ms;
	ASSERT(!client->auth_user && mechanism[0]);
	return judge(initial ? initial : "ab", out);
}

static enum authenticator_result fake_step(struct session_authenticator *a, const char *response,
					   int64_t deadline_mono_ms, struct authenticator_answer *out)
{
	(void)a;
	(void)deadline_mono_ms;
	return judge(response, out);
}

static void fake_cancel(struct session_authenticator *a)
{
	(void)a;
}

static const struct session_authenticator_ops authenticator_ops = { fake_mechanisms, fake_begin, fake_step,
								    fake_cancel };

static enum session_flush flush(void *ctx, enum session_flush_of what, const char *name)
{
	(void)ctx;
	ASSERT(name[0] && !strpbrk(name, "\r\n"));
	return (enum session_flush)((unsigned)what + strlen(name) % 2);
}

/* Every third DATA or chunk is one too many; how many octets follow a BDAT is not theirs to say. */
struct fuzz_hooks {
	struct session_hooks hooks;
	unsigned asked;
};

static enum hook_verdict hook_begin(struct session_hooks *h, const struct session *s, struct smtp_reply *reply)
{
	(void)h;
	(void)s;
	(void)reply;
	return HOOK_PASS;
}

static const struct command_verb *hook_find(struct session_hooks *h, const char *name, size_t len)
{
	(void)h;
	(void)name;
	(void)len;
	return NULL;
}

static enum hook_verdict hook_command(struct session_hooks *h, const struct command_verb *verb, enum hook_moment moment,
				      const char **arg, size_t *len, struct smtp_reply *reply)
{
	struct fuzz_hooks *f = (struct fuzz_hooks *)h;

	if (verb->run != verb_data && verb->run != verb_bdat)
		return HOOK_PASS;
	if (verb->run == verb_bdat) {
		*arg = "1 LAST";
		*len = strlen(*arg);
	}
	if (++f->asked % (moment == HOOK_FIRST ? 7 : 3) != 0)
		return HOOK_PASS;
	smtp_reply_set(reply, f->asked % 5 ? 550 : 421, "", "veto");
	return HOOK_REPLY;
}

static void hook_announce(struct session_hooks *h, struct buf *out)
{
	(void)h;
	(void)out;
}

static void hook_end(struct session_hooks *h)
{
	(void)h;
}

static const struct session_hooks_ops hooks_ops = {
	.begin = hook_begin, .find = hook_find, .command = hook_command, .announce = hook_announce, .end = hook_end
};

static enum session_end play(const uint8_t *data, size_t size, uint8_t settings, bool with_auth, bool with_hooks,
			     enum fake_cut cut, unsigned seed, struct buf *out, struct buf *log)
{
	struct session_authenticator authenticator = { .ops = &authenticator_ops };
	struct fuzz_hooks hooks = { { &hooks_ops }, 0 };
	struct session_config cfg = { .hooks = with_hooks ? &hooks.hooks : NULL,
				      .hostname = "relay.example.org",
				      .data_size_limit_bytes = 10000,
				      .max_recipients = 5,
				      .max_received = 3,
				      .max_errors = 50,
				      .max_transactions = settings & 8 ? 3 : 0,
				      .bare_newline =
					      settings & 1 ? BARE_NEWLINE_NORMALIZE : BARE_NEWLINE_REJECT,
				      .enable_smtputf8 = settings & 2,
				      .enable_binarymime = settings & 2,
				      .verifies = settings & 2,
				      .deliver_by_minimum_ms = 60000,
				      .flush = flush,
				      .decode_data = settings & 4,
				      .auth = with_auth ? SESSION_AUTH_OFFERED : SESSION_AUTH_NONE,
				      .auth_without_tls = true,
				      .authenticator = &authenticator,
				      .policy = settings & 16 ? &fake_policy_closed : &fake_policy_open };
	struct session_peer peer = { .text = "192.0.2.1:4711", .address = "192.0.2.1", .listener = "lan",
				     .may_xclient = with_auth };
	struct session_events events = { .accepted = on_accepted };
	struct fake_handler handler;
	struct fake_io io;
	enum session_end end;

	fake_handler_init(&handler, true);
	handler.refuse_at = settings >> 5 < FAKE_ABORT ? settings >> 5 : FAKE_NONE;
	handler.refuse_after = 1;
	/* the number of chunks depends on the cuts */
	if (handler.refuse_at == FAKE_CHUNK)
		handler.refuse_after = 0;
	smtp_reply_set(&handler.refusal, 452, "4.3.1", "No");
	events.ctx = &handler;
	fake_io_init(&io, (const char *)data, size, cut);
	io.seed = seed;
	end = session_run(&cfg, &peer, &io.io, &handler.handler, &events);
	check_replies(&io.out);
	buf_add(out, io.out.data, io.out.len);
	buf_add(log, handler.log.data, handler.log.len);
	fake_io_release(&io);
	fake_handler_release(&handler);
	return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out[2], log[2];
	enum session_end end[2];

	if (size < 2 || size > 1 << 17)
		return 0;
	for (int i = 0; i < 2; i++) {
		buf_init(&out[i], 1 << 24);
		buf_init(&log[i], 1 << 24);
		end[i] = play(data + 2, size - 2, data[0], data[1] & 0x80, data[1] & 0x40,
			      i == 0    ? FAKE_WHOLE
			      : data[1] ? FAKE_RANDOM
					: FAKE_BYTES,
			      data[1], &out[i], &log[i]);
	}
	ASSERT(end[0] == end[1]);
	ASSERT(out[0].len == out[1].len && memcmp(out[0].data, out[1].data, out[0].len) == 0);
	ASSERT(log[0].len == log[1].len && memcmp(log[0].data, log[1].data, log[0].len) == 0);
	for (int i = 0; i < 2; i++) {
		buf_release(&out[i]);
		buf_release(&log[i]);
	}
	return 0;
}
