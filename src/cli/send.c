/* SPDX-License-Identifier: ISC */
/*
 * posthouse send: one message over SMTP to a server, with the client of the
 * relay (upstream/), and every refusal said. No spool is touched: what the
 * server does not take is still where it came from.
 */
#include "cli/send.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/num.h"
#include "cli/settings.h"
#include "cli/verbs.h"
#include "config/secret.h"
#include "submit/submit.h"
#include "submit/transmit.h"

enum {
	OPT_SERVER = ARGS_LONG_ONLY,
	OPT_FROM,
	OPT_TO,
	OPT_TLS,
	OPT_TLS_CA,
	OPT_USER,
	OPT_PASSWORD_FILE,
	OPT_TIMEOUT,
	OPT_HELO,
	OPT_NO_ADD_HEADERS
};

const struct args_option send_options[] = {
	{ "server", OPT_SERVER, "HOST:PORT", "where to send it" },
	{ "from", OPT_FROM, "ADDRESS", "sender, instead of the header's" },
	{ "to", OPT_TO, "ADDRESS", "recipient, or a list of them; may be repeated" },
	{ "read-recipients", 't', NULL, "to the header's To, Cc, Bcc; Bcc is taken out" },
	{ "no-add-headers", OPT_NO_ADD_HEADERS, NULL, "leave missing Date, Message-ID and From missing" },
	{ "tls", OPT_TLS, "MODE", "none, opportunistic, required or implicit" },
	{ "tls-ca", OPT_TLS_CA, "FILE", "trust these certificates, not the system's" },
	{ "user", OPT_USER, "NAME", "log in" },
	{ "password-file", OPT_PASSWORD_FILE, "FILE", "with the password that is FILE's first line" },
	{ "helo", OPT_HELO, "NAME", "name to say in EHLO, instead of this machine's" },
	{ "timeout", OPT_TIMEOUT, "TIME", "longest wait for any answer, as 30s or 5m" },
	{ "verbose", 'v', NULL, "show the SMTP dialogue on standard error" },
	ARGS_OPTIONS_END,
};

#define TIMEOUT_MAX_MS (24 * 3600 * INT64_C(1000))
#define TO_MAX 1000 /* --to options; each may be a list */

struct send {
	struct cli *cli;
	struct upstream_settings settings;
	struct submission message;
	size_t *rcpt; /* 0, 1, 2 ...: all recipients */
	struct send_report report;
	bool verbose;
};

/* ---- what the connection tells ------------------------------------------------- */

static void on_recipient(void *ctx, size_t i, const struct smtp_reply *reply)
{
	struct send *s = ctx;

	send_report_recipient(&s->report, s->message.env.rcpt[i].address, reply);
}

static void on_done(void *ctx, const size_t *rcpt, size_t count, const struct upstream_outcome *outcome,
		    const char *remote)
{
	struct send *s = ctx;

	(void)rcpt;
	(void)count;
	send_report_done(&s->report, outcome, remote);
}

static void on_closed(void *ctx, const struct upstream_outcome *why, bool ever_ready)
{
	struct send *s = ctx;

	send_report_closed(&s->report, why, ever_ready);
}

static void on_trace(void *ctx, bool from_server, const char *text, size_t len)
{
	(void)ctx;
	send_trace(from_server, text, len);
}

/* ---- the run ------------------------------------------------------------------- */

static enum cli_status transmit(struct send *s)
{
	static const struct transmit_ops quiet = { on_recipient, on_done, on_closed, NULL, NULL };
	static const struct transmit_ops verbose = { on_recipient, on_done, on_closed, on_trace, NULL };
	struct transmit t = { .message = &s->message,
			      .settings = &s->settings,
			      .rcpt = s->rcpt,
			      .rcpt_count = s->message.env.rcpt_count,
			      .ops = s->verbose ? &verbose : &quiet,
			      .ctx = s };
	struct err e;

	send_report_init(&s->report, s->settings.name, s->message.env.rcpt_count);
	if (transmit_run(&t, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	return send_report_status(&s->report);
}

static enum cli_status read_message(struct send *s, const char *file, const struct submit_options *options)
{
	enum submit_result r;
	int fd = STDIN_FILENO;
	struct err e;

	if (file && strcmp(file, "-") != 0) {
		fd = open(file, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			cli_error("%s: %s", file, strerror(errno));
			return CLI_UNREACHABLE;
		}
	}
	r = submission_read(&s->message, fd, options, &e);
	if (fd != STDIN_FILENO)
		close(fd);
	switch (r) {
	case SUBMIT_OK:
		break;
	case SUBMIT_INVALID:
	case SUBMIT_NOBODY:
		return cli_usage_error(s->cli, "%s", e.text);
	case SUBMIT_FAILED:
		cli_error("%s: %s", file ? file : "standard input", e.text);
		return CLI_UNREACHABLE;
	}
	s->rcpt = mem_array(s->message.env.rcpt_count, sizeof(*s->rcpt));
	for (size_t i = 0; i < s->message.env.rcpt_count; i++)
		s->rcpt[i] = i;
	return CLI_DONE;
}

/* ---- options -------------------------------------------------------------------- */

struct send_arguments {
	const char *server, *from, *tls, *password_file, *timeout, *helo;
	char **to;
	size_t to_count;
	bool read_recipients, no_add_headers;
	const char *file;
};

static int take_option(struct send *s, struct send_arguments *a, int key)
{
	char *value = (char *)(uintptr_t)s->cli->args.value;

	switch (key) {
	case OPT_SERVER:
		a->server = value;
		return 0;
	case OPT_FROM:
		a->from = value;
		return 0;
	case OPT_TO:
		if (a->to_count == TO_MAX)
			return -1;
		a->to = mem_resize(a->to, a->to_count + 1, sizeof(*a->to));
		a->to[a->to_count++] = value;
		return 0;
	case 't':
		a->read_recipients = true;
		return 0;
	case OPT_NO_ADD_HEADERS:
		a->no_add_headers = true;
		return 0;
	case OPT_TLS:
		a->tls = value;
		return 0;
	case OPT_TLS_CA:
		s->settings.tls_ca_file = value;
		return 0;
	case OPT_USER:
		s->settings.user = value;
		return 0;
	case OPT_PASSWORD_FILE:
		a->password_file = value;
		return 0;
	case OPT_TIMEOUT:
		a->timeout = value;
		return 0;
	case OPT_HELO:
		a->helo = value;
		return 0;
	case 'v':
		s->verbose = true;
		return 0;
	}
	assert_failed("an option without a meaning", __FILE__, __LINE__);
}

/* -1: the verb returns cli->ended. */
static int read_arguments(struct send *s, struct send_arguments *a)
{
	char **operands;
	int key, count;

	while ((key = cli_option(s->cli)) != ARGS_END) {
		if (key == ARGS_BAD)
			return -1;
		if (take_option(s, a, key) < 0) {
			s->cli->ended =
				cli_usage_error(s->cli, "more than %d --to: give lists, A,B,C", TO_MAX);
			return -1;
		}
	}
	operands = args_operands(&s->cli->args, &count);
	a->file = count == 1 ? operands[0] : NULL;
	if (count > 1)
		s->cli->ended = cli_usage_error(s->cli, "%s: one message at a time", operands[1]);
	else if ((s->settings.user != NULL) != (a->password_file != NULL))
		s->cli->ended = cli_usage_error(s->cli, "--user and --password-file go together");
	return s->cli->ended == CLI_DONE ? 0 : -1;
}

static enum cli_status set_timeouts(struct send *s, const char *text)
{
	struct upstream_settings *u = &s->settings;
	int64_t ms;

	transmit_default_timeouts(u);
	if (!text)
		return CLI_DONE;
	if (!num_parse_duration(text, TIMEOUT_MAX_MS, &ms) || ms == 0)
		return cli_usage_error(s->cli, "--timeout %s: not a time such as 30s or 5m", text);
	u->connect_timeout_ms = u->greeting_timeout_ms = u->command_timeout_ms = u->data_timeout_ms =
		u->block_timeout_ms = u->final_timeout_ms = ms;
	return CLI_DONE;
}

static enum cli_status set_server(struct send *s, const char *server)
{
	struct err e;

	if (server) {
		if (endpoint_parse(server, 25, &s->settings.remote, &e) < 0)
			return cli_usage_error(s->cli, "--server %s", e.text);
		if (s->settings.remote.kind != ENDPOINT_TCP || s->settings.remote.host[0] == '\0' ||
		    s->settings.remote.port == 0)
			return cli_usage_error(s->cli, "--server %s: expected HOST:PORT", server);
		return CLI_DONE;
	}
	if (settings_server(s->cli->config_file, &s->settings.remote, &e) == 0)
		return CLI_DONE;
	cli_error("%s: name the server with --server", e.text);
	return CLI_UNREACHABLE;
}

static enum cli_status run(struct send *s, const struct send_arguments *a, char **secret,
			   const char *hostname)
{
	char name[ENDPOINT_TEXT_MAX];
	struct submit_options options = {
		.from = a->from,
		.to = a->to,
		.to_count = a->to_count,
		.read_recipients = a->read_recipients,
		.add_headers = !a->no_add_headers,
		.hostname = hostname,
	};
	enum cli_status status = set_server(s, a->server);
	struct err e;

	if (status != CLI_DONE)
		return status;
	status = set_timeouts(s, a->timeout);
	if (status != CLI_DONE)
		return status;
	if (!send_tls_mode(a->tls, &s->settings.remote, s->settings.user != NULL, &s->settings.tls))
		return cli_usage_error(s->cli, "--tls %s: expected none, opportunistic, required or implicit",
				       a->tls);
	if (a->password_file && secret_read(a->password_file, secret, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	s->settings.password = *secret;
	s->settings.name = endpoint_format(&s->settings.remote, name);
	s->settings.hostname = a->helo ? a->helo : hostname;
	s->settings.pipelining = true;
	s->settings.eightbit = UPSTREAM_EIGHTBIT_STRICT;
	status = read_message(s, a->file, &options);
	if (status != CLI_DONE)
		return status;
	status = transmit(s);
	free(s->rcpt);
	submission_release(&s->message);
	return status;
}

enum cli_status verb_send(struct cli *cli)
{
	struct send s = { .cli = cli };
	struct send_arguments a = { 0 };
	char *hostname, *secret = NULL;
	enum cli_status status;

	signal(SIGPIPE, SIG_IGN); /* a server that hangs up is an outcome */
	if (read_arguments(&s, &a) < 0) {
		free(a.to);
		return cli->ended;
	}
	hostname = settings_hostname(cli->config_file);
	status = run(&s, &a, &secret, hostname);
	free(hostname);
	secret_free(secret);
	free(a.to);
	return cli_finish_output(status);
}
