/* SPDX-License-Identifier: ISC */
/* See remote.h. The table, and the way to the upstream: names and connections. */
#include "doctor/remote.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "config/options.h"
#include "config/secret.h"

static bool has_oauth(const void *subject)
{
	return ((const struct doctor_remote *)subject)->upstream->oauth != OAUTH_NONE;
}

static bool has_message(const void *subject)
{
	return ((const struct doctor_remote *)subject)->message != NULL;
}

const struct doctor_check doctor_remote_checks[] = {
	{ "settings", NULL, NULL, check_settings },      { "token", NULL, has_oauth, check_token },
	{ "resolve", NULL, NULL, check_resolve },        { "connect", "resolve", NULL, check_connect },
	{ "greeting", "connect", NULL, check_greeting }, { "tls", "connect", NULL, check_tls },
	{ "ehlo", "greeting", NULL, check_ehlo },        { "auth", "greeting", NULL, check_auth },
	{ "send", "greeting", has_message, check_send },
};
const size_t doctor_remote_check_count = sizeof(doctor_remote_checks) / sizeof(doctor_remote_checks[0]);

void doctor_remote_release(struct doctor_remote *d)
{
	if (d->talked)
		dialogue_release(&d->dialogue);
	secret_free(d->token);
	d->token = NULL;
}

static const char *token_of(void *token)
{
	return token;
}

void doctor_remote_settings(const struct doctor_remote *d, struct upstream_settings *s)
{
	static const struct config_client_secrets none;
	bool oauth = d->upstream->oauth != OAUTH_NONE;

	config_client_settings(s, d->cfg, d->upstream, d->remote, d->secrets ? d->secrets : &none);
	if (oauth) {
		s->bearer = token_of;
		s->bearer_ctx = d->token;
	}
	if (d->secrets && (!oauth || d->token))
		return;
	/* without what is needed for it there is no log-in; check_auth says why */
	s->user = NULL;
	s->mechanisms = 0;
	s->bearer = NULL;
}

/* What can be wrong with them without asking anybody: certificate and key, pins, what libcurl can do. */
void check_settings(void *subject, struct findings *f)
{
	const struct doctor_remote *d = subject;
	struct upstream_settings s;
	struct err e;

	if (!d->secrets) {
		finding_add(f, FINDING_WARNING, "%s", d->secrets_error);
		finding_advise(f, "without it there is no log-in below; the secrets of this machine are "
				  "looked at with --local");
		return;
	}
	doctor_remote_settings(d, &s);
	if (upstream_settings_check(&s, &e) < 0) {
		finding_add(f, FINDING_FAILED, "%s", e.text);
		return;
	}
	finding_add(f, FINDING_OK, "%s%s%s", d->upstream->preset ? "preset " : "",
		    d->upstream->preset ? d->upstream->preset : "complete",
		    d->upstream->proxy ? ", through a proxy" : "");
}

/* Where the connection goes: there, or to the proxy. */
static int first_stop(const struct doctor_remote *d, struct endpoint *ep, const char **what, struct err *e)
{
	const char *at;

	*ep = d->remote->endpoint;
	*what = "";
	if (!d->upstream->proxy)
		return 0;
	*what = "proxy ";
	at = strstr(d->upstream->proxy, "://");
	return endpoint_parse(at ? at + 3 : d->upstream->proxy, -1, ep, e);
}

/* address_family leaves out the others. */
static void keep_family(struct doctor_remote *d)
{
	int wanted = d->upstream->address_family == UPSTREAM_FAMILY_IPV4 ? AF_INET : AF_INET6;
	size_t kept = 0;

	if (d->upstream->address_family == UPSTREAM_FAMILY_ANY)
		return;
	for (size_t i = 0; i < d->address_count; i++)
		if (d->address[i].address.ss_family == wanted)
			d->address[kept++] = d->address[i];
	d->address_count = kept;
}

bool doctor_remote_is_near(const struct doctor_remote *d)
{
	return config_is_loopback(&d->remote->endpoint);
}

static bool is_number(const struct doctor_address *a, const char *host)
{
	char text[DOCTOR_ADDRESS_TEXT_MAX];
	size_t len = strlen(host);

	doctor_address_format(a, text);
	return strncmp(text + (text[0] == '['), host, len) == 0;
}

void check_resolve(void *subject, struct findings *f)
{
	struct doctor_remote *d = subject;
	int64_t began = clock_mono_ms();
	char one[DOCTOR_ADDRESS_TEXT_MAX];
	struct endpoint ep;
	const char *what;
	struct buf all;
	struct err e;

	if (d->remote->endpoint.kind == ENDPOINT_UNIX) {
		finding_add(f, FINDING_OK, "a local socket needs no look-up");
		return;
	}
	if (first_stop(d, &ep, &what, &e) < 0) {
		finding_add(f, FINDING_FAILED, "%s%s", what, e.text);
		return;
	}
	if (d->world->resolve(d->world->ctx, ep.host, ep.port, d->timeout_ms, d->address, &d->address_count,
			      &e) < 0) {
		finding_add(f, FINDING_FAILED, "%s%s", what, e.text);
		finding_advise(f,
			       "is the name right, and does this machine resolve others (/etc/resolv.conf)? "
			       "`getent ahosts %s` asks the same way",
			       ep.host);
		return;
	}
	keep_family(d);
	if (d->address_count == 0) {
		finding_add(f, FINDING_FAILED, "%s%s has no address%s", what, ep.host,
			    d->upstream->address_family == UPSTREAM_FAMILY_ANY ? ""
									       : " of that address_family");
		return;
	}
	if (d->address_count == 1 && is_number(&d->address[0], ep.host)) {
		finding_add(f, FINDING_OK, "%s%s needs no look-up", what, ep.host);
		return;
	}
	buf_init(&all, FINDING_TEXT_MAX);
	for (size_t i = 0; i < d->address_count; i++) {
		doctor_address_format(&d->address[i], one);
		*strrchr(one, ':') = '\0'; /* the port */
		buf_addf(&all, "%s%s", i ? ", " : "", one);
	}
	finding_add(f, FINDING_OK, "%s%s is %s (%lld ms)", what, ep.host, all.data,
		    (long long)(clock_mono_ms() - began));
	buf_release(&all);
}

static const struct {
	int os_error;
	const char *advice;
} connect_advice[] = {
	{ ECONNREFUSED, "nothing listens on that port: is it the right one (587, 465, 25)?" },
	{ ETIMEDOUT, "a firewall, here or there, drops it; many networks block port 25: try 587 or 465" },
	{ ENETUNREACH, "this machine has no route there; without IPv6 set address_family = ipv4" },
	{ EHOSTUNREACH, "that host cannot be reached from here: routing, or a firewall" },
	{ EACCES, "a firewall of this machine forbids it" },
	{ EPERM, "a firewall of this machine forbids it" },
	{ EAFNOSUPPORT, "this machine does not do that kind of address" },
};

static void advise_connect(struct findings *f, int os_error, const char *proxy, bool lmtp)
{
	if (proxy &&
	    (os_error == ECONNREFUSED || os_error == ETIMEDOUT)) { /* ports of mail are not its own */
		finding_advise(f, "that is the proxy: does it run, and is it %s (proxy)?", proxy);
		return;
	}
	if (lmtp && os_error == ECONNREFUSED) {
		finding_advise(f, "nothing listens on that port: does the server run, and its LMTP service?");
		return;
	}
	for (size_t i = 0; i < sizeof(connect_advice) / sizeof(connect_advice[0]); i++)
		if (connect_advice[i].os_error == os_error)
			finding_advise(f, "%s", connect_advice[i].advice);
}

void check_connect(void *subject, struct findings *f)
{
	struct doctor_remote *d = subject;
	bool good[DOCTOR_ADDRESSES_MAX] = { false };
	struct err e[DOCTOR_ADDRESSES_MAX];
	int64_t took[DOCTOR_ADDRESSES_MAX];
	char at[DOCTOR_ADDRESS_TEXT_MAX];
	bool any = false;

	if (d->upstream->source_address.ipv4 || d->upstream->source_address.ipv6 ||
	    d->upstream->source_address.interface) {
		finding_add(f, FINDING_OK, "tried with the session, from source_address");
		return;
	}
	if (d->remote->endpoint.kind == ENDPOINT_UNIX) {
		finding_add(f, FINDING_OK, "tried with the session, at %s", d->remote->endpoint.path);
		return;
	}
	for (size_t i = 0; i < d->address_count; i++) {
		int64_t began = clock_mono_ms();

		good[i] =
			d->world->connect(d->world->ctx, &d->address[i], d->timeout_ms, NULL, 0, &e[i]) == 0;
		took[i] = clock_mono_ms() - began;
		any = any || good[i];
	}
	for (size_t i = 0; i < d->address_count; i++) {
		doctor_address_format(&d->address[i], at);
		if (good[i]) {
			finding_add(f, FINDING_OK, "%s in %lld ms", at, (long long)took[i]);
			continue;
		}
		/* the client goes on to the next address, which costs time and no mail */
		finding_add(f, any ? FINDING_WARNING : FINDING_FAILED, "%s: %s", at, e[i].text);
		advise_connect(f, e[i].os_error, d->upstream->proxy, d->remote->lmtp);
	}
}
