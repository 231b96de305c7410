/* SPDX-License-Identifier: ISC */
/* RCPT (RFC 5321 4.1.1.3): who may relay, how many recipients, each one once. */
#include <stdlib.h>
#include <string.h>

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
	if (rcpt->params.count > 0) {
		session_reply(s, 555, "5.5.4", "RCPT TO parameters not recognized or not implemented");
		return false;
	}
	if (rcpt->path.needs_smtputf8 && !s->env.smtputf8) {
		session_reply(s, 553, "5.6.7", "Error: a non-ASCII address needs SMTPUTF8");
		return false;
	}
	if (s->handler->ops->relays && !s->peer->may_relay) {
		session_reply(s, 554, "5.7.1", "Relay access denied: %s is not in relay_from",
			      s->peer->address);
		return false;
	}
	return true;
}

void verb_rcpt(struct session *s, const char *arg, size_t len)
{
	struct smtp_reply reply = { .code = 0 };
	struct path_argument rcpt;
	enum handler_verdict verdict;

	/* until the opposite is said below */
	bool refused_before = s->rcpt_refused;

	s->rcpt_refused = true;
	if (!path_argument_read(s, "RCPT", "TO:", arg, len, SMTP_PATH_POSTMASTER_OK, &rcpt) ||
	    !is_admitted(s, &rcpt))
		return;
	if (rcpt_set_has(&s->rcpts, &s->env, rcpt.path.address)) {
		/* one copy is enough; the client gets the answer it got before */
		s->rcpt_refused = refused_before;
		session_reply(s, 250, "2.1.5", "OK");
		return;
	}
	if (s->env.rcpt_count >= s->cfg->max_recipients) {
		session_reply(s, 452, "4.5.3", "Error: too many recipients");
		return;
	}
	envelope_add_rcpt(&s->env, rcpt.path.address, strlen(rcpt.path.address));
	verdict = s->handler->ops->rcpt(s->handler, &s->env, &reply);
	if (!session_send_verdict(s, verdict, &reply, "2.1.5", "OK")) {
		drop_last(&s->env);
		return;
	}
	s->rcpt_refused = refused_before;
	rcpt_set_add_last(&s->rcpts, &s->env);
	s->state = COMMAND_RCPT;
}
