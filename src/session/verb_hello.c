/* SPDX-License-Identifier: ISC */
/* HELO and EHLO (RFC 5321 4.1.1.1). */
#include <string.h>

#include "session/session_internal.h"
#include "smtp/path.h"

/*
 * A name is not refused for not being a domain: clients say all kinds of
 * things here, RFC 5321 4.1.4 forbids to refuse mail for it, and the trace
 * header makes it safe. Only what is no text at all is.
 */
static bool is_name(const char *arg, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)arg[i] < ' ' || arg[i] == 0x7f)
			return false;
	return len <= SMTP_DOMAIN_MAX;
}

/*
 * A second greeting is a RSET with a new name (RFC 5321 4.1.4). smtpd answers
 * it with 503, but clients that try EHLO again after a failure, and all of
 * them after STARTTLS, are entitled to it.
 */
static bool greet(struct session *s, const char *arg, size_t len, bool extended)
{
	if (!is_name(arg, len)) {
		session_reply_syntax(s, command_find(extended ? "EHLO" : "HELO", 4), NULL);
		return false;
	}
	session_end_transaction(s, false);
	envelope_set(&s->env.helo, arg, len);
	s->extended = extended;
	s->state = COMMAND_GREETED;
	return true;
}

void verb_helo(struct session *s, const char *arg, size_t len)
{
	if (greet(s, arg, len, false))
		session_reply(s, 250, NULL, "%s", s->cfg->hostname);
}

void verb_ehlo(struct session *s, const char *arg, size_t len)
{
	struct buf text;

	if (!greet(s, arg, len, true))
		return;
	session_ask_handler(s);
	buf_init(&text, SMTP_REPLY_TEXT_MAX - 1);
	buf_adds(&text, s->cfg->hostname);
	session_announce(s, &text);
	hooks_announce(s, &text);
	session_reply(s, 250, NULL, "%s", text.data);
	buf_release(&text);
	s->in.line_max =
		!s->env.auth_user && session_offers(s, SMTP_AUTH) ? INPUT_AUTH_LINE_MAX : INPUT_LINE_MAX;
}
