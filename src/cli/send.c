/* SPDX-License-Identifier: ISC */
/*
 * posthouse send: mail over SMTP to a server, with the client of the relay
 * (upstream/), and every refusal said. What the server does not take is still
 * where it came from.
 *
 * Here are the parts put together: send_session.c (which server, how),
 * send_message.c (what, to whom; send_compose.c when it is built,
 * send_source.c when it is read), send_transmit.c (sends it), send_report.c
 * (what came of it), transcript.c (what was said). Instead of a server:
 * send_queue.c, the spool. Without a message: send_commands.c (what the server
 * can, and is asked). Each has a segment of the option table.
 */
#include <signal.h>

#include "base/assert.h"
#include "cli/send_compose.h"
#include "cli/send_queue.h"
#include "cli/send_run.h"
#include "cli/settings.h"
#include "cli/verbs.h"

enum { OPT_TRANSCRIPT = ARGS_LONG_ONLY + 700, OPT_QUEUE };

static const struct args_option place_options[] = {
	{ "queue", OPT_QUEUE, NULL, "into the spool (that of --spool), not to a server" },
	ARGS_OPTIONS_END,
};

static const struct args_option own_options[] = {
	{ "verbose", 'v', NULL, "show the SMTP dialogue; twice: with times" },
	{ "transcript", OPT_TRANSCRIPT, "STYLE", "so: plain, times, python or python-times" },
	ARGS_OPTIONS_END,
};

const struct args_segment send_segments[] = {
	{ "The server", send_session_options },
	{ "Instead of a server", place_options },
	{ "The message", send_message_options },
	{ "Building a message", send_compose_options },
	{ "What MAIL and RCPT say", send_envelope_options },
	{ "As a load generator", send_load_options },
	{ "Instead of a message; each may be repeated", send_commands_options },
	{ "Output", own_options },
	{ NULL, NULL },
};

/* ---- messages ------------------------------------------------------------------- */

void send_count_status(struct send *s, enum cli_status status)
{
	s->worst = s->count++ == 0 ? status : send_report_combine(s->worst, status);
}

bool send_take_message(struct send *s)
{
	enum cli_status status;

	for (;;) {
		switch (send_message_next(&s->message, s->cli, &status)) {
		case SEND_NEXT_END:
			if (s->count == 0) {
				cli_error("there is no message");
				s->worst = CLI_NOTHING;
			}
			return false;
		case SEND_NEXT_MESSAGE:
			status = send_envelope_apply(&s->envelope, s->cli, &s->message.submission.env,
						     s->message.submission.has_eightbit);
			if (status == CLI_DONE)
				return true;
			send_count_status(s, status);
			break;
		case SEND_NEXT_BAD:
			send_count_status(s, status);
			break;
		}
	}
}

void send_say_stopped(const struct send *s)
{
	if (send_message_name(&s->message))
		cli_error("%s: stopped there; what follows was not sent", send_message_name(&s->message));
}

void send_begin_transcript(struct send *s)
{
	const struct upstream_settings *settings = &s->session.settings;

	transcript_connecting(&s->transcript, &settings->remote, settings->tls == UPSTREAM_TLS_IMPLICIT,
			      settings->source_ipv4 ? settings->source_ipv4 : settings->source_ipv6);
}

enum cli_status send_to_spool(struct send *s)
{
	struct send_queue queue = { 0 };
	enum cli_status status = send_queue_open(&queue, s->cli);

	if (status != CLI_DONE)
		return status;
	while (send_take_message(s)) {
		status = send_queue_message(&queue, &s->message.submission, send_message_name(&s->message));
		send_count_status(s, status);
		/* what the spool did not take now it does not take of the next one either */
		if (status == CLI_UNREACHABLE || status == CLI_LATER) {
			send_say_stopped(s);
			break;
		}
	}
	status = send_queue_close(&queue);
	return status == CLI_DONE ? s->worst : status;
}

/* ---- options ---------------------------------------------------------------------- */

static enum cli_status take_own(struct send *s, int key, const char *value)
{
	switch (key) {
	case 'v':
		s->style = s->style == TRANSCRIPT_PLAIN ? TRANSCRIPT_TIMES : TRANSCRIPT_PLAIN;
		return CLI_DONE;
	case OPT_QUEUE:
		s->into_spool = true;
		return CLI_DONE;
	case OPT_TRANSCRIPT:
		if (transcript_style_parse(value, &s->style))
			return CLI_DONE;
		return cli_usage_error(
			s->cli, "--transcript %s: expected plain, times, python or python-times", value);
	}
	assert_failed("an option without a meaning", __FILE__, __LINE__);
}

static enum cli_status take_option(struct send *s, int key)
{
	const char *value = s->cli->args.value;
	enum cli_status status = CLI_DONE;

	if (send_session_take(&s->session, s->cli, key, value, &status)) {
		s->has_server = true;
		return status;
	}
	if (send_commands_take(&s->commands, s->cli, key, value, &status))
		return status;
	if (!send_message_take(&s->message, s->cli, key, value, &status) &&
	    !send_load_take(&s->load, s->cli, key, value, &status) &&
	    !send_envelope_take(&s->envelope, s->cli, key, value, &status))
		return take_own(s, key, value);
	s->has_message = true;
	return status;
}

/* False: the verb returns *status, all is said. */
static bool read_arguments(struct send *s, enum cli_status *status)
{
	char **operands;
	int key, count;

	while ((key = cli_option(s->cli)) != ARGS_END) {
		*status = key == ARGS_BAD ? s->cli->ended : take_option(s, key);
		if (key == ARGS_BAD || *status != CLI_DONE)
			return false;
	}
	operands = args_operands(&s->cli->args, &count);
	s->into_spool |= s->cli->spool_path != NULL; /* who names one means it */
	if (s->commands.count > 0 && (s->has_message || count > 0))
		*status = cli_usage_error(
			s->cli, "a message, or --features, --vrfy, --command and the like: not both");
	else if (s->into_spool && (s->has_server || s->commands.count > 0 || s->style != TRANSCRIPT_NONE))
		*status = cli_usage_error(s->cli,
					  "--queue, --spool: no server is asked, so no option of one fits");
	else if (s->into_spool && s->load.asked)
		*status = cli_usage_error(
			s->cli, "--queue: load is made on servers (--repeat, --connections and the like)");
	else if (s->load.asked && s->style != TRANSCRIPT_NONE)
		*status = cli_usage_error(s->cli,
					  "no dialogue is shown of --repeat, --connections and the like");
	else if (s->load.json && !s->load.asked)
		*status = cli_usage_error(s->cli, "--json shows figures: it goes with --repeat");
	else if (s->into_spool && (s->envelope.mail.len > 0 || s->envelope.rcpt.len > 0))
		*status = cli_usage_error(s->cli,
					  "--queue: the spool keeps no --mail-option and no --rcpt-option");
	else
		*status = send_message_operands(&s->message, s->cli, operands, count);
	return *status == CLI_DONE;
}

/* Over a connection, with its dialogue. */
static enum cli_status run_session(struct send *s)
{
	enum cli_status status;

	transcript_init(&s->transcript, s->style, s->session.settings.lmtp);
	if (s->commands.count > 0) {
		send_begin_transcript(s);
		status = send_commands_run(&s->commands, &s->session.settings, &s->transcript);
	} else if (s->load.asked) {
		status = send_as_load(s);
	} else {
		status = send_to_server(s);
	}
	transcript_release(&s->transcript);
	return status;
}

static enum cli_status run(struct send *s)
{
	enum cli_status status = s->into_spool ? CLI_DONE : send_session_settle(&s->session, s->cli);

	if (s->into_spool)
		s->session.hostname = settings_hostname(s->cli->config_file);
	if (status == CLI_DONE && s->commands.count == 0)
		status = send_message_open(&s->message, s->cli, s->session.hostname);
	if (status != CLI_DONE)
		return status;
	return s->into_spool ? send_to_spool(s) : run_session(s);
}

enum cli_status verb_send(struct cli *cli)
{
	struct send s = { .cli = cli };
	enum cli_status status = CLI_DONE;

	signal(SIGPIPE, SIG_IGN); /* a server that hangs up is an outcome */
	send_session_init(&s.session);
	send_envelope_init(&s.envelope);
	if (read_arguments(&s, &status))
		status = run(&s);
	send_commands_release(&s.commands);
	send_message_release(&s.message);
	send_envelope_release(&s.envelope);
	send_session_release(&s.session);
	return cli_finish_output(status);
}
