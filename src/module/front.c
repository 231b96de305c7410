/* SPDX-License-Identifier: ISC */
/*
 * The module about a transaction: a handler in front of any other, which asks it of sender, recipients and
 * content before that other one; and its process_message() behind the handler "module".
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "module/module_internal.h"

struct front {
	struct handler handler;
	struct handler_ops ops; /* next's, with ours in their place */
	struct handler *next;
	bool told; /* next was told of a transaction that has not ended */
	struct module *module;
};

static struct front *self(struct handler *h)
{
	return (struct front *)h;
}

/* Sessions that the module was not told of do not get as far as a message. */
static struct posthouse_channel *channel_of(struct front *f)
{
	ASSERT(f->module->channel.session);
	return &f->module->channel;
}

static enum handler_verdict front_mail(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct front *f = self(h);
	struct posthouse_channel *ch = channel_of(f);
	struct module *m = f->module;
	int returned;

	ch->num_bytes = 0;
	if (m->desc.sender) {
		module_enter(m, "sender");
		returned = m->desc.sender(ch->data, ch, env->sender);
		module_leave(m);
		if (!module_passes(m, "sender", returned, MODULE_REFUSAL, reply))
			return HANDLER_REFUSE;
	}
	f->told = true;
	return f->next->ops->mail(f->next, env, reply);
}

static enum handler_verdict front_rcpt(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct front *f = self(h);
	struct posthouse_channel *ch = channel_of(f);
	struct module *m = f->module;
	int returned;

	if (m->desc.recipient) {
		module_enter(m, "recipient");
		returned = m->desc.recipient(ch->data, ch, env->rcpt[env->rcpt_count - 1].address);
		module_leave(m);
		if (!module_passes(m, "recipient", returned, MODULE_REFUSAL, reply))
			return HANDLER_REFUSE;
	}
	return f->next->ops->rcpt(f->next, env, reply);
}

static enum handler_verdict front_data_begin(struct handler *h, struct envelope *env,
					     struct smtp_reply *reply)
{
	struct front *f = self(h);
	struct posthouse_channel *ch = channel_of(f);
	struct module *m = f->module;
	enum handler_verdict verdict;
	int returned;

	ch->num_bytes = 0;
	if (m->desc.data_begin) {
		module_enter(m, "data_begin");
		returned = m->desc.data_begin(ch->data, ch);
		module_leave(m);
		if (!module_passes(m, "data_begin", returned, MODULE_REFUSAL, reply))
			return HANDLER_REFUSE;
	}
	ch->data_open = true;
	verdict = f->next->ops->data_begin(f->next, env, reply);
	ch->in_data = verdict == HANDLER_ACCEPT;
	return verdict;
}

static enum handler_verdict front_data_chunk(struct handler *h, const char *data, size_t len,
					     struct smtp_reply *reply)
{
	struct front *f = self(h);
	struct posthouse_channel *ch = channel_of(f);
	struct module *m = f->module;
	int returned;

	ch->num_bytes += len;
	if (m->desc.data_chunk) {
		module_enter(m, "data_chunk");
		returned = m->desc.data_chunk(ch->data, ch, data, len);
		module_leave(m);
		if (!module_passes(m, "data_chunk", returned, MODULE_REFUSAL, reply))
			return HANDLER_REFUSE;
	}
	return f->next->ops->data_chunk(f->next, data, len, reply);
}

static void close_data(struct front *f, bool aborted)
{
	struct posthouse_channel *ch = &f->module->channel;
	struct module *m = f->module;

	if (ch->data_open && aborted && m->desc.data_abort && ch->session) {
		module_enter(m, "data_abort");
		m->desc.data_abort(ch->data, ch);
		module_leave(m);
	}
	ch->data_open = ch->in_data = false;
}

static enum handler_verdict front_data_end(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct front *f = self(h);
	struct posthouse_channel *ch = channel_of(f);
	struct module *m = f->module;
	enum handler_verdict verdict;
	int returned;

	if (m->desc.data_end) {
		module_enter(m, "data_end");
		returned = m->desc.data_end(ch->data, ch);
		module_leave(m);
		if (!module_passes(m, "data_end", returned, MODULE_REFUSAL, reply)) {
			f->told = false;
			f->next->ops->abort(f->next);
			close_data(f, false);
			return HANDLER_REFUSE;
		}
	}
	f->told = false;
	verdict = f->next->ops->data_end(f->next, env, reply);
	close_data(f, verdict == HANDLER_REFUSE);
	return verdict;
}

static void front_abort(struct handler *h)
{
	struct front *f = self(h);

	if (f->told)
		f->next->ops->abort(f->next);
	f->told = false;
	close_data(f, true);
}

static void front_narrow(struct handler *h, struct handler_offer *offer)
{
	struct front *f = self(h);

	f->next->ops->narrow(f->next, offer);
}

static int64_t front_idle(struct handler *h)
{
	struct front *f = self(h);

	return f->next->ops->idle(f->next);
}

static void front_close(struct handler *h)
{
	struct front *f = self(h);

	f->next->ops->close(f->next);
	free(f);
}

struct handler *module_front_open(struct module *m, struct handler *next)
{
	struct front *f = mem_alloc(sizeof(*f));

	f->ops = *next->ops;
	if (f->ops.narrow)
		f->ops.narrow = front_narrow;
	if (f->ops.idle)
		f->ops.idle = front_idle;
	f->ops.mail = front_mail;
	f->ops.rcpt = front_rcpt;
	f->ops.data_begin = front_data_begin;
	f->ops.data_chunk = front_data_chunk;
	f->ops.data_end = front_data_end;
	f->ops.abort = front_abort;
	f->ops.close = front_close;
	f->handler.ops = &f->ops;
	f->next = next;
	f->module = m;
	return &f->handler;
}

/* ---- process_message ---------------------------------------------------------------------- */

/* smtpd's lists of strings; NULL behind the last. words is cut up for it. */
static const char **split(char *words)
{
	size_t count = 0, cap = 1;
	const char **list;
	char *save, *word;

	for (const char *c = words; *c; c++)
		cap += *c == ' ';
	list = mem_array(cap + 1, sizeof(*list));
	for (word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
		list[count++] = word;
	return list;
}

static const char **list_of_rcpts(const struct envelope *env)
{
	const char **list = mem_array(env->rcpt_count + 1, sizeof(*list));

	for (size_t i = 0; i < env->rcpt_count; i++)
		list[i] = env->rcpt[i].address;
	return list;
}

enum handler_verdict module_process(struct handler_processor *p, const struct envelope *env,
				    const char *content, size_t len, struct smtp_reply *reply)
{
	struct module *m = (struct module *)((char *)p - offsetof(struct module, processor));
	bool options = !m->settings->decode_data;
	char *mail_words = mem_strdup(env->mail_options ? env->mail_options : "");
	char *rcpt_words = mem_strdup(env->rcpt_options ? env->rcpt_options : "");
	const char **mail_options = split(mail_words), **rcpt_options = split(rcpt_words),
		   **rcpttos = list_of_rcpts(env);
	struct posthouse_channel *ch = &m->channel;
	struct session_view view;
	int returned;

	ASSERT(ch->session);
	session_look(ch->session, &view);
	ch->received = content;
	ch->received_len = len;
	module_enter(m, "process_message");
	returned = m->desc.process_message(ch->data, ch, view.client.peer->address, env->sender, rcpttos,
					   content, len, options ? mail_options : NULL,
					   options ? rcpt_options : NULL);
	module_leave(m);
	ch->received = NULL;
	free(rcpttos);
	free(mail_options);
	free(rcpt_options);
	free(mail_words);
	free(rcpt_words);
	if (module_passes(m, "process_message", returned, MODULE_ANSWER, reply))
		return HANDLER_ACCEPT;
	return reply->code < 400 ? HANDLER_ACCEPT : HANDLER_REFUSE;
}
