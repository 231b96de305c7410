/* SPDX-License-Identifier: ISC */
/* STARTTLS (RFC 3207). */
#include "session/session_internal.h"

const struct session_tls *session_tls(const struct session *s)
{
	return s->io->ops->tls ? s->io->ops->tls(s->io) : NULL;
}

bool starttls_is_offered(const struct session *s)
{
	return s->cfg->tls != SESSION_TLS_NONE && s->io->ops->start_tls && !session_tls(s);
}

/* RFC 8689 2: a message that came in the clear cannot ask for it any more */
bool requiretls_is_possible(const struct session *s)
{
	return s->cfg->requiretls && session_tls(s);
}

static void tell(struct session *s, const struct err *why)
{
	if (s->events && s->events->tls)
		s->events->tls(s->events->ctx, why ? NULL : session_tls(s), why);
}

/*
 * What came in behind the command came in the clear, from whoever: it is
 * thrown away, and all that was said before is forgotten (4.2). So nobody can
 * put words into a protected session.
 */
void verb_starttls(struct session *s, const char *arg, size_t len)
{
	struct err e;

	(void)arg;
	(void)len;
	if (session_tls(s)) {
		session_reply(s, 554, "5.5.1", "Error: TLS is active already");
		return;
	}
	if (!starttls_is_offered(s)) {
		session_reply(s, 502, "5.5.1", "Error: STARTTLS is not offered here");
		return;
	}
	session_reply(s, 220, "2.0.0", "Ready to start TLS");
	if (!session_flush(s))
		return;
	input_discard(&s->in);
	if (s->io->ops->start_tls(s->io, session_deadline_in(s->cfg->command_timeout_ms), &e) != IO_OK) {
		tell(s, &e);
		session_finish(s, SESSION_TLS_FAILED);
		return;
	}
	session_start_over(s);
	tell(s, NULL);
	hooks_begin_anew(s);
}
