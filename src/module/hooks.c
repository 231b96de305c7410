/* SPDX-License-Identifier: ISC */
/* The module as the session sees it (session/hooks.h). */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "module/module_internal.h"

static struct module *self(struct session_hooks *h)
{
	return (struct module *)((char *)h - offsetof(struct module, hooks));
}

static enum hook_verdict hook_begin(struct session_hooks *h, const struct session *s,
				    struct smtp_reply *reply)
{
	struct module *m = self(h);
	struct posthouse_channel *ch = &m->channel;
	int returned;

	ch->session = s;
	ch->data = NULL;
	if (!m->desc.channel_open)
		return HOOK_PASS;
	module_enter(m, "channel_open");
	returned = m->desc.channel_open(m->state, ch, &ch->data);
	module_leave(m);
	if (module_passes(m, "channel_open", returned, MODULE_REFUSAL, reply))
		return HOOK_PASS;
	ch->session = NULL;
	return HOOK_REPLY;
}

static void hook_end(struct session_hooks *h)
{
	struct module *m = self(h);
	struct posthouse_channel *ch = &m->channel;

	if (ch->session && m->desc.channel_close) {
		module_enter(m, "channel_close");
		m->desc.channel_close(ch->data, ch);
		module_leave(m);
	}
	ch->session = NULL;
	ch->data = NULL;
}

static const struct command_verb *hook_find(struct session_hooks *h, const char *name, size_t len)
{
	const struct module_verb *v = module_find_verb(self(h), name, len);

	return v && v->added ? &v->verb : NULL;
}

static enum module_answer allowed_for(const struct command_verb *verb)
{
	if (verb->flags & COMMAND_WATCHED)
		return MODULE_NOTHING;
	return verb->flags & COMMAND_ANSWERED ? MODULE_ANSWER : MODULE_REFUSAL;
}

static enum hook_verdict hook_command(struct session_hooks *h, const struct command_verb *verb,
				      enum hook_moment moment, const char **arg, size_t *len,
				      struct smtp_reply *reply)
{
	struct module *m = self(h);
	struct module_verb *v = module_find_verb(m, verb->name, strlen(verb->name));
	struct posthouse_channel *ch = &m->channel;
	int returned;
	char *text;

	if (!v || v->moment != moment || !ch->session)
		return HOOK_PASS;
	text = mem_strndup(*arg, *len);
	buf_clear(&ch->keywords); /* those are of one EHLO */
	module_enter(m, v->function);
	ch->verb = verb;
	returned = v->run(ch->data, ch, text);
	module_leave(m);
	free(text);
	if (!module_passes(m, v->function, returned, allowed_for(verb), reply))
		return HOOK_REPLY;
	if (ch->has_argument) {
		*arg = ch->argument.data;
		*len = ch->argument.len;
	}
	return HOOK_PASS;
}

static void hook_replied(struct session_hooks *h, const char *verb, const struct smtp_reply *reply)
{
	struct module *m = self(h);

	if (!m->desc.replied || !m->channel.session)
		return;
	module_enter(m, "replied");
	m->desc.replied(m->channel.data, &m->channel, verb, reply->code, reply->text);
	module_leave(m);
}

static void hook_announce(struct session_hooks *h, struct buf *out)
{
	struct module *m = self(h);

	buf_adds(out, m->keywords.data);
	buf_adds(out, m->channel.keywords.data);
	buf_clear(&m->channel.keywords);
}

const struct session_hooks_ops module_hooks_ops = { .begin = hook_begin,
						    .find = hook_find,
						    .command = hook_command,
						    .replied = hook_replied,
						    .announce = hook_announce,
						    .end = hook_end };
