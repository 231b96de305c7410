/* SPDX-License-Identifier: ISC */
/* See types.h: the values that are lists. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "config/remote.h"
#include "config/secret.h"
#include "config/types_internal.h"
#include "manage/route.h"
#include "program/command.h"
#include "smtp/path.h"
#include "smtp/pattern.h"

static size_t *count_field(const struct config_option *o, void *object)
{
	return (size_t *)(void *)((char *)object + o->count_offset);
}

static size_t count_of(const struct config_option *o, const void *object)
{
	return *(const size_t *)(const void *)((const char *)object + o->count_offset);
}

static void list_clear(const struct config_option *o, void *object)
{
	void **at = types_field(o, object);

	free(*at);
	*at = NULL;
	*count_field(o, object) = 0;
}

/* ---- addresses --------------------------------------------------------------- */

#define SMTP_PORT 25

static int endpoint_add(const struct config_option *o, void *object, const char *text, int port,
			struct err *e)
{
	struct endpoint **at = types_field(o, object);
	size_t *count = count_field(o, object);
	struct endpoint ep;

	if (types_check_text(text, e) != 0 || endpoint_parse(text, port, &ep, e) != 0)
		return -1;
	*at = mem_resize(*at, *count + 1, sizeof(**at));
	(*at)[(*count)++] = ep;
	return 0;
}

static int local_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	return endpoint_add(o, object, text, SMTP_PORT, e);
}

static int door_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	return endpoint_add(o, object, text, -1, e);
}

static bool local_format(const struct config_option *o, const void *object, struct buf *out)
{
	const struct endpoint *ep = *(struct endpoint *const *)types_const_field(o, object);
	char text[ENDPOINT_TEXT_MAX];

	buf_adds(out, "{ ");
	for (size_t i = 0; i < count_of(o, object); i++) {
		buf_adds(out, i ? ", " : "");
		config_quote(out, endpoint_format(&ep[i], text));
	}
	return buf_adds(out, count_of(o, object) ? " }" : "}");
}

/* What may stand behind an address: "weight=N". at points behind the address. */
static int remote_weight(const char *at, const char *text, unsigned *weight, struct err *e)
{
	uint64_t n;

	*weight = 0;
	at += strspn(at, " ");
	if (!*at)
		return 0;
	if (strncmp(at, "weight=", 7) != 0) {
		err_set(e, "\"%s\": only weight=NUMBER may follow the address", text);
		return -1;
	}
	at += 7;
	if (!num_parse_u64(at, strcspn(at, " "), CONFIG_WEIGHT_MAX, &n) || n == 0) {
		err_set(e, "\"%s\": a weight is a number from 1 to %d", text, CONFIG_WEIGHT_MAX);
		return -1;
	}
	at += strcspn(at, " ");
	if (at[strspn(at, " ")]) {
		err_set(e, "\"%s\": nothing may follow the weight", text);
		return -1;
	}
	*weight = (unsigned)n;
	return 0;
}

/* remote.h's address [ SP "weight=" NUMBER ] */
static int remote_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	struct config_remote **at = types_field(o, object), remote;
	size_t *count = count_field(o, object), len = strcspn(text, " ");
	char *address;
	unsigned weight;
	int result;

	if (types_check_text(text, e) != 0)
		return -1;
	/*
	 * without an option the whole value is the address, so that "a b" is told as what it is meant to be
	 */
	address = strchr(text, '=') ? mem_strndup(text, len) : mem_strdup(text);
	result = config_remote_parse(address, SMTP_PORT, &remote, e);
	len = strlen(address);
	free(address);
	if (result != 0 || remote_weight(text + len, text, &weight, e) != 0)
		return -1;
	remote.weight = weight;
	*at = mem_resize(*at, *count + 1, sizeof(**at));
	(*at)[(*count)++] = remote;
	return 0;
}

static bool remote_format(const struct config_option *o, const void *object, struct buf *out)
{
	const struct config_remote *remote = *(struct config_remote *const *)types_const_field(o, object);
	char text[ENDPOINT_TEXT_MAX];

	if (count_of(o, object) == 0)
		return false;
	buf_adds(out, "{ ");
	for (size_t i = 0; i < count_of(o, object); i++) {
		buf_adds(out, i ? ", \"" : "\"");
		buf_adds(out, config_remote_format(&remote[i], text)); /* has nothing to quote */
		if (remote[i].weight > 0)
			buf_addf(out, " weight=%u", remote[i].weight);
		buf_addc(out, '"');
	}
	return buf_adds(out, " }");
}

static int networks_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	struct cidr **at = types_field(o, object);
	size_t *count = count_field(o, object);
	struct cidr net;

	if (types_check_text(text, e) != 0 || cidr_parse(text, &net, e) != 0)
		return -1;
	*at = mem_resize(*at, *count + 1, sizeof(**at));
	(*at)[(*count)++] = net;
	return 0;
}

static bool networks_format(const struct config_option *o, const void *object, struct buf *out)
{
	const struct cidr *net = *(struct cidr *const *)types_const_field(o, object);
	char text[INET6_ADDRSTRLEN];

	buf_adds(out, "{ ");
	for (size_t i = 0; i < count_of(o, object); i++) {
		unsigned most = net[i].family == AF_INET ? 32 : 128;

		inet_ntop(net[i].family, net[i].address, text, sizeof(text));
		buf_addf(out, "%s\"%s", i ? ", " : "", text);
		if (net[i].prefix_bits < most)
			buf_addf(out, "/%u", net[i].prefix_bits);
		buf_addc(out, '"');
	}
	return buf_adds(out, count_of(o, object) ? " }" : "}");
}

const struct config_type config_type_local = { "addresses", true, local_parse, local_format, list_clear };
const struct config_type config_type_door = { "addresses", true, door_parse, local_format, list_clear };
const struct config_type config_type_remote = { "addresses", true, remote_parse, remote_format, list_clear };
const struct config_type config_type_networks = { "networks", true, networks_parse, networks_format,
						  list_clear };

/* ---- patterns of a route ----------------------------------------------------------- */

static void add_text(const struct config_option *o, void *object, const char *text)
{
	char ***at = types_field(o, object);
	size_t *count = count_field(o, object);

	*at = mem_resize(*at, *count + 1, sizeof(**at));
	(*at)[(*count)++] = mem_strdup(text);
}

static int pattern_parse(const struct config_option *o, void *object, const char *text,
			 enum route_field field, struct err *e)
{
	if (types_check_text(text, e) != 0 || route_pattern_check(field, text, e) != 0)
		return -1;
	add_text(o, object, text);
	return 0;
}

static int senders_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	return pattern_parse(o, object, text, ROUTE_SENDER, e);
}

static int recipients_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	return pattern_parse(o, object, text, ROUTE_RECIPIENT, e);
}

static int auth_users_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	return pattern_parse(o, object, text, ROUTE_AUTH_USER, e);
}

static bool patterns_format(const struct config_option *o, const void *object, struct buf *out)
{
	char *const *pattern = *(char **const *)types_const_field(o, object);

	if (count_of(o, object) == 0)
		return false;
	for (size_t i = 0; i < count_of(o, object); i++) {
		buf_adds(out, i ? ", " : "{ ");
		config_quote(out, pattern[i]);
	}
	return buf_adds(out, " }");
}

static void patterns_clear(const struct config_option *o, void *object)
{
	char **pattern = *(char ***)types_field(o, object);

	for (size_t i = 0; i < count_of(o, object); i++)
		free(pattern[i]);
	list_clear(o, object);
}

const struct config_type config_type_senders = { "patterns", true, senders_parse, patterns_format,
						 patterns_clear };
const struct config_type config_type_recipients = { "patterns", true, recipients_parse, patterns_format,
						    patterns_clear };
const struct config_type config_type_auth_users = { "patterns", true, auth_users_parse, patterns_format,
						    patterns_clear };

/* ---- certificates that may relay ----------------------------------------------------- */

#define SHA256_DIGITS 64

/* 64 hexadecimal digits in lower case into out; in the text each pair may be followed by a colon. */
static bool read_fingerprint(const char *text, char out[SHA256_DIGITS + 1])
{
	size_t n = 0;

	for (; *text; text++) {
		if (*text == ':' && n > 0 && n % 2 == 0 && text[1] && text[1] != ':')
			continue;
		if (!isxdigit((unsigned char)*text) || n == SHA256_DIGITS)
			return false;
		out[n++] = (char)tolower((unsigned char)*text);
	}
	out[n] = '\0';
	return n == SHA256_DIGITS;
}

/*
 * A host, a mail address, or *.domain. The star must not stand for what anybody can get a certificate for:
 * below two names at least.
 */
static int check_name(const char *name, struct err *e)
{
	bool wild = strncmp(name, "*.", 2) == 0;
	const char *rest = wild ? name + 2 : name;

	if (wild ? !smtp_is_domain(rest, strlen(rest))
		 : !smtp_is_domain(rest, strlen(rest)) && !pattern_is_address(rest)) {
		err_set(e,
			"\"name:%s\": a host name, a mail address, or *.DOMAIN is wanted behind name:", name);
		return -1;
	}
	if (wild && !strchr(rest, '.')) {
		err_set(e,
			"\"name:%s\" lets everyone relay who gets a certificate below \"%s\": name a domain "
			"of yours",
			name, rest);
		return -1;
	}
	return 0;
}

static int certificates_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	char fingerprint[SHA256_DIGITS + 1], plain[SHA256_DIGITS + 8];
	bool is_name = strncmp(text, "name:", 5) == 0;

	if (types_check_text(text, e) != 0 || (is_name && check_name(text + 5, e) != 0))
		return -1;
	if (!is_name && (strncmp(text, "sha256:", 7) != 0 || !read_fingerprint(text + 7, fingerprint))) {
		err_set(e,
			"\"%s\": write sha256: and the 64 digits of a certificate's fingerprint, or "
			"name:HOST",
			text);
		return -1;
	}
	if (is_name) {
		add_text(o, object, text);
	} else {
		snprintf(plain, sizeof(plain), "sha256:%s", fingerprint);
		add_text(o, object, plain);
	}
	return 0;
}

const struct config_type config_type_certificates = { "certificates", true, certificates_parse,
						      patterns_format, patterns_clear };

/* ---- words of rewriting ----------------------------------------------------------------- */

static int domains_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (types_check_text(text, e) != 0)
		return -1;
	if (!config_is_hostname(text)) {
		err_set(e, "\"%s\" is no domain (like example.org)", text);
		return -1;
	}
	add_text(o, object, text);
	return 0;
}

static int local_parts_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (types_check_text(text, e) != 0)
		return -1;
	if (strchr(text, '@')) {
		err_set(e, "\"%s\" is no local part: write what stands before the '@'", text);
		return -1;
	}
	add_text(o, object, text);
	return 0;
}

/* field-name of RFC 5322 2.2; a '*' at the end stands for the rest of it. One alone would leave no header. */
static int header_names_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	size_t len = strlen(text);

	if (types_check_text(text, e) != 0)
		return -1;
	len -= len > 1 && text[len - 1] == '*';
	for (size_t i = 0; i < len; i++) {
		if (text[i] > ' ' && text[i] < 0x7f && text[i] != ':' && text[i] != '*')
			continue;
		err_set(e,
			"\"%s\" is no name of a header field (like X-Mailer, or X-* for all that begin so)",
			text);
		return -1;
	}
	add_text(o, object, text);
	return 0;
}

const struct config_type config_type_domains = { "domains", true, domains_parse, patterns_format,
						 patterns_clear };
const struct config_type config_type_local_parts = { "local parts", true, local_parts_parse, patterns_format,
						     patterns_clear };
const struct config_type config_type_header_names = { "names", true, header_names_parse, patterns_format,
						      patterns_clear };

/* ---- files ---------------------------------------------------------------------------------- */

static int paths_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (types_check_text(text, e) != 0)
		return -1;
	if (text[0] != '/') {
		err_set(e, "\"%s\" is not an absolute path", text);
		return -1;
	}
	add_text(o, object, text);
	return 0;
}

static int secrets_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (types_check_text(text, e) != 0 || secret_name_check(text, e) != 0)
		return -1;
	add_text(o, object, text);
	return 0;
}

/* A program and its arguments: the first one is the program. */
static int command_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (count_of(o, object) == 0)
		return paths_parse(o, object, text, e);
	if (types_check_text(text, e) != 0 || !program_word_is_good(text, e))
		return -1;
	add_text(o, object, text);
	return 0;
}

static int texts_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (types_check_text(text, e) != 0)
		return -1;
	add_text(o, object, text);
	return 0;
}

const struct config_type config_type_command = { "command", true, command_parse, patterns_format,
						 patterns_clear };
const struct config_type config_type_texts = { "texts", true, texts_parse, patterns_format, patterns_clear };
const struct config_type config_type_secrets = { "paths or credentials", true, secrets_parse, patterns_format,
						 patterns_clear };
const struct config_type config_type_paths = { "paths", true, paths_parse, patterns_format, patterns_clear };
