/* SPDX-License-Identifier: ISC */
/*
 * The session with an upstream: greeting, encryption, log-in, a message if one is to be sent. The first of these
 * checks has the relay's client make the session; all judge what was seen of it. See remote.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/client.h"
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

static void talk(struct doctor_remote *d)
{
	const struct config_client_secrets secrets = { .password = (char *)d->password };
	struct upstream_settings s;
	struct dialogue_plan plan = { .settings = &s, .message = d->message, .trace = d->trace, .ctx = d->ctx };

	if (d->talked)
		return;
	config_client_settings(&s, d->cfg, d->upstream, d->remote, &secrets);
	if (!d->password)
		s.user = NULL; /* check_auth says why */
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

static void failed(const struct doctor_remote *d, struct findings *f, const char *beginning)
{
	struct buf why;

	finding_add(f, FINDING_FAILED, "%s%s", beginning, doctor_remote_why(d, &why));
	buf_release(&why);
}

/* A phrase of a reason, and what to do about it: the first that is found. */
struct phrase {
	const char *text, *advice;
};

static bool advise_by(struct findings *f, const struct phrase *table, size_t count, const char *reason)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcasestr(reason, table[i].text))
			continue;
		finding_advise(f, "%s", table[i].advice);
		return true;
	}
	return false;
}
#define ADVISE_BY(f, table, reason) advise_by(f, table, sizeof(table) / sizeof(table[0]), reason)

/* ---- greeting -------------------------------------------------------------------------- */

static void advise_silence(const struct doctor_remote *d, struct findings *f)
{
	if (d->remote->endpoint.port == 465 && d->upstream->tls != UPSTREAM_TLS_IMPLICIT)
		finding_advise(f, "on port 465 TLS begins with the first byte: tls = implicit");
	else
		finding_advise(f, "is that an SMTP server (some wait for TLS first: tls = implicit), and does it take this machine?");
}

void check_greeting(void *subject, struct findings *f)
{
	struct doctor_remote *d = subject;
	const struct dialogue *g = &d->dialogue;
	const char *greeting;

	talk(d);
	greeting = dialogue_greeting(g);
	if (greeting && strncmp(greeting, "220", 3) == 0) {
		finding_add(f, FINDING_OK, "%s", greeting);
		return;
	}
	if (greeting) {
		finding_add(f, FINDING_FAILED, "%s", greeting);
		finding_advise(f, "it does not want mail from this address now: ask its operator what it takes");
		return;
	}
	if (!g->ready && g->why.phase == UPSTREAM_TLS_HANDSHAKE) {
		finding_add(f, FINDING_SKIPPED, "not reached: with tls = implicit TLS comes first, and failed");
		return;
	}
	failed(d, f, "");
	advise_silence(d, f);
}

/* ---- encryption ------------------------------------------------------------------------ */

static const struct phrase tls_phrases[] = {
	{ "offers no STARTTLS", "is it the right port (587, 465 with tls = implicit)? A firewall may take STARTTLS away. Only inside "
				"of a trusted network: tls = none" },
	{ "certificate has expired", "its operator has to renew the certificate; is this machine's clock right?" },
	{ "not yet valid", "is this machine's clock right?" },
	{ "subject name", "write into remoteaddr the name that the certificate is for" },
	{ "does not match", "write into remoteaddr the name that the certificate is for" },
	{ "self-signed certificate in certificate chain", "if it is an authority of your own, name its certificate: tls_ca_file" },
	{ "self-signed", "name that certificate (tls_ca_file), or pin its key, if it is the one you expect" },
	{ "self signed", "name that certificate (tls_ca_file), or pin its key, if it is the one you expect" },
	{ "unable to get local issuer", "its authority is not trusted here: install the package ca-certificates, or name the "
					"authority's certificate with tls_ca_file; or the server leaves out a certificate in between" },
	{ "unable to get issuer", "the server leaves out a certificate in between, or its authority is not trusted here" },
	{ "CAfile", "the file of tls_ca_file cannot be used" },
	{ "CA cert", "the file of tls_ca_file cannot be used" },
	{ "too small", "its key is too weak: its operator has to make a new one" },
	{ "too weak", "its key or signature is too weak: its operator has to make a new one" },
	{ "wrong version number", "there is no TLS on that port from the first byte: tls = required uses STARTTLS" },
	{ "unsupported protocol", "it speaks only old versions of TLS: tls_min_version, if that must be" },
	{ "protocol version", "it speaks only old versions of TLS: tls_min_version, if that must be" },
	{ "handshake failure", "there is no version or cipher of TLS that both sides do" },
};

static void not_encrypted(const struct doctor_remote *d, struct findings *f)
{
	bool offered = dialogue_announced(&d->dialogue, true, "STARTTLS") != NULL;

	if (doctor_remote_is_near(d)) {
		finding_add(f, FINDING_OK, "not encrypted; it does not leave this machine");
		return;
	}
	if (d->upstream->tls == UPSTREAM_TLS_NONE)
		finding_add(f, FINDING_WARNING, "not encrypted (tls = none): who sits in between reads and changes the mail");
	else if (offered)
		finding_add(f, FINDING_WARNING, "not encrypted: the handshake failed, and tls = opportunistic goes on without");
	else
		finding_add(f, FINDING_WARNING, "not encrypted: it offers no STARTTLS, and tls = opportunistic goes on without");
	finding_advise(f, offered ? "it offers STARTTLS: tls = required" : "a smarthost mostly has TLS on port 587 (tls = required) or 465 (implicit)");
}

static void encrypted(const struct doctor_remote *d, struct findings *f)
{
	if (d->upstream->tls == UPSTREAM_TLS_OPPORTUNISTIC && !doctor_remote_is_near(d)) {
		finding_add(f, FINDING_WARNING, "encrypted, but its certificate is not verified (tls = opportunistic): who sits in between can read along");
		finding_advise(f, "tls = required");
	} else if (d->upstream->tls == UPSTREAM_TLS_OPPORTUNISTIC) {
		finding_add(f, FINDING_OK, "encrypted; its certificate is not verified (tls = opportunistic)");
	} else {
		finding_add(f, FINDING_OK, "encrypted, and its certificate is verified");
	}
}

void check_tls(void *subject, struct findings *f)
{
	struct doctor_remote *d = subject;
	const struct dialogue *g = &d->dialogue;
	bool wanted = d->upstream->tls == UPSTREAM_TLS_REQUIRED || d->upstream->tls == UPSTREAM_TLS_IMPLICIT;
	struct buf why;

	talk(d);
	if (!g->ready && g->why.phase == UPSTREAM_TLS_HANDSHAKE) {
		failed(d, f, "");
		if (!ADVISE_BY(f, tls_phrases, doctor_remote_why(d, &why)))
			finding_advise(f, "openssl s_client -connect %s:%u%s shows the handshake", d->remote->endpoint.host,
				       (unsigned)d->remote->endpoint.port,
				       d->upstream->tls == UPSTREAM_TLS_IMPLICIT ? "" : " -starttls smtp");
		buf_release(&why);
		return;
	}
	/* AUTH comes behind it */
	if (g->ready ? g->features.tls : wanted && g->why.phase == UPSTREAM_AUTH)
		encrypted(d, f);
	else if (g->ready)
		not_encrypted(d, f);
	else
		finding_add(f, FINDING_SKIPPED, "not reached");
}

/* ---- log-in ---------------------------------------------------------------------------- */

static const struct phrase auth_phrases[] = {
	{ "offers no AUTH", "it may offer it on another port (587), or only with TLS; or no user is needed" },
	{ "SmtpClientAuthentication is disabled", "SMTP AUTH is switched off for that tenant or mailbox: https://aka.ms/smtp_auth_disabled" },
	{ "basic authentication is disabled", "it takes OAuth 2 only: oauth = ... instead of a password" },
	{ "Application-specific password", "make a password for this program in the account's settings, and use that" },
	{ "534", "make a password for this program in the account's settings, and use that" },
	{ "535", "it knows user and password otherwise: are both right, is the account open, does it want a password made for programs?" },
	{ "538", "that mechanism needs TLS: tls = required" },
	{ "530", "it wants TLS first: tls = required" },
	{ "504", "it does not do that mechanism" },
	{ "454", "that is temporary: try again later" },
	{ "421", "that is temporary: try again later" },
};

/* "AUTH PLAIN ***": the mechanism */
static void mechanism(const struct dialogue *g, char *out, size_t cap)
{
	const char *line;

	out[0] = '\0';
	if (dialogue_said(g, "AUTH ", &line))
		snprintf(out, cap, " with %.*s", (int)strcspn(line + 5, " "), line + 5);
}

static void without_user(const struct doctor_remote *d, struct findings *f)
{
	if (d->upstream->password_file && d->password_error) {
		finding_add(f, FINDING_SKIPPED, "not tried: %s", d->password_error);
		return;
	}
	finding_add(f, FINDING_OK, "no user is configured%s",
		    dialogue_announced(&d->dialogue, false, "AUTH") ? ", though it offers AUTH" : "");
}

void check_auth(void *subject, struct findings *f)
{
	const struct doctor_remote *d = subject;
	const struct dialogue *g = &d->dialogue;
	struct buf why;
	char how[64];

	mechanism(g, how, sizeof(how));
	if (!g->ready && g->why.phase != UPSTREAM_AUTH) {
		finding_add(f, FINDING_SKIPPED, "not reached");
		return;
	}
	if (!d->password) {
		without_user(d, f);
	} else if (g->ready) {
		finding_add(f, FINDING_OK, "logged in as \"%s\"%s", d->upstream->user, how);
	} else {
		failed(d, f, "");
		ADVISE_BY(f, auth_phrases, doctor_remote_why(d, &why));
		buf_release(&why);
	}
}

/* ---- a message ------------------------------------------------------------------------- */

static const struct phrase send_phrases[] = {
	{ "530", "it wants a log-in: user and password_file" },
	{ "authenticat", "it wants a log-in: user and password_file" },
	{ "SendAsDenied", "that account may not send as this sender: --from its own address, or grant it the right" },
	{ "not verified", "the sender, or its domain, has to be verified with the provider first; or name another one with --from" },
	{ "sender", "it does not take mail from this sender: name another one with --from" },
	{ "relay", "it does not relay for this machine or user: ask its operator" },
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
		finding_add(f, FINDING_FAILED, "the test message was sent, but its answer is missing (%s): it may have been accepted", text.data);
	} else {
		finding_add(f, FINDING_FAILED, "the test message was not taken, at %s: %s", step, text.data);
		ADVISE_BY(f, send_phrases, text.data);
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
