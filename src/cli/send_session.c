/* SPDX-License-Identifier: ISC */
/* See send_session.h. */
#include "cli/send_session.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "cli/settings.h"
#include "config/options.h"
#include "config/secret.h"
#include "submit/transmit.h"

enum {
	OPT_SERVER = ARGS_LONG_ONLY, /* this segment has the keys up to ARGS_LONG_ONLY + 99 */
	OPT_TLS,
	OPT_TLS_CA,
	OPT_USER,
	OPT_PASSWORD_FILE,
	OPT_TIMEOUT,
	OPT_HELO
};

const struct args_option send_session_options[] = {
	{ "server", OPT_SERVER, "HOST:PORT", "where to send it" },
	{ "tls", OPT_TLS, "MODE", "none, opportunistic, required or implicit" },
	{ "tls-ca", OPT_TLS_CA, "FILE", "trust these certificates, not the system's" },
	{ "user", OPT_USER, "NAME", "log in" },
	{ "password-file", OPT_PASSWORD_FILE, "FILE", "with the password that is FILE's first line" },
	{ "helo", OPT_HELO, "NAME", "name to say in EHLO, instead of this machine's" },
	{ "timeout", OPT_TIMEOUT, "TIME", "longest wait for any answer, as 30s or 5m" },
	ARGS_OPTIONS_END,
};

#define TIMEOUT_MAX_MS (24 * 3600 * INT64_C(1000))

bool send_session_take(struct send_session *s, int key, const char *value)
{
	switch (key) {
	case OPT_SERVER:
		s->server = value;
		return true;
	case OPT_TLS:
		s->tls = value;
		return true;
	case OPT_TLS_CA:
		s->settings.tls_ca_file = value;
		return true;
	case OPT_USER:
		s->settings.user = value;
		return true;
	case OPT_PASSWORD_FILE:
		s->password_file = value;
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
		*mode = config_default_tls(remote);
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

static enum cli_status set_timeouts(struct send_session *s, const struct cli *cli)
{
	struct upstream_settings *u = &s->settings;
	int64_t ms;

	transmit_default_timeouts(u);
	if (!s->timeout)
		return CLI_DONE;
	if (!num_parse_duration(s->timeout, TIMEOUT_MAX_MS, &ms) || ms == 0)
		return cli_usage_error(cli, "--timeout %s: not a time such as 30s or 5m", s->timeout);
	u->connect_timeout_ms = u->greeting_timeout_ms = u->command_timeout_ms = u->data_timeout_ms =
		u->block_timeout_ms = u->final_timeout_ms = ms;
	return CLI_DONE;
}

static enum cli_status set_server(struct send_session *s, const struct cli *cli)
{
	struct err e;

	if (s->server) {
		if (endpoint_parse(s->server, 25, &s->settings.remote, &e) < 0)
			return cli_usage_error(cli, "--server %s", e.text);
		if (s->settings.remote.kind != ENDPOINT_TCP || s->settings.remote.host[0] == '\0' ||
		    s->settings.remote.port == 0)
			return cli_usage_error(cli, "--server %s: expected HOST:PORT", s->server);
		return CLI_DONE;
	}
	if (settings_server(cli->config_file, &s->settings.remote, &e) == 0)
		return CLI_DONE;
	cli_error("%s: name the server with --server", e.text);
	return CLI_UNREACHABLE;
}

enum cli_status send_session_settle(struct send_session *s, struct cli *cli)
{
	struct upstream_settings *u = &s->settings;
	enum cli_status status;
	struct err e;

	if ((u->user != NULL) != (s->password_file != NULL))
		return cli_usage_error(cli, "--user and --password-file go together");
	status = set_server(s, cli);
	if (status == CLI_DONE)
		status = set_timeouts(s, cli);
	if (status != CLI_DONE)
		return status;
	if (!send_tls_mode(s->tls, &u->remote, u->user != NULL, &u->tls))
		return cli_usage_error(cli, "--tls %s: expected none, opportunistic, required or implicit",
				       s->tls);
	if (s->password_file && secret_read(s->password_file, &s->secret, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	s->hostname = settings_hostname(cli->config_file);
	u->password = s->secret;
	u->name = endpoint_format(&u->remote, s->name);
	u->hostname = s->helo ? s->helo : s->hostname;
	u->pipelining = true;
	u->eightbit = UPSTREAM_EIGHTBIT_STRICT;
	return CLI_DONE;
}

void send_session_release(struct send_session *s)
{
	free(s->hostname);
	secret_free(s->secret);
}
