/* SPDX-License-Identifier: ISC */
/* See types.h: values that only upstreams have, and those of more than one word that are no lists of addresses. */
#include <arpa/inet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "config/secret.h"
#include "config/types_internal.h"

/* ---- a text, as it is kept ----------------------------------------------------------- */

static char **text_field(const struct config_option *o, void *object)
{
	return types_field(o, object);
}

static bool text_format(const struct config_option *o, const void *object, struct buf *out)
{
	return config_type_text.format(o, object, out);
}

static void text_clear(const struct config_option *o, void *object)
{
	config_type_text.clear(o, object);
}

static void text_set(char **at, const char *text)
{
	free(*at);
	*at = mem_strdup(text);
}

/* ---- secret files ---------------------------------------------------------------------- */

static int secret_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (types_check_text(text, e) != 0 || secret_name_check(text, e) != 0)
		return -1;
	text_set(text_field(o, object), text);
	return 0;
}

const struct config_type config_type_secret = { "path or credential", false, secret_parse, text_format,
						text_clear };

/* ---- a set of words -------------------------------------------------------------------- */

static int set_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	struct buf all;

	for (unsigned i = 0; o->words[i]; i++) {
		if (strcasecmp(text, o->words[i]) == 0) {
			*(unsigned *)types_field(o, object) |= 1u << i;
			return 0;
		}
	}
	buf_init(&all, 400);
	for (unsigned i = 0; o->words[i]; i++)
		buf_addf(&all, "%s%s", i ? ", " : "", o->words[i]);
	err_set(e, "\"%.100s\" is not one of %s", text, all.data);
	buf_release(&all);
	return -1;
}

static bool set_format(const struct config_option *o, const void *object, struct buf *out)
{
	unsigned set = *(const unsigned *)types_const_field(o, object);
	const char *between = "{ ";

	for (unsigned i = 0; o->words[i]; i++) {
		if (!(set & 1u << i))
			continue;
		buf_addf(out, "%s\"%s\"", between, o->words[i]);
		between = ", ";
	}
	return set != 0 && buf_adds(out, " }");
}

static void set_clear(const struct config_option *o, void *object)
{
	*(unsigned *)types_field(o, object) = 0;
}

const struct config_type config_type_set = { "words", true, set_parse, set_format, set_clear };

/* ---- pinned keys --------------------------------------------------------------------------- */

#define PIN_PREFIX "sha256//"
#define PIN_BASE64_LEN 44 /* of 32 octets, with one '=' */

static int pins_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char **at = text_field(o, object), *joined;
	const char *hash = text + strlen(PIN_PREFIX);
	struct buf b;

	if (strncmp(text, PIN_PREFIX, strlen(PIN_PREFIX)) != 0 || strlen(hash) != PIN_BASE64_LEN ||
	    strspn(hash, base64) != PIN_BASE64_LEN - 1 || hash[PIN_BASE64_LEN - 1] != '=') {
		err_set(e, "\"%.100s\" is not sha256// and the base64 of a key's SHA-256", text);
		return -1;
	}
	buf_init(&b, (size_t)1 << 20);
	buf_addf(&b, "%s%s%s", *at ? *at : "", *at ? ";" : "", text);
	joined = mem_strdup(b.data);
	buf_release(&b);
	free(*at);
	*at = joined;
	return 0;
}

static bool pins_format(const struct config_option *o, const void *object, struct buf *out)
{
	const char *pins = *(char *const *)types_const_field(o, object);

	if (!pins)
		return false;
	buf_adds(out, "{ \"");
	for (; *pins; pins++) {
		if (*pins == ';')
			buf_adds(out, "\", \"");
		else
			buf_addc(out, *pins);
	}
	return buf_adds(out, "\" }");
}

const struct config_type config_type_pins = { "pins", true, pins_parse, pins_format, text_clear };

/* ---- proxies ------------------------------------------------------------------------------- */

static const char *const proxy_schemes[] = { "socks5h://", "socks5://", "socks4a://", "http://" };

static int proxy_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	char formatted[ENDPOINT_TEXT_MAX];
	const char *scheme = NULL;
	struct endpoint ep;
	struct buf b;

	if (types_check_text(text, e) != 0)
		return -1;
	for (size_t i = 0; i < sizeof(proxy_schemes) / sizeof(*proxy_schemes); i++)
		if (strncmp(text, proxy_schemes[i], strlen(proxy_schemes[i])) == 0)
			scheme = proxy_schemes[i];
	if (!scheme) {
		err_set(e, "\"%.100s\" does not begin with socks5h://, socks5://, socks4a:// or http://",
			text);
		return -1;
	}
	if (strpbrk(text + strlen(scheme), "@/?# ")) {
		err_set(e, "\"%.100s\": after %s there is a host and a port only (for a user: proxy_user)",
			text, scheme);
		return -1;
	}
	if (endpoint_parse(text + strlen(scheme), -1, &ep, e) != 0)
		return -1;
	if (ep.kind != ENDPOINT_TCP || !ep.host[0] || ep.port == 0) {
		err_set(e, "\"%.100s\": a host and a port from 1 to 65535 are needed", text);
		return -1;
	}
	buf_init(&b, ENDPOINT_TEXT_MAX + 20);
	buf_addf(&b, "%s%s", scheme, endpoint_format(&ep, formatted));
	text_set(text_field(o, object), b.data);
	buf_release(&b);
	return 0;
}

const struct config_type config_type_proxy = { "URL", false, proxy_parse, text_format, text_clear };

/* ---- where connections come from --------------------------------------------------------------- */

static int source_set(char **at, const char *text, const char *what, struct err *e)
{
	if (*at) {
		err_set(e, "\"%s\": there is an %s already, \"%s\"", text, what, *at);
		return -1;
	}
	*at = mem_strdup(text);
	return 0;
}

static int source_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	struct config_source *source = types_field(o, object);
	unsigned char address[16];

	if (types_check_text(text, e) != 0)
		return -1;
	if (inet_pton(AF_INET, text, address) == 1)
		return source_set(&source->ipv4, text, "IPv4 address", e);
	if (inet_pton(AF_INET6, text, address) == 1)
		return source_set(&source->ipv6, text, "IPv6 address", e);
	if (strlen(text) >= IF_NAMESIZE || strpbrk(text, "/: ") || !text[strspn(text, "0123456789.")]) {
		err_set(e, "\"%.100s\" is neither an IP address nor the name of a network interface", text);
		return -1;
	}
	return source_set(&source->interface, text, "interface", e);
}

static bool source_format(const struct config_option *o, const void *object, struct buf *out)
{
	const struct config_source *source = types_const_field(o, object);
	const char *const text[] = { source->ipv4, source->ipv6, source->interface };
	const char *between = "{ ";

	for (size_t i = 0; i < sizeof(text) / sizeof(*text); i++) {
		if (!text[i])
			continue;
		buf_adds(out, between);
		config_quote(out, text[i]);
		between = ", ";
	}
	return between[0] == ',' && buf_adds(out, " }");
}

static void source_clear(const struct config_option *o, void *object)
{
	struct config_source *source = types_field(o, object);

	free(source->ipv4);
	free(source->ipv6);
	free(source->interface);
	memset(source, 0, sizeof(*source));
}

const struct config_type config_type_source = { "addresses", true, source_parse, source_format,
						source_clear };
