/* SPDX-License-Identifier: ISC */
/* Where the session asks its hooks (hooks.h), and what it makes of what they say. */
#include <string.h>

#include "base/assert.h"
#include "session/hooks.h"
#include "session/session_internal.h"

void session_look(const struct session *s, struct session_view *view)
{
	*view = (struct session_view){ .client = session_client(s),
				       .cfg = s->cfg,
				       .env = &s->env,
				       .extended = s->extended,
				       .verb = s->verb,
				       .line = s->line,
				       .line_len = s->line_len };
}

bool hooks_begin(struct session *s)
{
	struct smtp_reply reply = { .code = 0 };
	struct session_hooks *h = s->cfg->hooks;

	if (!h)
		return true;
	s->hooks_begun = true;
	switch (h->ops->begin(h, s, &reply)) {
	case HOOK_PASS:
		return true;
	case HOOK_REPLY:
		break;
	}
	ASSERT(reply.code >= 400);
	session_send(s, &reply);
	session_finish(s, SESSION_REFUSED);
	return false;
}

void hooks_end(struct session *s)
{
	if (s->hooks_begun)
		s->cfg->hooks->ops->end(s->cfg->hooks);
	s->hooks_begun = false;
}

bool hooks_begin_anew(struct session *s)
{
	hooks_end(s);
	return hooks_begin(s);
}

const struct command_verb *hooks_find(const struct session *s, const char *name, size_t len)
{
	const struct command_verb *verb = command_find(name, len);
	struct session_hooks *h = s->cfg->hooks;

	return !verb && h ? h->ops->find(h, name, len) : verb;
}

/* What a hook is told of AUTH: the mechanism, as far as it is one ("AUTH PLAIN ***"). */
static const char *shown_word(const struct session *s, const struct command_verb *verb, size_t *len)
{
	const char *word = s->shown + strlen(verb->name) + 1;

	*len = strcspn(word, " ");
	return word;
}

/* True: *reply is the answer. */
static bool ask(struct session *s, const struct command_verb *verb, enum hook_moment moment, const char **arg,
		size_t *len, struct smtp_reply *reply)
{
	struct session_hooks *h = s->cfg->hooks;
	const char *seen = *arg;
	size_t seen_len = *len;

	if (verb->flags & COMMAND_SECRET)
		seen = shown_word(s, verb, &seen_len);
	switch (h->ops->command(h, verb, moment, &seen, &seen_len, reply)) {
	case HOOK_PASS:
		if (!(verb->flags & (COMMAND_SECRET | COMMAND_OCTETS))) {
			*arg = seen;
			*len = seen_len;
		}
		ASSERT(moment == HOOK_FIRST || verb->argument == COMMAND_MAY_ARGUMENT ||
		       (verb->argument == COMMAND_NEEDS_ARGUMENT) == (*len > 0));
		return false;
	case HOOK_REPLY:
		break;
	}
	ASSERT(reply->code >= 400 ||
	       ((verb->flags & COMMAND_ANSWERED) && reply->code >= 200 && reply->code < 300));
	return true;
}

/*
 * A chunk. What would be asked about DATA is asked about the first one of a message, too: a client that says
 * BDAT does not get past who watches DATA. Behind a refused one the others are dropped, whatever they are
 * (verb_bdat.c).
 */
static bool take_chunk(struct session *s, const struct command_verb *verb, enum hook_moment moment,
		       const char *arg, size_t len)
{
	struct smtp_reply reply = { .code = 0 };
	const char *none = "";
	size_t none_len = 0;

	if (s->chunks_refused)
		return false;
	if (!ask(s, verb, moment, &arg, &len, &reply) &&
	    (s->state == COMMAND_BDAT || !ask(s, command_find("DATA", 4), moment, &none, &none_len, &reply)))
		return false;
	bdat_veto(s, arg, len, &reply);
	return true;
}

bool hooks_take(struct session *s, const struct command_verb *verb, enum hook_moment moment, const char **arg,
		size_t *len)
{
	struct smtp_reply reply;

	if (!s->cfg->hooks || !(verb->flags & COMMAND_HOOKED))
		return false;
	reply = (struct smtp_reply){ .code = 0 }; /* it is large: not where there is no hook */
	if (verb->flags & COMMAND_OCTETS)
		return take_chunk(s, verb, moment, *arg, *len);
	if (!ask(s, verb, moment, arg, len, &reply))
		return false;
	/* DATA without a recipient is then answered as behind any refusal */
	if (verb->run == verb_rcpt)
		s->rcpt_refused = true;
	session_send(s, &reply);
	return true;
}

void hooks_replied(const struct session *s, const struct smtp_reply *reply)
{
	if (s->hooks_begun && s->cfg->hooks->ops->replied)
		s->cfg->hooks->ops->replied(s->cfg->hooks, s->verb, reply);
}

void hooks_announce(const struct session *s, struct buf *out)
{
	if (s->hooks_begun)
		s->cfg->hooks->ops->announce(s->cfg->hooks, out);
}
