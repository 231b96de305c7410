/* SPDX-License-Identifier: ISC */
/*
 * posthouse send: mail over SMTP to a server, with the client of the relay
 * (upstream/), and every refusal said. No spool is touched: what the server
 * does not take is still where it came from.
 *
 * Here are the parts put together: send_session.c (which server, how),
 * send_message.c (what, to whom; send_compose.c when it is built,
 * send_source.c when it is read), send_report.c (what came of it),
 * transcript.c (what was said). Without a message: send_commands.c (what the
 * server can, and is asked). Each has a segment of the option table.
 */
#include <signal.h>

#include "base/assert.h"
#include "cli/send_commands.h"
#include "cli/send_envelope.h"
#include "cli/send_message.h"
#include "cli/send_report.h"
#include "cli/send_session.h"
#include "cli/transcript.h"
#include "cli/verbs.h"
#include "submit/transmit.h"

enum { OPT_TRANSCRIPT = ARGS_LONG_ONLY + 700 };

static const struct args_option own_options[] = {
	{ "verbose", 'v', NULL, "show the SMTP dialogue; twice: with times" },
	{ "transcript", OPT_TRANSCRIPT, "STYLE", "so: plain, times, python or python-times" },
	ARGS_OPTIONS_END,
};

const struct args_segment send_segments[] = {
	{ "The server", send_session_options },
	{ "The message", send_message_options },
	{ "Building a message", send_compose_options },
	{ "What MAIL and RCPT say", send_envelope_options },
	{ "Instead of a message; each may be repeated", send_commands_options },
	{ "Output", own_options },
	{ NULL, NULL },
};

struct send {
	struct cli *cli;
	struct send_session session;
	struct send_message message;
	struct send_envelope envelope;
	struct send_commands commands;
	struct send_report report; /* of the present message */
	enum cli_status worst; /* of the messages before it */
	size_t count; /* of them */
	/* of this connection */
	bool answered; /* some transaction was */
	bool is_last; /* the report is counted, and no message is left */
	bool over; /* it ended before the present message was begun; the next one takes it */
	struct transcript transcript;
	enum transcript_style style;
	bool has_message; /* an option or operand of a message was given */
};

/* ---- what the connection tells ------------------------------------------------- */

static void on_recipient(void *ctx, size_t i, const struct smtp_reply *reply)
{
	struct send *s = ctx;

	send_report_recipient(&s->report, s->message.submission.env.rcpt[i].address, reply);
}

static void on_final(void *ctx, size_t i, const struct smtp_reply *reply)
{
	struct send *s = ctx;

	send_report_final(&s->report, s->message.submission.env.rcpt[i].address, reply);
}

static void on_done(void *ctx, const size_t *rcpt, size_t count, const struct upstream_outcome *outcome,
		    const char *remote)
{
	struct send *s = ctx;

	(void)rcpt;
	s->answered |= outcome->how == UPSTREAM_ANSWERED;
	send_report_done(&s->report, count, outcome, remote);
}

static void on_closed(void *ctx, const struct upstream_outcome *why, bool ever_ready)
{
	struct send *s = ctx;

	/* a server may limit the messages of a connection: what it did not begin is for the next one */
	s->over = s->answered && !s->report.done && s->report.ended == 0 && s->report.refused == 0;
	if (!s->over)
		send_report_closed(&s->report, why, ever_ready);
}

static void on_session(void *ctx, const struct upstream_conn *c, bool ready)
{
	struct send *s = ctx;
	struct upstream_tls_info tls;

	if (ready)
		transcript_session(&s->transcript, upstream_conn_remote(c), upstream_conn_via(c),
				   upstream_conn_tls(c, &tls) ? &tls : NULL);
}

static void on_wire(void *ctx, bool from_server, const char *data, size_t len)
{
	struct send *s = ctx;

	transcript_wire(&s->transcript, from_server, data, len);
}

/* ---- the run ------------------------------------------------------------------- */

static void count_status(struct send *s, enum cli_status status)
{
	s->worst = s->count++ == 0 ? status : send_report_combine(s->worst, status);
}

static void offer(struct send *s, struct transmit *t)
{
	t->message = s->transcript.content = &s->message.submission;
	t->rcpt = s->message.rcpt;
	t->rcpt_count = t->message->env.rcpt_count;
}

/* The next message that can be sent, with a report of its own; false: there is none. */
static bool take_message(struct send *s, struct transmit *t)
{
	enum cli_status status;

	for (;;) {
		switch (send_message_next(&s->message, s->cli, &status)) {
		case SEND_NEXT_END:
			return false;
		case SEND_NEXT_MESSAGE:
			status = send_envelope_apply(&s->envelope, s->cli, &s->message.submission.env,
						     s->message.submission.has_eightbit);
			if (status == CLI_DONE) {
				offer(s, t);
				send_report_init(&s->report, s->session.settings.name,
						 send_message_name(&s->message), t->rcpt_count);
				return true;
			}
			count_status(s, status);
			break;
		case SEND_NEXT_BAD:
			count_status(s, status);
			break;
		}
	}
}

static bool on_next(void *ctx, struct transmit *t)
{
	struct send *s = ctx;

	count_status(s, send_report_status(&s->report));
	s->is_last = !take_message(s, t);
	return !s->is_last;
}

static void stopped(struct send *s)
{
	if (send_message_name(&s->message))
		cli_error("%s: stopped there; what follows was not sent", send_message_name(&s->message));
}

static void begin_transcript(struct send *s)
{
	const struct upstream_settings *settings = &s->session.settings;

	transcript_connecting(&s->transcript, &settings->remote, settings->tls == UPSTREAM_TLS_IMPLICIT,
			      settings->source_ipv4 ? settings->source_ipv4 : settings->source_ipv6);
}

/* All messages, in one connection or, where the server ends it in between, in several. */
static enum cli_status transmit(struct send *s, struct transmit *t)
{
	struct err e;

	do {
		s->answered = s->over = s->is_last = false;
		begin_transcript(s);
		if (transmit_run(t, &e) < 0) {
			cli_error("%s", e.text);
			return CLI_UNREACHABLE;
		}
		if (s->over) {
			offer(s, t);
			continue;
		}
		/* on_next took the last one into account, and found no other */
		if (s->is_last)
			break;
		count_status(s, send_report_status(&s->report));
		if (!s->answered) {
			stopped(s);
			break;
		}
	} while (s->over || take_message(s, t));
	return s->worst;
}

static enum cli_status send_all(struct send *s)
{
	static const struct transmit_ops ops = { .recipient = on_recipient,
						 .final = on_final,
						 .done = on_done,
						 .closed = on_closed,
						 .session = on_session,
						 .wire = on_wire };
	struct transmit t = { .settings = &s->session.settings,
			      .more = &s->envelope.more,
			      .next = on_next,
			      .ops = &ops,
			      .ctx = s };

	send_envelope_settle(&s->envelope);
	if (take_message(s, &t))
		return transmit(s, &t);
	if (s->count == 0) {
		cli_error("there is no message");
		return CLI_NOTHING;
	}
	return s->worst;
}

static enum cli_status take_own(struct send *s, int key, const char *value)
{
	switch (key) {
	case 'v':
		s->style = s->style == TRANSCRIPT_PLAIN ? TRANSCRIPT_TIMES : TRANSCRIPT_PLAIN;
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

	if (send_session_take(&s->session, s->cli, key, value, &status) ||
	    send_commands_take(&s->commands, s->cli, key, value, &status))
		return status;
	if (!send_message_take(&s->message, s->cli, key, value, &status) &&
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
	if (s->commands.count > 0 && (s->has_message || count > 0))
		*status = cli_usage_error(
			s->cli, "a message, or --features, --vrfy, --command and the like: not both");
	else
		*status = send_message_operands(&s->message, s->cli, operands, count);
	return *status == CLI_DONE;
}

static enum cli_status run(struct send *s)
{
	const struct upstream_settings *settings = &s->session.settings;
	enum cli_status status = send_session_settle(&s->session, s->cli);

	if (status == CLI_DONE && s->commands.count == 0)
		status = send_message_open(&s->message, s->cli, s->session.hostname);
	if (status != CLI_DONE)
		return status;
	transcript_init(&s->transcript, s->style, settings->lmtp);
	if (s->commands.count > 0) {
		begin_transcript(s);
		status = send_commands_run(&s->commands, settings, &s->transcript);
	} else {
		status = send_all(s);
	}
	transcript_release(&s->transcript);
	return status;
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
