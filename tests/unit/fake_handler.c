/* SPDX-License-Identifier: ISC */
/* See fake_handler.h. */
#include "fake_handler.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

static struct fake_handler *fake(struct handler *h)
{
	return (struct fake_handler *)h;
}

static enum handler_verdict called(struct fake_handler *f, enum fake_call call, struct smtp_reply *reply)
{
	ASSERT(reply->code == 0);
	f->last = call;
	if (f->refuse_at == call && f->calls[call]++ >= f->refuse_after) {
		*reply = f->refusal;
		return HANDLER_REFUSE;
	}
	if (f->refuse_at != call)
		f->calls[call]++;
	return HANDLER_ACCEPT;
}

static enum handler_verdict fake_mail(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct fake_handler *f = fake(h);

	ASSERT(f->last == FAKE_NONE && env->sender && env->rcpt_count == 0);
	buf_addf(&f->log, "mail <%s>;", env->sender);
	return called(f, FAKE_MAIL, reply);
}

static enum handler_verdict fake_rcpt(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct fake_handler *f = fake(h);

	ASSERT((f->last == FAKE_MAIL || f->last == FAKE_RCPT) && env->rcpt_count > 0);
	buf_addf(&f->log, "rcpt <%s>;", env->rcpt[env->rcpt_count - 1].address);
	return called(f, FAKE_RCPT, reply);
}

static enum handler_verdict fake_begin(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct fake_handler *f = fake(h);

	ASSERT(f->last == FAKE_RCPT && env->rcpt_count > 0);
	buf_adds(&f->log, "begin;");
	buf_clear(&f->content);
	f->content_bytes = 0;
	if (f->id)
		snprintf(env->id, sizeof(env->id), "%s", f->id);
	return called(f, FAKE_BEGIN, reply);
}

static enum handler_verdict fake_chunk(struct handler *h, const char *data, size_t len,
				       struct smtp_reply *reply)
{
	struct fake_handler *f = fake(h);

	ASSERT((f->last == FAKE_BEGIN || f->last == FAKE_CHUNK) && len > 0);
	if (f->keep_content)
		buf_add(&f->content, data, len);
	f->content_bytes += len;
	f->largest_chunk = len > f->largest_chunk ? len : f->largest_chunk;
	return called(f, FAKE_CHUNK, reply);
}

static enum handler_verdict fake_end(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct fake_handler *f = fake(h);
	enum handler_verdict verdict;

	ASSERT(f->last == FAKE_BEGIN || f->last == FAKE_CHUNK);
	buf_adds(&f->log, "end;");
	envelope_release(&f->seen);
	f->seen = *env;
	f->seen.sender = mem_strdup(env->sender);
	f->seen.mail_options = mem_strdup_or_null(env->mail_options);
	f->seen.rcpt_options = NULL;
	f->seen.peer = mem_strdup(env->peer);
	f->seen.helo = mem_strdup(env->helo);
	f->seen.protocol = mem_strdup(env->protocol);
	f->seen.listener = mem_strdup(env->listener);
	f->seen.envid = mem_strdup_or_null(env->envid);
	f->seen.auth_user = mem_strdup_or_null(env->auth_user);
	f->seen.tls_cipher = mem_strdup_or_null(env->tls_cipher);
	f->seen.rcpt = NULL;
	f->seen.rcpt_count = f->seen.rcpt_cap = 0;
	for (size_t i = 0; i < env->rcpt_count; i++) {
		const struct envelope_rcpt *from = &env->rcpt[i];
		struct envelope_rcpt *to = envelope_add_rcpt(&f->seen, from->address, strlen(from->address));

		to->notify = from->notify;
		to->orcpt = mem_strdup_or_null(from->orcpt);
	}
	f->seen_rcpts = env->rcpt_count;
	verdict = called(f, FAKE_END, reply);
	if (verdict == HANDLER_ACCEPT)
		*reply = f->accept_end;
	f->last = FAKE_NONE;
	return verdict;
}

static void fake_abort(struct handler *h)
{
	struct fake_handler *f = fake(h);

	ASSERT(f->last != FAKE_NONE);
	buf_adds(&f->log, "abort;");
	f->calls[FAKE_ABORT]++;
	f->last = FAKE_NONE;
}

static void fake_close(struct handler *h)
{
	(void)h;
}

static const struct handler_ops stays = {
	.facts = &(const struct handler_facts){ .name = "fake" },
	.extensions = SMTP_EXTENSION_BIT(SMTP_8BITMIME) | SMTP_EXTENSION_BIT(SMTP_SMTPUTF8),
	.mail = fake_mail,
	.rcpt = fake_rcpt,
	.data_begin = fake_begin,
	.data_chunk = fake_chunk,
	.data_end = fake_end,
	.abort = fake_abort,
	.close = fake_close,
};

static const struct handler_ops relays_ops = {
	.facts = &(const struct handler_facts){ .name = "fake-relay", .relays = true },
	.extensions = SMTP_EXTENSION_BIT(SMTP_8BITMIME) | SMTP_EXTENSION_BIT(SMTP_DSN) |
		      SMTP_EXTENSION_BIT(SMTP_SMTPUTF8) | SMTP_EXTENSION_BIT(SMTP_REQUIRETLS) |
		      SMTP_EXTENSION_BIT(SMTP_CHUNKING) | SMTP_EXTENSION_BIT(SMTP_BINARYMIME) |
		      SMTP_EXTENSION_BIT(SMTP_DELIVERBY),
	.mail = fake_mail,
	.rcpt = fake_rcpt,
	.data_begin = fake_begin,
	.data_chunk = fake_chunk,
	.data_end = fake_end,
	.abort = fake_abort,
	.close = fake_close,
};

void fake_handler_init(struct fake_handler *h, bool relays)
{
	memset(h, 0, sizeof(*h));
	h->handler.ops = relays ? &relays_ops : &stays;
	h->keep_content = true;
	buf_init(&h->log, 1 << 20);
	buf_init(&h->content, 1 << 24);
	envelope_init(&h->seen);
}

void fake_handler_release(struct fake_handler *h)
{
	ASSERT(h->last == FAKE_NONE); /* a session leaves no transaction open */
	buf_release(&h->log);
	buf_release(&h->content);
	envelope_release(&h->seen);
}
