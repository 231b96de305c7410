/* SPDX-License-Identifier: ISC */
/*
 * The session with an upstream: greeting, log-in, a message if one is to be sent. The first of these
 * checks has the relay's client make the session; all judge what was seen of it. See remote.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "doctor/remote.h"

#define REPLY_TEXT_MAX 2048

const char *doctor_remote_why(const struct doctor_remote *d, struct buf *out)
{
	const struct smtp_reply *reply = &d->dialogue.why.reply;

	buf_init(out, REPLY_TEXT_MAX);
	if (reply->code != 0)
		smtp_reply_oneline(reply, out);
	else
		buf_adds(out, reply->text);
	return out->data;
}

static int64_t shorter(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void doctor_remote_talk(struct doctor_remote *d)
{
	struct upstream_settings s;
	struct dialogue_plan plan = {
		.settings = &s, .message = d->message, .trace = d->trace, .ctx = d->ctx
	};

	if (d->talked)
		return;
	doctor_remote_settings(d, &s);
	s.connect_timeout_ms = shorter(s.connect_timeout_ms, d->timeout_ms);
	s.greeting_timeout_ms = shorter(s.greeting_timeout_ms, d->timeout_ms);
	s.command_timeout_ms = shorter(s.command_timeout_ms, d->timeout_ms);
	s.data_timeout_ms = shorter(s.data_timeout_ms, d->timeout_ms);
	s.block_timeout_ms = shorter(s.block_timeout_ms, d->timeout_ms);
	/* who gives up on the last answer may have sent a message all the same: the relay's own time */
	s.idle_timeout_ms = shorter(s.idle_timeout_ms, d->timeout_ms);
	d->world->talk(d->world->ctx, &plan, &d->dialogue);
	d->talked = true;
}

void doctor_remote_failed(const struct doctor_remote *d, struct findings *f)
{
	struct buf why;

	finding_add(f, FINDING_FAILED, "%s", doctor_remote_why(d, &why));
	buf_release(&why);
}

bool doctor_advise_by(struct findings *f, const struct doctor_phrase *table, const char *reason)
{
	for (; table->text; table++) {
		if (!strcasestr(reason, table->text))
			continue;
		finding_advise(f, "%s", table->advice);
		return true;
	}
	return false;
}

/* ---- greeting -------------------------------------------------------------------------- */

static void advise_silence(const struct doctor_remote *d, struct findings *f)
{
	if (d->remote->endpoint.port == 465 && d->upstream->tls != UPSTREAM_TLS_IMPLICIT)
		finding_advise(f, "on port 465 TLS begins with the first byte: tls = implicit");
	else
		finding_advise(f, "is that an SMTP server (some wait for TLS first: tls = implicit), and "
				  "does it take this machine?");
}

void check_greeting(void *subject, struct findings *f)
{
	struct doctor_remote *d = subject;
	const struct dialogue *g = &d->dialogue;
	const char *greeting;

	doctor_remote_talk(d);
	greeting = dialogue_greeting(g);
	if (greeting && strncmp(greeting, "220", 3) == 0) {
		finding_add(f, FINDING_OK, "%s", greeting);
		return;
	}
	if (greeting) {
		finding_add(f, FINDING_FAILED, "%s", greeting);
		finding_advise(f,
			       "it does not want mail from this address now: ask its operator what it takes");
		return;
	}
	if (!g->ready && g->why.phase == UPSTREAM_TLS_HANDSHAKE) {
		finding_add(f, FINDING_SKIPPED,
			    "not reached: with tls = implicit TLS comes first, and failed");
		return;
	}
	doctor_remote_failed(d, f);
	advise_silence(d, f);
}

/* ---- log-in ---------------------------------------------------------------------------- */

static const struct doctor_phrase auth_phrases[] = {
	{ "offers no AUTH", "it may offer it on another port (587), or only with TLS; or no user is needed" },
	{ "SmtpClientAuthentication is disabled",
	  "SMTP AUTH is switched off for that tenant or mailbox: https://aka.ms/smtp_auth_disabled" },
	{ "basic authentication is disabled", "it takes OAuth 2 only: oauth = ... instead of a password" },
	{ "Application-specific password",
	  "make a password for this program in the account's settings, and use that" },
	{ "534", "make a password for this program in the account's settings, and use that" },
	{ "535", "it knows user and password otherwise: are both right, is the account open, does it want a "
		 "password made for programs?" },
	{ "538", "that mechanism needs TLS: tls = required" },
	{ "530", "it wants TLS first: tls = required" },
	{ "504", "it does not do that mechanism" },
	{ "454", "that is temporary: try again later" },
	{ "421", "that is temporary: try again later" },
	{ NULL, NULL },
};

/* "AUTH PLAIN ***": the mechanism */
static void mechanism(const struct dialogue *g, char *out, size_t cap)
{
	const char *line;

	out[0] = '\0';
	if (dialogue_said(g, "AUTH ", &line))
		snprintf(out, cap, " with %.*s", (int)strcspn(line + 5, " "), line + 5);
}

/* The reason why no log-in could be tried, or NULL. */
static const char *cannot_log_in(const struct doctor_remote *d)
{
	if (!d->secrets)
		return d->secrets_error;
	return d->upstream->oauth != OAUTH_NONE && !d->token ? "there is no valid token" : NULL;
}

/* By its user, or by its certificate. */
static bool logs_in(const struct doctor_remote *d)
{
	return d->upstream->user || (d->upstream->auth_mechanisms & (1u << UPSTREAM_EXTERNAL));
}

void check_auth(void *subject, struct findings *f)
{
	const struct doctor_remote *d = subject;
	const struct dialogue *g = &d->dialogue;
	struct buf why;
	char how[64];

	mechanism(g, how, sizeof(how));
	if (!g->ready && g->why.phase != UPSTREAM_AUTH) {
		finding_add(f, FINDING_SKIPPED, "not reached: %s failed",
			    g->why.phase == UPSTREAM_TLS_HANDSHAKE ? "tls" : "ehlo");
		return;
	}
	if (!logs_in(d)) {
		finding_add(f, FINDING_OK, "no user is configured%s",
			    dialogue_announced(g, false, "AUTH") ? ", though it offers AUTH" : "");
	} else if (cannot_log_in(d)) {
		finding_add(f, FINDING_SKIPPED, "not tried: %s", cannot_log_in(d));
	} else if (g->ready) {
		finding_add(f, FINDING_OK, "logged in as \"%s\"%s",
			    d->upstream->user ? d->upstream->user : "the certificate's name", how);
	} else {
		doctor_remote_failed(d, f);
		doctor_advise_by(f, auth_phrases, doctor_remote_why(d, &why));
		buf_release(&why);
	}
}

/* ---- a message ------------------------------------------------------------------------- */

static const struct doctor_phrase send_phrases[] = {
	{ "530", "it wants a log-in: user and password_file" },
	{ "authenticat", "it wants a log-in: user and password_file" },
	{ "SendAsDenied",
	  "that account may not send as this sender: --from its own address, or grant it the right" },
	{ "not verified", "the sender, or its domain, has to be verified with the provider first; or name "
			  "another one with --from" },
	{ "sender", "it does not take mail from this sender: name another one with --from" },
	{ "relay", "it does not relay for this machine or user: ask its operator" },
	{ NULL, NULL },
};

static void not_sent(const struct dialogue *g, struct findings *f)
{
	const char *step = g->outcome.phase == UPSTREAM_MAIL   ? "MAIL"
			   : g->outcome.phase == UPSTREAM_RCPT ? "RCPT"
			   : g->outcome.phase == UPSTREAM_DATA ? "DATA"
							       : "the message";
	struct buf text;

	buf_init(&text, REPLY_TEXT_MAX);
	if (g->outcome.reply.code)
		smtp_reply_oneline(&g->outcome.reply, &text);
	else
		buf_adds(&text, g->outcome.reply.text);
	if (g->outcome.how == UPSTREAM_NO_ANSWER && g->outcome.phase == UPSTREAM_FINAL_DOT) {
		finding_add(f, FINDING_FAILED,
			    "the test message was sent, but its answer is missing (%s): it may have been "
			    "accepted",
			    text.data);
	} else {
		finding_add(f, FINDING_FAILED, "the test message was not taken, at %s: %s", step, text.data);
		doctor_advise_by(f, send_phrases, text.data);
	}
	buf_release(&text);
}

void check_send(void *subject, struct findings *f)
{
	const struct doctor_remote *d = subject;
	const struct dialogue *g = &d->dialogue;
	struct buf text;

	if (!g->sent) {
		finding_add(f, FINDING_SKIPPED, "not reached: no test message was sent");
		return;
	}
	if (g->outcome.how != UPSTREAM_ANSWERED || g->outcome.phase != UPSTREAM_FINAL_DOT ||
	    !smtp_reply_is_positive(&g->outcome.reply)) {
		not_sent(g, f);
		return;
	}
	buf_init(&text, REPLY_TEXT_MAX);
	smtp_reply_oneline(&g->outcome.reply, &text);
	finding_add(f, FINDING_OK, "a test message from <%s> to <%s> was taken: %s", d->message->env.sender,
		    d->message->env.rcpt[0].address, text.data);
	buf_release(&text);
	finding_advise(f, "look whether it arrives, and what its header says of spam and signatures");
}
