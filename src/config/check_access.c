/* SPDX-License-Identifier: ISC */
/* See check.h: who may relay, and that nobody else may by accident. One rule a function. */
#include <string.h>
#include <sys/socket.h>

#include "config/check_internal.h"

static bool net_within(const struct cidr *net, const struct cidr *outer)
{
	unsigned bytes = outer->prefix_bits / 8, rest = outer->prefix_bits % 8;

	if (net->family != outer->family || net->prefix_bits < outer->prefix_bits)
		return false;
	if (memcmp(net->address, outer->address, bytes) != 0)
		return false;
	return rest == 0 || ((net->address[bytes] ^ outer->address[bytes]) >> (8 - rest)) == 0;
}

/* The share of `whole` that the networks cover together, 0 to 1. Those inside of another count once. */
static double coverage(const struct cidr *net, size_t count, const struct cidr *whole)
{
	double share = 0;

	for (size_t i = 0; i < count; i++) {
		bool counted = !net_within(&net[i], whole);
		double part = 1;

		if (net_within(whole, &net[i]))
			return 1;
		for (size_t k = 0; k < count && !counted; k++)
			counted = k != i && net_within(&net[i], &net[k]) &&
				  (k < i || net[k].prefix_bits < net[i].prefix_bits);
		for (unsigned bits = whole->prefix_bits; bits < net[i].prefix_bits; bits++)
			part /= 2;
		share += counted ? 0 : part;
	}
	return share;
}

/*
 * So much of the addresses of strangers is no network of one's own: all private networks together are a
 * hundredth, and a slip of the pen (192.0.0.0/2 for 192.0.2.0/24) lets in a quarter.
 */
#define EVERYONE (1.0 / 8)

static bool covers_everyone(const struct cidr *net, size_t count)
{
	/* Every address there is: of IPv6 only 2000::/3 is given out (RFC 4291 2.4). */
	static const struct cidr ipv4 = { .family = AF_INET, .prefix_bits = 0 };
	static const struct cidr ipv6 = { .family = AF_INET6, .prefix_bits = 3, .address = { 0x20 } };

	return coverage(net, count, &ipv4) >= EVERYONE || coverage(net, count, &ipv6) >= EVERYONE;
}

static void not_an_open_relay(struct check *c)
{
	const struct config *cfg = c->cfg;

	if (cfg->relay_from_anyone)
		return;
	if (covers_everyone(cfg->relay_from, cfg->relay_from_count))
		check_fail(c, "relay_from lets everyone relay, or a great part of the Internet; if an open "
			      "relay is "
			      "wanted, say so: relay_from_anyone = yes");
}

/* Who is believed about its clients' addresses can make anybody a client of relay_from. */
static void proxies_are_named(struct check *c)
{
	const struct config_listener *l = &c->cfg->listener[c->index];

	if (covers_everyone(l->proxy_protocol, l->proxy_protocol_count))
		check_fail(c,
			   "listener \"%s\": proxy_protocol lets everyone say who they are; name the "
			   "proxies' own "
			   "addresses",
			   l->name);
	if (covers_everyone(l->xclient_from, l->xclient_from_count))
		check_fail(
			c,
			"listener \"%s\": xclient_from lets everyone say who they are; name the proxies' own "
			"addresses",
			l->name);
}

/*
 * Certificates are shown where they are asked for, and have names that mean something where an authority
 * vouches for them.
 */
static void certificates_can_be_shown(struct check *c)
{
	const struct config *cfg = c->cfg;
	bool asked = false, judged = false;

	for (size_t i = 0; i < cfg->listener_count; i++) {
		const struct config_listener *l = &cfg->listener[i];
		bool asks = l->tls != SESSION_TLS_NONE && l->tls_client_cert != TLS_CLIENT_CERT_NONE;

		asked = asked || asks;
		judged = judged || (asks && l->tls_client_ca);
	}
	if (cfg->relay_from_cert_count > 0 && !asked) {
		check_fail(c, "relay_from_cert has no effect: no listener asks for certificates (tls, "
			      "tls_client_cert)");
		return;
	}
	for (size_t i = 0; i < cfg->relay_from_cert_count && !judged; i++) {
		if (strncmp(cfg->relay_from_cert[i], "name:", 5) != 0)
			continue;
		check_fail(c,
			   "relay_from_cert: \"%s\" has no effect: names count below a tls_client_ca, and no "
			   "listener has one",
			   cfg->relay_from_cert[i]);
		return;
	}
}

static void users_can_log_in(struct check *c)
{
	const struct config *cfg = c->cfg;

	for (size_t i = 0; i < cfg->listener_count; i++)
		if (cfg->listener[i].auth != SESSION_AUTH_NONE || cfg->listener[i].xclient_from_count > 0)
			return;
	if (cfg->auth_senders)
		check_fail(c, "auth_senders has no effect: no listener has auth");
}

static void there_is_something_to_tell(struct check *c)
{
	if (c->cfg->vrfy_for_anyone && !c->cfg->vrfy_table)
		check_fail(c, "vrfy_for_anyone has no effect without vrfy_table");
}

const struct check_rule check_access_rules[] = {
	{ CONFIG_TOP, { "vrfy_for_anyone", "vrfy_table" }, there_is_something_to_tell },
	{ CONFIG_TOP, { "relay_from", "relay_from_anyone" }, not_an_open_relay },
	{ CONFIG_LISTENER, { "proxy_protocol", "xclient_from" }, proxies_are_named },
	{ CONFIG_TOP,
	  { "relay_from_cert", "tls", "tls_client_cert", "tls_client_ca" },
	  certificates_can_be_shown },
	{ CONFIG_TOP, { "auth_senders", "auth" }, users_can_log_in },
};
const size_t check_access_rule_count = sizeof(check_access_rules) / sizeof(check_access_rules[0]);
