/* SPDX-License-Identifier: ISC */
/* RSET, NOOP, QUIT, HELP (RFC 5321 4.1.1.5 to .10), and what is not SMTP at all. */
#include "session/session_internal.h"

void verb_rset(struct session *s, const char *arg, size_t len)
{
	(void)arg;
	(void)len;
	session_end_transaction(s, false);
	session_reply(s, 250, "2.0.0", "OK");
}

/* An argument is to be ignored (4.1.1.9); smtpd refuses it. */
void verb_noop(struct session *s, const char *arg, size_t len)
{
	(void)arg;
	(void)len;
	session_reply(s, 250, "2.0.0", "OK");
}

void verb_quit(struct session *s, const char *arg, size_t len)
{
	(void)arg;
	(void)len;
	session_reply(s, 221, "2.0.0", "Bye");
	session_finish(s, SESSION_QUIT);
}

static bool is_explained(const struct session *s, const struct command_verb *v)
{
	return v->syntax && session_knows(s, v) &&
	       ((v->flags & COMMAND_LISTED) || v->extension == 0 || session_offers_any(s, v->extension));
}

static void reply_supported(struct session *s, int code, const char *enhanced)
{
	struct buf text;

	buf_init(&text, SMTP_REPLY_TEXT_MAX - 1);
	buf_adds(&text, "Supported commands:");
	for (const struct command_verb *v = command_verbs; v->name; v++)
		if (is_explained(s, v) &&
		    v->run != verb_help) /* smtpd leaves it out: who reads this knows it */
			buf_addf(&text, " %s", v->name);
	session_reply(s, code, enhanced, "%s", text.data);
	buf_release(&text);
}

/* smtpd's words and codes, where RFC 5321 4.3.2 would have 214 and 504: scripts were written against them. */
void verb_help(struct session *s, const char *arg, size_t len)
{
	const struct command_verb *v;

	if (len == 0) {
		reply_supported(s, 250, "2.0.0");
		return;
	}
	v = hooks_find(s, arg, len);
	if (!v || !is_explained(s, v))
		reply_supported(s, 501, "5.5.4");
	else
		session_reply(s, 250, "2.0.0", "Syntax: %s%s", v->syntax,
			      (v->flags & COMMAND_PARAMETERS) && s->extended ? " [SP <mail-parameters>]"
									     : "");
}

/*
 * The header of a load balancer (version 1) that nobody told us of: the client behind it is not who seems to
 * speak, and may be a stranger where that may relay.
 */
void verb_proxy(struct session *s, const char *arg, size_t len)
{
	(void)arg;
	(void)len;
	session_reply(s, 421, "4.7.0",
		      "%s Error: a PROXY header is expected from those in proxy_protocol only",
		      s->cfg->hostname);
}

/*
 * A browser can be made to POST a form full of SMTP commands to any host and
 * port. The session ends here, before the body of the request is read.
 */
void verb_http(struct session *s, const char *arg, size_t len)
{
	(void)arg;
	(void)len;
	session_reply(s, 421, "4.7.0", "%s Error: this is SMTP, not HTTP", s->cfg->hostname);
}
