/* SPDX-License-Identifier: ISC */
/* How a session with an upstream is encrypted, with which certificates, and why not. See remote.h. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "doctor/remote.h"

static const struct doctor_phrase tls_phrases[] = {
	{ "offers no STARTTLS", "is it the right port (587, 465 with tls = implicit)? A firewall may take "
				"STARTTLS away. Only inside "
				"of a trusted network: tls = none" },
	{ "certificate has expired",
	  "its operator has to renew the certificate; is this machine's clock right?" },
	{ "not yet valid", "is this machine's clock right?" },
	{ "not for the host name", "write into remoteaddr the name that the certificate is for" },
	{ "subject name", "write into remoteaddr the name that the certificate is for" },
	{ "does not match", "write into remoteaddr the name that the certificate is for" },
	{ "self-signed certificate in certificate chain",
	  "if it is an authority of your own, name its certificate: tls_ca_file" },
	{ "self-signed", "name that certificate (tls_ca_file), or pin its key, if it is the one you expect" },
	{ "self signed", "name that certificate (tls_ca_file), or pin its key, if it is the one you expect" },
	{ "unable to get local issuer",
	  "its authority is not trusted here: install the package ca-certificates, or name the "
	  "authority's certificate with tls_ca_file; or the server leaves out a certificate in between" },
	{ "unable to get issuer",
	  "the server leaves out a certificate in between, or its authority is not trusted here" },
	{ "CAfile", "the file of tls_ca_file cannot be used" },
	{ "CA cert", "the file of tls_ca_file cannot be used" },
	{ "too small", "its key is too weak: its operator has to make a new one" },
	{ "too weak", "its key or signature is too weak: its operator has to make a new one" },
	{ "wrong version number",
	  "there is no TLS on that port from the first byte: tls = required uses STARTTLS" },
	{ "unsupported protocol", "it speaks only old versions of TLS: tls_min_version, if that must be" },
	{ "protocol version", "it speaks only old versions of TLS: tls_min_version, if that must be" },
	{ "handshake failure", "there is no version or cipher of TLS that both sides do" },
	{ NULL, NULL },
};

static void not_encrypted(const struct doctor_remote *d, struct findings *f)
{
	bool offered = dialogue_announced(&d->dialogue, true, "STARTTLS") != NULL;

	if (doctor_remote_is_near(d)) {
		finding_add(f, FINDING_OK, "not encrypted; it does not leave this machine");
		return;
	}
	if (d->upstream->tls == UPSTREAM_TLS_NONE)
		finding_add(f, FINDING_WARNING,
			    "not encrypted (tls = none): who sits in between reads and changes the mail");
	else if (offered)
		finding_add(f, FINDING_WARNING,
			    "not encrypted: the handshake failed, and tls = opportunistic goes on without");
	else
		finding_add(f, FINDING_WARNING,
			    "not encrypted: it offers no STARTTLS, and tls = opportunistic goes on without");
	if (d->remote->lmtp) {
		finding_advise(
			f, "tls = implicit, if that server has it; else a tunnel, or a network of your own");
		return;
	}
	finding_advise(f,
		       offered ? "it offers STARTTLS: tls = required"
			       : "a smarthost mostly has TLS on port 587 (tls = required) or 465 (implicit)");
}

#define DAY_US INT64_C(86400000000)
#define EXPIRY_WARNING_US (14 * DAY_US)

/* One certificate of the chain, for people: who, by whom, how strong, how long. */
static void certificate(const struct doctor_remote *d, struct findings *f, size_t i)
{
	const struct upstream_certificate *c = &d->dialogue.tls.chain[i];
	int64_t now = d->world->now_wall_us(d->world->ctx), left = c->not_after_wall_us - now;
	/* what does not keep mail from going is no failure */
	enum finding_level bad = d->dialogue.tls.verified != UPSTREAM_NOT_VERIFIED ? FINDING_WARNING
				 : d->dialogue.ready                               ? FINDING_WARNING
										   : FINDING_FAILED;
	enum finding_level level = left <= 0 || c->not_before_wall_us > now ? bad
				   : left < EXPIRY_WARNING_US               ? FINDING_WARNING
									    : FINDING_OK;
	char until[CLOCK_UTC_MAX], since[CLOCK_UTC_MAX];

	clock_format_utc(c->not_after_wall_us, until);
	clock_format_utc(c->not_before_wall_us, since);
	until[10] = since[10] = '\0'; /* the dates */
	finding_add(f, level, "certificate %zu: %s%s%s%s, by %s, %s, %s, valid from %s to %s (%s%lld days)",
		    i + 1, c->subject, c->names[0] ? " (" : "", c->names, c->names[0] ? ")" : "", c->issuer,
		    c->key, c->signature, since, until, left < 0 ? "over since " : "",
		    (long long)((left < 0 ? -left : left) / DAY_US));
	if (left <= 0)
		finding_advise(f, "its operator has to renew it; is this machine's clock right?");
	else if (c->not_before_wall_us > now)
		finding_advise(f, "is this machine's clock right?");
	else if (left < EXPIRY_WARNING_US)
		finding_advise(f, "its operator should renew it soon: then mail waits, if it is verified");
}

static void session_facts(const struct doctor_remote *d, struct findings *f)
{
	const struct upstream_tls_info *t = &d->dialogue.tls;

	if (!d->dialogue.has_tls)
		return;
	if (t->version[0] && (strcmp(t->version, "TLSv1") == 0 || strcmp(t->version, "TLSv1.0") == 0 ||
			      strcmp(t->version, "TLSv1.1") == 0 || strncmp(t->version, "SSL", 3) == 0)) {
		finding_add(f, FINDING_WARNING, "%s, %s: that version is old and no longer safe (RFC 8996)",
			    t->version, t->cipher);
		finding_advise(f, "its operator has to bring it up to date");
	} else if (t->version[0]) {
		finding_add(f, FINDING_OK, "%s, %s", t->version, t->cipher);
	}
	for (size_t i = 0; i < t->chain_count; i++)
		certificate(d, f, i);
	if (t->chain_count > 0)
		finding_add(f, FINDING_OK, "its key, as tls_pin takes it: %s", t->chain[0].pin);
}

static void encrypted(const struct doctor_remote *d, struct findings *f)
{
	if (d->upstream->tls == UPSTREAM_TLS_OPPORTUNISTIC && !doctor_remote_is_near(d)) {
		finding_add(f, FINDING_WARNING,
			    "encrypted, but its certificate is not verified (tls = opportunistic): who sits "
			    "in between can read along");
		finding_advise(f, "tls = required");
	} else if (d->upstream->tls == UPSTREAM_TLS_OPPORTUNISTIC) {
		finding_add(f, FINDING_OK,
			    "encrypted; its certificate is not verified (tls = opportunistic)");
	} else if (d->dialogue.tls.verified == UPSTREAM_VERIFIED_PIN) {
		finding_add(f, FINDING_OK, "encrypted, and its key is the pinned one");
	} else {
		finding_add(f, FINDING_OK, "encrypted, and its certificate is verified");
	}
	session_facts(d, f);
}

void check_tls(void *subject, struct findings *f)
{
	struct doctor_remote *d = subject;
	const struct dialogue *g = &d->dialogue;
	bool wanted = d->upstream->tls == UPSTREAM_TLS_REQUIRED || d->upstream->tls == UPSTREAM_TLS_IMPLICIT;
	struct buf why;

	doctor_remote_talk(d);
	if (!g->ready && g->why.phase == UPSTREAM_TLS_HANDSHAKE) {
		doctor_remote_failed(d, f);
		doctor_remote_why(d, &why);
		if (g->why.how == UPSTREAM_ANSWERED)
			finding_advise(f, "it offers STARTTLS and refuses it: its certificate or set-up is "
					  "out of order, which its operator has to see to");
		else if (!doctor_advise_by(f, tls_phrases, why.data))
			finding_advise(f, "openssl s_client -connect %s:%u%s shows the handshake",
				       d->remote->endpoint.host, (unsigned)d->remote->endpoint.port,
				       d->upstream->tls == UPSTREAM_TLS_IMPLICIT ? "" : " -starttls smtp");
		buf_release(&why);
		session_facts(d, f);
		return;
	}
	/* AUTH comes behind it */
	if (g->ready ? g->features.tls : wanted && g->why.phase == UPSTREAM_AUTH)
		encrypted(d, f);
	else if (g->ready)
		not_encrypted(d, f);
	else
		finding_add(f, FINDING_SKIPPED, "not reached: %s failed",
			    dialogue_said_hello(g) ? "ehlo" : "greeting");
}
