/* SPDX-License-Identifier: ISC */
/* RCPT (RFC 5321 4.1.1.3): who may relay, how many recipients, each one once; NOTIFY, ORCPT (dsn.h). */
#include <stdlib.h>
#include <string.h>

#include "session/dsn.h"
#include "session/path_argument.h"
#include "session/session_internal.h"

/* Takes the recipient that was just added out again. */
static void drop_last(struct envelope *env)
{
	struct envelope_rcpt *last = &env->rcpt[--env->rcpt_count];

	free(last->address);
	free(last->orcpt);
}

/* What stands against this recipient before the handler is asked; replies and returns false. */
static bool is_admitted(struct session *s, const struct path_argument *rcpt)
{
	if (rcpt->path.needs_smtputf8 && !s->env.smtputf8) {
		session_reply(s, 553, "5.6.7", "Error: a non-ASCII address needs SMTPUTF8");
		return false;
	}
	return true;
}

static bool policy_passes(struct session *s)
{
	struct session_client client = session_client(s);
	struct session_policy *policy = s->cfg->policy;
	struct smtp_reply reply = { .code = 0 };

	if (policy)
		return session_policy_passes(s, policy->ops->rcpt(policy, &client, &s->env, &reply), &reply);
	if (!s->handler->ops->facts->relays)
		return true;
	session_reply(s, 554, "5.7.1", "Relay access denied");
	return false;
}

/* One recipient more, what it wants of notifications taken from asked; false when it was refused. */
static bool add(struct session *s, const struct path_argument *rcpt, struct envelope_rcpt *asked)
{
	struct smtp_reply reply = { .code = 0 };
	struct envelope_rcpt *added;
	enum handler_verdict verdict;

	if (s->env.rcpt_count >= s->cfg->max_recipients) {
		session_reply(s, 452, "4.5.3", "Error: too many recipients");
		return false;
	}
	added = envelope_add_rcpt(&s->env, rcpt->path.address, strlen(rcpt->path.address));
	added->notify = asked->notify;
	added->orcpt = asked->orcpt;
	asked->orcpt = NULL;
	free(s->env.rcpt_options);
	s->env.rcpt_options = smtp_params_text(&rcpt->params);
	if (!policy_passes(s)) {
		drop_last(&s->env);
		return false;
	}
	verdict = s->handler->ops->rcpt(s->handler, &s->env, &reply);
	if (!session_send_verdict(s, verdict, &reply, "2.1.5", "OK")) {
		drop_last(&s->env);
		return false;
	}
	rcpt_set_add_last(&s->rcpts, &s->env);
	s->state = COMMAND_RCPT;
	return true;
}

static bool take_recipient(struct session *s, const struct path_argument *rcpt, struct envelope_rcpt *asked)
{
	struct envelope_rcpt *before;

	if (!is_admitted(s, rcpt) || !dsn_take_rcpt(s, &rcpt->params, asked))
		return false;
	before = rcpt_set_find(&s->rcpts, &s->env, rcpt->path.address);
	if (!before)
		return add(s, rcpt, asked);
	/* one copy is enough; the client gets the answer it got before */
	dsn_merge(before, asked);
	session_reply(s, 250, "2.1.5", "OK");
	return true;
}

void verb_rcpt(struct session *s, const char *arg, size_t len)
{
	struct path_argument rcpt;
	struct envelope_rcpt asked = { 0 };

	if (!path_argument_read(s, "RCPT", "TO:", arg, len, SMTP_PATH_POSTMASTER_OK, &rcpt) ||
	    !take_recipient(s, &rcpt, &asked))
		s->rcpt_refused = true;
	free(asked.orcpt);
}
