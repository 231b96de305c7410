/* SPDX-License-Identifier: ISC */
/* See send_session.h. */
#include "cli/send_session.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/num.h"
#include "cli/password.h"
#include "cli/settings.h"
#include "config/check.h"
#include "config/options.h"
#include "config/remote.h"
#include "config/secret.h"
#include "config/types.h"
#include "submit/transmit.h"

enum {
	OPT_SERVER = ARGS_LONG_ONLY, /* this segment has the keys up to ARGS_LONG_ONLY + 99 */
	OPT_LMTP,
	OPT_TLS,
	OPT_TLS_CA,
	OPT_TLS_VERIFY,
	OPT_TLS_PIN,
	OPT_TLS_CERT,
	OPT_TLS_KEY,
	OPT_TLS_MIN_VERSION,
	OPT_USER,
	OPT_PASSWORD_FILE,
	OPT_TOKEN_FILE,
	OPT_AUTH,
	OPT_PROXY,
	OPT_PROXY_USER,
	OPT_PROXY_PASSWORD_FILE,
	OPT_SOURCE_ADDRESS,
	OPT_ADDRESS_FAMILY,
	OPT_DISCARD_EHLO,
	OPT_CHUNKING,
	OPT_NO_PIPELINING,
	OPT_TIMEOUT,
	OPT_HELO
};

const struct args_option send_session_options[] = {
	{ "server", OPT_SERVER, "HOST:PORT", "where to send it; also unix:/PATH" },
	{ "lmtp", OPT_LMTP, "HOST:PORT", "the same, to a server that speaks LMTP" },
	{ "tls", OPT_TLS, "MODE", "none, opportunistic, required or implicit" },
	{ "tls-ca", OPT_TLS_CA, "FILE", "trust these certificates, not the system's" },
	{ "tls-verify", OPT_TLS_VERIFY, "HOW", "ca, pin (by --tls-pin alone) or none" },
	{ "tls-pin", OPT_TLS_PIN, "PIN", "the server's key, sha256//BASE64; repeatable" },
	{ "tls-cert", OPT_TLS_CERT, "FILE", "our certificate (PEM)" },
	{ "tls-key", OPT_TLS_KEY, "FILE", "its private key, if it is not in there" },
	{ "tls-min-version", OPT_TLS_MIN_VERSION, "VERSION", "1.0, 1.1, 1.2, 1.3 or auto" },
	{ "user", OPT_USER, "NAME", "log in" },
	{ "password-file", OPT_PASSWORD_FILE, "FILE", "with the password that is FILE's only line" },
	{ "token-file", OPT_TOKEN_FILE, "FILE", "or with the OAuth 2 token that is" },
	{ "auth", OPT_AUTH, "MECHANISM", "only with these, A,B,C; EXTERNAL: --tls-cert" },
	{ "proxy", OPT_PROXY, "URL", "go through it: socks5h://HOST:PORT, http://..." },
	{ "proxy-user", OPT_PROXY_USER, "NAME", "log in there" },
	{ "proxy-password-file", OPT_PROXY_PASSWORD_FILE, "FILE",
	  "with the password that is FILE's only line" },
	{ "source-address", OPT_SOURCE_ADDRESS, "FROM", "address or interface to connect from" },
	{ "address-family", OPT_ADDRESS_FAMILY, "FAMILY", "any, ipv4 or ipv6" },
	{ "helo", OPT_HELO, "NAME", "name to say in EHLO, instead of this machine's" },
	{ "discard-ehlo", OPT_DISCARD_EHLO, "EXTENSION", "do not use these extensions, A,B,C" },
	{ "chunking", OPT_CHUNKING, "WHETHER", "content with BDAT: needed, always or never" },
	{ "no-pipelining", OPT_NO_PIPELINING, NULL, "one command at a time" },
	{ "timeout", OPT_TIMEOUT, "TIME", "longest wait for any answer, as 30s or 5m" },
	ARGS_OPTIONS_END,
};

#define TIMEOUT_MAX_MS (24 * 3600 * INT64_C(1000))
#define SMTP_PORT 25
#define SMTPS_PORT 465
#define PASSWORD_MAX 1024

/* ---- options that are keys of an upstream ------------------------------------------- */

struct upstream_key {
	int option;
	const char *key;
	enum { VALUE, LIST, FILE_NAME } kind;
};

static const struct upstream_key upstream_keys[] = {
	{ OPT_TLS_CA, "tls_ca_file", FILE_NAME },
	{ OPT_TLS_PIN, "tls_pin", VALUE },
	{ OPT_TLS_CERT, "tls_cert", FILE_NAME },
	{ OPT_TLS_KEY, "tls_key", FILE_NAME },
	{ OPT_TLS_MIN_VERSION, "tls_min_version", VALUE },
	{ OPT_TLS_VERIFY, "tls_verify", VALUE },
	{ OPT_USER, "user", VALUE },
	{ OPT_PASSWORD_FILE, "password_file", FILE_NAME },
	{ OPT_AUTH, "auth_mechanisms", LIST },
	{ OPT_PROXY, "proxy", VALUE },
	{ OPT_PROXY_USER, "proxy_user", VALUE },
	{ OPT_PROXY_PASSWORD_FILE, "proxy_password_file", FILE_NAME },
	{ OPT_SOURCE_ADDRESS, "source_address", VALUE },
	{ OPT_ADDRESS_FAMILY, "address_family", VALUE },
	{ OPT_CHUNKING, "chunking", VALUE },
	{ OPT_DISCARD_EHLO, "discard_ehlo_keywords", LIST },
};
#define UPSTREAM_KEY_COUNT (sizeof(upstream_keys) / sizeof(*upstream_keys))

static const char *option_name(int option)
{
	for (const struct args_option *o = send_session_options; o->name; o++)
		if (o->key == option)
			return o->name;
	return "";
}

static struct config_upstream *upstream_of(struct send_session *s)
{
	return &s->config.upstream[0];
}

static int parse_value(struct send_session *s, const struct upstream_key *k, const char *value, struct err *e)
{
	const struct config_option *o = config_option_find(CONFIG_UPSTREAM, k->key, strlen(k->key));

	ASSERT(o);
	if (o->type->clear && !o->type->list)
		o->type->clear(o, upstream_of(s));
	return o->type->parse(o, upstream_of(s), value, e);
}

/* A,B,C */
static int parse_list(struct send_session *s, const struct upstream_key *k, const char *list, struct err *e)
{
	char *copy = mem_strdup(list), *rest = copy, *word;
	int r = 0;

	while (r == 0 && (word = strsep(&rest, ",")))
		r = parse_value(s, k, word, e);
	free(copy);
	return r;
}

/* A configuration names files from the root; a command line from where we are. */
static int parse_file(struct send_session *s, const struct upstream_key *k, const char *name, struct err *e)
{
	char folder[PATH_MAX], *path;
	int r;

	if (name[0] == '/' || name[0] == '\0' ||
	    strncmp(name, SECRET_CREDENTIAL, strlen(SECRET_CREDENTIAL)) == 0 ||
	    !getcwd(folder, sizeof(folder)))
		return parse_value(s, k, name, e);
	path = mem_printf("%s/%s", folder, name);
	r = parse_value(s, k, path, e);
	free(path);
	return r;
}

static enum cli_status take_key(struct send_session *s, struct cli *cli, const struct upstream_key *k,
				const char *value)
{
	struct err e;
	int r = 0;

	switch (k->kind) {
	case VALUE:
		r = parse_value(s, k, value, &e);
		break;
	case LIST:
		r = parse_list(s, k, value, &e);
		break;
	case FILE_NAME:
		r = parse_file(s, k, value, &e);
		break;
	}
	return r == 0 ? CLI_DONE : cli_usage_error(cli, "--%s: %s", option_name(k->option), e.text);
}

static bool take_own(struct send_session *s, int key, const char *value)
{
	switch (key) {
	case OPT_SERVER:
		s->server = value;
		return true;
	case OPT_LMTP:
		s->lmtp_server = value;
		return true;
	case OPT_TLS:
		s->tls = value;
		return true;
	case OPT_TLS_VERIFY:
		s->no_verify = strcmp(value, "none") == 0;
		return s->no_verify;
	case OPT_TOKEN_FILE:
		s->token_file = value;
		return true;
	case OPT_NO_PIPELINING:
		upstream_of(s)->pipelining = false;
		return true;
	case OPT_TIMEOUT:
		s->timeout = value;
		return true;
	case OPT_HELO:
		s->helo = value;
		return true;
	}
	return false;
}

bool send_session_take(struct send_session *s, struct cli *cli, int key, const char *value,
		       enum cli_status *status)
{
	*status = CLI_DONE;
	if (take_own(s, key, value))
		return true;
	for (size_t i = 0; i < UPSTREAM_KEY_COUNT; i++) {
		if (upstream_keys[i].option != key)
			continue;
		*status = take_key(s, cli, &upstream_keys[i], value);
		return true;
	}
	return false;
}

/* ---- the server ---------------------------------------------------------------------- */

bool send_tls_mode(const char *name, const struct endpoint *remote, bool has_password,
		   enum upstream_tls *mode)
{
	static const struct {
		const char *name;
		enum upstream_tls mode;
	} modes[] = {
		{ "none", UPSTREAM_TLS_NONE },
		{ "opportunistic", UPSTREAM_TLS_OPPORTUNISTIC },
		{ "required", UPSTREAM_TLS_REQUIRED },
		{ "implicit", UPSTREAM_TLS_IMPLICIT },
	};

	if (!name) {
		*mode = remote->kind == ENDPOINT_UNIX ? UPSTREAM_TLS_NONE : config_default_tls(remote);
		if (*mode == UPSTREAM_TLS_OPPORTUNISTIC && has_password && !config_is_loopback(remote))
			*mode = UPSTREAM_TLS_REQUIRED;
		return true;
	}
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(name, modes[i].name) != 0)
			continue;
		*mode = modes[i].mode;
		return true;
	}
	return false;
}

/* "HOST:PORT", "unix:/PATH", as smtplib.LMTP "/PATH"; lmtp:// in front says it too. */
static int parse_lmtp(const char *text, struct config_remote *out, struct err *e)
{
	const char *prefix = strncmp(text, "lmtp://", 7) == 0 ? ""
			     : text[0] == '/'                 ? "lmtp://unix:"
							      : "lmtp://";
	char *whole = mem_printf("%s%s", prefix, text);
	int r = config_remote_parse(whole, -1, out, e);

	free(whole);
	return r;
}

static enum cli_status set_server(struct send_session *s, const struct cli *cli)
{
	struct config_remote *remote = &upstream_of(s)->remoteaddr[0];
	struct endpoint *ep = &remote->endpoint;
	bool lmtp = s->lmtp_server || (s->server && strncmp(s->server, "lmtp://", 7) == 0);
	bool implicit = s->tls && strcmp(s->tls, "implicit") == 0;
	const char *text = s->lmtp_server ? s->lmtp_server : s->server;
	struct err e;

	if (s->server && s->lmtp_server)
		return cli_usage_error(cli, "--server and --lmtp: one of them");
	if (!text) {
		if (settings_server(cli->config_file, ep, &e) == 0)
			return CLI_DONE;
		cli_error("%s: name the server with --server", e.text);
		return CLI_UNREACHABLE;
	}
	if ((lmtp ? parse_lmtp(text, remote, &e)
		  : endpoint_parse(text, implicit ? SMTPS_PORT : SMTP_PORT, ep, &e)) < 0)
		return cli_usage_error(cli, "--%s %s", s->lmtp_server ? "lmtp" : "server", e.text);
	if (ep->kind == ENDPOINT_TCP && (ep->host[0] == '\0' || ep->port == 0))
		return cli_usage_error(cli, "--server %s: expected HOST:PORT", text);
	return CLI_DONE;
}

static enum cli_status set_tls(struct send_session *s, const struct cli *cli)
{
	struct config_upstream *u = upstream_of(s);

	if (!s->tls && u->remoteaddr[0].lmtp)
		u->tls = UPSTREAM_TLS_NONE;
	else if (!send_tls_mode(s->tls, &u->remoteaddr[0].endpoint, u->user != NULL, &u->tls))
		return cli_usage_error(cli, "--tls %s: expected none, opportunistic, required or implicit",
				       s->tls);
	if (u->remoteaddr[0].endpoint.kind == ENDPOINT_UNIX && u->tls != UPSTREAM_TLS_NONE)
		return cli_usage_error(cli, "--tls %s: there is no TLS on a unix socket", s->tls);
	return CLI_DONE;
}

static enum cli_status set_timeouts(struct send_session *s, const struct cli *cli)
{
	struct upstream_settings *u = &s->settings;
	int64_t ms;

	transmit_default_timeouts(u);
	u->attempt_timeout_ms = 0;
	if (!s->timeout)
		return CLI_DONE;
	if (!num_parse_duration(s->timeout, TIMEOUT_MAX_MS, &ms) || ms == 0)
		return cli_usage_error(cli, "--timeout %s: not a time such as 30s or 5m", s->timeout);
	u->connect_timeout_ms = u->greeting_timeout_ms = u->command_timeout_ms = u->data_timeout_ms =
		u->block_timeout_ms = u->final_timeout_ms = ms;
	return CLI_DONE;
}

/* ---- rules between options --------------------------------------------------------------- */

struct rules {
	const struct cli *cli;
	bool broken;
};

/*
 * Rules about the password are left out: it may be a token instead, or asked for. Those are ours
 * (wants_password).
 */
static bool is_left_out(void *ctx, enum config_section object, size_t index, const char *key)
{
	(void)ctx;
	(void)object;
	(void)index;
	return strcmp(key, "password_file") == 0;
}

/* The rules speak of keys; most are options of that name. */
static void broken_rule(void *ctx, enum config_section object, size_t index, const char *const *keys,
			const char *text)
{
	struct rules *r = ctx;
	const char *name = NULL;

	(void)index;
	if (object != CONFIG_UPSTREAM || r->broken)
		return;
	for (size_t i = 0; keys[0] && i < UPSTREAM_KEY_COUNT; i++)
		if (strcmp(upstream_keys[i].key, keys[0]) == 0)
			name = option_name(upstream_keys[i].option);
	r->broken = true;
	cli_usage_error(r->cli, "%s%s%s%s", name ? "--" : "", name ? name : "", name ? ": " : "", text);
}

static bool wants_password(const struct config_upstream *u)
{
	return u->user && u->auth_mechanisms != 1u << UPSTREAM_EXTERNAL;
}

static enum cli_status check_rules(struct send_session *s, const struct cli *cli)
{
	const struct config_upstream *u = upstream_of(s);
	struct rules r = { .cli = cli };
	const struct check_source source = { is_left_out, broken_rule, &r };

	if ((u->password_file || s->token_file) && !u->user)
		return cli_usage_error(cli, "--%s without --user: who is it that logs in?",
				       s->token_file ? "token-file" : "password-file");
	if (u->password_file && s->token_file)
		return cli_usage_error(cli, "--password-file and --token-file: one of them");
	check_run(&s->config, &source);
	return r.broken ? CLI_USAGE : CLI_DONE;
}

/* ---- secrets -------------------------------------------------------------------------------- */

static const char *bearer(void *ctx)
{
	const struct send_session *s = ctx;

	return s->token;
}

static enum cli_status ask_password(struct send_session *s, const struct cli *cli)
{
	const char *user = upstream_of(s)->user;
	char password[PASSWORD_MAX], prompt[300];
	struct err e;

	/* only a person who sees the prompt is asked: no script waits for ever */
	if (!isatty(STDERR_FILENO))
		return cli_usage_error(cli, "--user and --password-file (or --token-file) go together");
	snprintf(prompt, sizeof(prompt), "Password for %.200s: ", user);
	if (password_ask_once(prompt, password, sizeof(password), &e) < 0) {
		cli_error("%s: --password-file names a file with it", e.text);
		return CLI_USAGE;
	}
	s->secrets.password = mem_strdup(password);
	explicit_bzero(password, sizeof(password));
	return CLI_DONE;
}

static enum cli_status read_secrets(struct send_session *s, const struct cli *cli)
{
	const struct config_upstream *u = upstream_of(s);
	struct err e;

	if (config_client_read_secrets(&s->secrets, u, &e) < 0 ||
	    (s->token_file && secret_read(s->token_file, &s->token, &e) < 0)) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	if (wants_password(u) && !s->token_file && !s->secrets.password)
		return ask_password(s, cli);
	return CLI_DONE;
}

/* ---- all together ------------------------------------------------------------------------------ */

static enum cli_status make_settings(struct send_session *s, const struct cli *cli)
{
	struct upstream_settings *u = &s->settings;
	struct err e;

	config_client_settings(u, &s->config, upstream_of(s), upstream_of(s)->remoteaddr, &s->secrets);
	if (s->no_verify)
		u->tls_verify = UPSTREAM_VERIFY_NONE;
	if (s->token_file) {
		u->bearer = bearer;
		u->bearer_ctx = s;
	}
	u->name = endpoint_format(&u->remote, s->name);
	u->hostname = s->helo ? s->helo : s->hostname;
	if (upstream_settings_check(u, &e) == 0)
		return set_timeouts(s, cli);
	cli_error("%s", e.text);
	return CLI_USAGE;
}

void send_session_init(struct send_session *s)
{
	struct config_upstream *u;

	*s = (struct send_session){ 0 };
	config_init(&s->config);
	u = config_add_upstream(&s->config, "server");
	u->remoteaddr = mem_array(1, sizeof(*u->remoteaddr));
	u->remoteaddr[0] = (struct config_remote){ 0 };
	u->remoteaddr_count = 1;
}

enum cli_status send_session_settle(struct send_session *s, struct cli *cli)
{
	enum cli_status status = set_server(s, cli);

	if (status == CLI_DONE)
		status = set_tls(s, cli);
	if (status == CLI_DONE)
		status = check_rules(s, cli);
	if (status == CLI_DONE)
		status = read_secrets(s, cli);
	if (status != CLI_DONE)
		return status;
	s->hostname = settings_hostname(cli->config_file);
	return make_settings(s, cli);
}

void send_session_release(struct send_session *s)
{
	config_client_release_secrets(&s->secrets);
	secret_free(s->token);
	free(s->hostname);
	config_release(&s->config);
}
