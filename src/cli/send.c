/* SPDX-License-Identifier: ISC */
/*
 * posthouse send: mail over SMTP to a server, with the client of the relay
 * (upstream/), and every refusal said. No spool is touched: what the server
 * does not take is still where it came from.
 *
 * Here are the parts put together: send_session.c (which server, how),
 * send_message.c (what, to whom; send_compose.c when it is built,
 * send_source.c when it is read), send_report.c (what came of it),
 * transcript.c (what was said). Each of the first two has a segment of the
 * option table.
 */
#include <signal.h>

#include "base/assert.h"
#include "cli/send_message.h"
#include "cli/send_report.h"
#include "cli/send_session.h"
#include "cli/transcript.h"
#include "cli/verbs.h"
#include "submit/transmit.h"

static const struct args_option own_options[] = {
	{ "verbose", 'v', NULL, "show the SMTP dialogue on standard error" },
	ARGS_OPTIONS_END,
};

const struct args_segment send_segments[] = {
	{ "The server", send_session_options },
	{ "The message", send_message_options },
	{ "Building a message", send_compose_options },
	{ "Output", own_options },
	{ NULL, NULL },
};

struct send {
	struct cli *cli;
	struct send_session session;
	struct send_message message;
	struct send_report report; /* of the present message */
	enum cli_status worst; /* of the messages before it */
	bool verbose;
	/* of this connection */
	bool answered; /* some transaction was */
	bool over; /* it ended before the present message was through; the next one takes it */
};

/* ---- what the connection tells ------------------------------------------------- */

static void on_recipient(void *ctx, size_t i, const struct smtp_reply *reply)
{
	struct send *s = ctx;

	send_report_recipient(&s->report, s->message.submission.env.rcpt[i].address, reply);
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

static void on_trace(void *ctx, bool from_server, const char *text, size_t len)
{
	(void)ctx;
	transcript_line(from_server, text, len);
}

/* ---- the run ------------------------------------------------------------------- */

static void settle(struct send *s)
{
	enum cli_status status = send_report_status(&s->report);

	if (status > s->worst)
		s->worst = status;
}

static void offer(struct send *s, struct transmit *t)
{
	t->message = &s->message.submission;
	t->rcpt = s->message.rcpt;
	t->rcpt_count = t->message->env.rcpt_count;
}

/* The next message, with a report of its own; false: there is none. */
static bool take_message(struct send *s, struct transmit *t)
{
	if (!send_message_next(&s->message, s->cli, &s->worst))
		return false;
	offer(s, t);
	send_report_init(&s->report, s->session.settings.name, send_message_name(&s->message), t->rcpt_count);
	return true;
}

static bool on_next(void *ctx, struct transmit *t)
{
	struct send *s = ctx;

	settle(s);
	return take_message(s, t);
}

/* All messages, in one connection or, where the server ends it in between, in several. */
static enum cli_status transmit(struct send *s)
{
	static const struct transmit_ops quiet = { on_recipient, on_done, on_closed, NULL, NULL };
	static const struct transmit_ops verbose = { on_recipient, on_done, on_closed, on_trace, NULL };
	struct transmit t = { .settings = &s->session.settings,
			      .next = on_next,
			      .ops = s->verbose ? &verbose : &quiet,
			      .ctx = s };
	bool more = take_message(s, &t);
	struct err e;

	while (more) {
		s->answered = s->over = false;
		if (transmit_run(&t, &e) < 0) {
			cli_error("%s", e.text);
			return CLI_UNREACHABLE;
		}
		if (s->over) {
			offer(s, &t);
			continue;
		}
		if (!s->answered) {
			settle(s);
			if (send_message_name(&s->message))
				cli_error("%s: stopped there; what follows was not sent", send_message_name(&s->message));
			break;
		}
		settle(s);
		more = take_message(s, &t);
	}
	return s->worst;
}

static enum cli_status take_option(struct send *s, int key)
{
	const char *value = s->cli->args.value;
	enum cli_status status = CLI_DONE;

	if (key == 'v')
		s->verbose = true;
	else if (!send_session_take(&s->session, key, value) &&
		 !send_message_take(&s->message, s->cli, key, value, &status))
		assert_failed("an option without a meaning", __FILE__, __LINE__);
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
	*status = send_message_operands(&s->message, s->cli, operands, count);
	return *status == CLI_DONE;
}

static enum cli_status run(struct send *s)
{
	enum cli_status status = send_session_settle(&s->session, s->cli);

	if (status == CLI_DONE)
		status = send_message_open(&s->message, s->cli, s->session.hostname);
	if (status == CLI_DONE)
		status = transmit(s);
	return status;
}

enum cli_status verb_send(struct cli *cli)
{
	struct send s = { .cli = cli };
	enum cli_status status = CLI_DONE;

	signal(SIGPIPE, SIG_IGN); /* a server that hangs up is an outcome */
	if (read_arguments(&s, &status))
		status = run(&s);
	send_message_release(&s.message);
	send_session_release(&s.session);
	return cli_finish_output(status);
}
