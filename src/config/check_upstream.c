/* SPDX-License-Identifier: ISC */
/* See check.h: the rules of an upstream's TLS, AUTH and the way there. One rule a function. */
#include <arpa/inet.h>
#include <string.h>

#include "config/check_internal.h"
#include "config/remote.h"
#include "smtp/extension.h"

#define MECHANISM(name) (1u << UPSTREAM_##name)

static const struct config_upstream *upstream_of(const struct check *c)
{
	return &c->cfg->upstream[c->index];
}

static bool is_verified(const struct config_upstream *u)
{
	return u->tls == UPSTREAM_TLS_REQUIRED || u->tls == UPSTREAM_TLS_IMPLICIT;
}

/* ---- TLS --------------------------------------------------------------------------------- */

/*
 * With less than required whoever sits in between leaves STARTTLS out: these would promise what they cannot
 * keep.
 */

static void ca_file_is_used(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);

	if (u->tls_ca_file && !is_verified(u))
		check_fail(c, "tls_ca_file has no effect: certificates are verified with tls = required or "
			      "implicit only");
	else if (u->tls_ca_file && u->tls_verify == UPSTREAM_VERIFY_PIN)
		check_fail(c, "tls_ca_file has no effect with tls_verify = pin");
}

static void pin_is_used(struct check *c)
{
	if (upstream_of(c)->tls_pin && !is_verified(upstream_of(c)))
		check_fail(c,
			   "tls_pin has no effect: keys are compared with tls = required or implicit only");
}

static void verify_has_a_pin(struct check *c)
{
	if (upstream_of(c)->tls_verify == UPSTREAM_VERIFY_PIN && !upstream_of(c)->tls_pin)
		check_fail(c, "tls_verify = pin needs a tls_pin: nothing would be verified");
}

static void min_version_is_used(struct check *c)
{
	if (upstream_of(c)->tls_min_version != UPSTREAM_TLS_MIN_AUTO && !is_verified(upstream_of(c)))
		check_fail(
			c,
			"tls_min_version has no effect: without tls = required or implicit the session would "
			"go on in the clear");
}

static void key_has_a_certificate(struct check *c)
{
	if (upstream_of(c)->tls_key && !upstream_of(c)->tls_cert)
		check_fail(c, "tls_key without tls_cert");
}

static void certificate_is_shown(struct check *c)
{
	if (upstream_of(c)->tls_cert && upstream_of(c)->tls == UPSTREAM_TLS_NONE)
		check_fail(c, "tls_cert has no effect with tls = none");
}

/* ---- AUTH -------------------------------------------------------------------------------- */

static void mechanisms_have_a_user(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);

	if (u->auth_mechanisms && u->auth_mechanisms != MECHANISM(EXTERNAL) && !u->user)
		check_fail(c, "auth_mechanisms without user");
}

/* RFC 4422 A: who we are is what our certificate says */
static void external_has_a_certificate(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);

	if (!(u->auth_mechanisms & MECHANISM(EXTERNAL)))
		return;
	if (u->auth_mechanisms != MECHANISM(EXTERNAL))
		check_fail(c, "auth_mechanisms: EXTERNAL stands alone: it uses the certificate, the others a "
			      "password");
	else if (!u->tls_cert)
		check_fail(c, "auth_mechanisms: EXTERNAL needs a tls_cert");
	else if (!is_verified(u))
		check_fail(c, "auth_mechanisms: EXTERNAL needs tls = required or implicit");
}

/* ---- the way there --------------------------------------------------------------------------- */

static void proxy_user_has_a_proxy(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);
	bool socks4 = u->proxy && strncmp(u->proxy, "socks4a:", 8) == 0;

	if (u->proxy_user && !u->proxy)
		check_fail(c, "proxy_user without proxy");
	else if (u->proxy_password_file && !u->proxy_user)
		check_fail(c, "proxy_password_file without proxy_user");
	else if (u->proxy_password_file && socks4)
		check_fail(c, "proxy_password_file: SOCKS 4a has no password");
	else if (u->proxy_user && !u->proxy_password_file && !socks4)
		check_fail(c, "proxy_user without proxy_password_file");
	else if (u->proxy_user && strlen(u->proxy_user) > 255)
		check_fail(c, "proxy_user is longer than 255 bytes"); /* RFC 1929 2 */
}

static void source_fits_the_family(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);
	const struct config_source *s = &u->source_address;

	if (u->address_family == UPSTREAM_FAMILY_IPV4 && s->ipv6)
		check_fail(c, "source_address \"%s\" is of IPv6, and address_family = ipv4", s->ipv6);
	if (u->address_family == UPSTREAM_FAMILY_IPV6 && s->ipv4)
		check_fail(c, "source_address \"%s\" is of IPv4, and address_family = ipv6", s->ipv4);
}

static bool allows(const struct config_upstream *u, int family)
{
	const struct config_source *s = &u->source_address;

	if (family == AF_INET)
		return u->address_family != UPSTREAM_FAMILY_IPV6 && (s->ipv4 || !s->ipv6);
	return u->address_family != UPSTREAM_FAMILY_IPV4 && (s->ipv6 || !s->ipv4);
}

/* Behind a proxy the family is that of the way to the proxy. */
static void remotes_fit_the_family(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);
	unsigned char address[16];

	for (size_t i = 0; i < u->remoteaddr_count && !u->proxy; i++) {
		const char *host = u->remoteaddr[i].endpoint.host;
		int family = inet_pton(AF_INET, host, address) == 1    ? AF_INET
			     : inet_pton(AF_INET6, host, address) == 1 ? AF_INET6
								       : AF_UNSPEC;

		if (family != AF_UNSPEC && !allows(u, family)) {
			check_fail(
				c,
				"remoteaddr %s can never be reached: address_family and source_address leave "
				"only %s",
				host, family == AF_INET ? "IPv6" : "IPv4");
			return;
		}
	}
}

/* The others are libcurl's or the server's business: each has a key of its own, or no meaning here. */
static void discarded_are_ours(struct check *c)
{
	const unsigned ours = SMTP_EXTENSION_BIT(SMTP_PIPELINING) | SMTP_EXTENSION_BIT(SMTP_SIZE) |
			      SMTP_EXTENSION_BIT(SMTP_8BITMIME) |
			      SMTP_EXTENSION_BIT(SMTP_ENHANCEDSTATUSCODES) | SMTP_EXTENSION_BIT(SMTP_DSN) |
			      SMTP_EXTENSION_BIT(SMTP_SMTPUTF8) | SMTP_EXTENSION_BIT(SMTP_REQUIRETLS) |
			      SMTP_EXTENSION_BIT(SMTP_CHUNKING) | SMTP_EXTENSION_BIT(SMTP_BINARYMIME) |
			      SMTP_EXTENSION_BIT(SMTP_DELIVERBY) | SMTP_EXTENSION_BIT(SMTP_LIMITS);
	const struct config_upstream *u = upstream_of(c);

	for (unsigned x = 0; x < SMTP_EXTENSION_COUNT; x++)
		if (u->discard_ehlo_keywords & ~ours & SMTP_EXTENSION_BIT(x))
			check_fail(c, "upstream \"%s\": discard_ehlo_keywords cannot have %s%s", u->name,
				   smtp_extension_names[x],
				   x == SMTP_STARTTLS ? ": say tls = none"
				   : x == SMTP_AUTH   ? ": leave user out"
						      : ", which no upstream is asked for");
}

/* ---- LMTP ------------------------------------------------------------------------------------ */

static const struct config_remote *lmtp_of(const struct config_upstream *u)
{
	for (size_t i = 0; i < u->remoteaddr_count; i++)
		if (u->remoteaddr[i].lmtp)
			return &u->remoteaddr[i];
	return NULL;
}

/* The session's beginning is ours there, and it knows neither (upstream/hello.h). */
static void lmtp_is_told_what_it_can(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);
	const struct config_remote *lmtp = lmtp_of(u);
	char text[ENDPOINT_TEXT_MAX];

	if (!lmtp)
		return;
	config_remote_format(lmtp, text);
	if (u->user || u->auth_mechanisms)
		check_fail(c, "user: there is no log-in with LMTP (%s)", text);
	else if (u->tls == UPSTREAM_TLS_OPPORTUNISTIC || u->tls == UPSTREAM_TLS_REQUIRED)
		check_fail(c, "tls: there is no STARTTLS with LMTP (%s): set tls = none or implicit", text);
	else if (u->tls == UPSTREAM_TLS_IMPLICIT && lmtp->endpoint.kind == ENDPOINT_UNIX)
		check_fail(c, "tls = implicit makes no sense on a local socket (%s)", text);
}

static void unix_has_no_way(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);
	const struct config_source *s = &u->source_address;
	char text[ENDPOINT_TEXT_MAX];

	for (size_t i = 0; i < u->remoteaddr_count; i++) {
		if (u->remoteaddr[i].endpoint.kind != ENDPOINT_UNIX ||
		    !(u->proxy || s->ipv4 || s->ipv6 || s->interface))
			continue;
		check_fail(c, "%s has no effect on a local socket (%s)",
			   u->proxy ? "proxy" : "source_address",
			   config_remote_format(&u->remoteaddr[i], text));
		return;
	}
}

const struct check_rule check_upstream_rules[] = {
	{ CONFIG_UPSTREAM, { "user", "auth_mechanisms", "tls", "remoteaddr" }, lmtp_is_told_what_it_can },
	{ CONFIG_UPSTREAM, { "proxy", "source_address", "remoteaddr" }, unix_has_no_way },
	{ CONFIG_UPSTREAM, { "discard_ehlo_keywords" }, discarded_are_ours },
	{ CONFIG_UPSTREAM, { "tls_ca_file", "tls_verify", "tls", "remoteaddr" }, ca_file_is_used },
	{ CONFIG_UPSTREAM, { "tls_pin", "tls", "remoteaddr" }, pin_is_used },
	{ CONFIG_UPSTREAM, { "tls_verify", "tls_pin" }, verify_has_a_pin },
	{ CONFIG_UPSTREAM, { "tls_min_version", "tls", "remoteaddr" }, min_version_is_used },
	{ CONFIG_UPSTREAM, { "tls_key", "tls_cert" }, key_has_a_certificate },
	{ CONFIG_UPSTREAM, { "tls_cert", "tls", "remoteaddr" }, certificate_is_shown },
	{ CONFIG_UPSTREAM, { "auth_mechanisms", "user" }, mechanisms_have_a_user },
	{ CONFIG_UPSTREAM,
	  { "auth_mechanisms", "tls_cert", "tls", "remoteaddr" },
	  external_has_a_certificate },
	{ CONFIG_UPSTREAM, { "proxy", "proxy_user", "proxy_password_file" }, proxy_user_has_a_proxy },
	{ CONFIG_UPSTREAM, { "source_address", "address_family" }, source_fits_the_family },
	{ CONFIG_UPSTREAM,
	  { "source_address", "address_family", "remoteaddr", "proxy" },
	  remotes_fit_the_family },
};
const size_t check_upstream_rule_count = sizeof(check_upstream_rules) / sizeof(check_upstream_rules[0]);
