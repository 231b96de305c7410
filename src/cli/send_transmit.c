/* SPDX-License-Identifier: ISC */
/* See send_run.h: messages over SMTP or LMTP, with the client of the relay, and every refusal said. */
#include "cli/send_run.h"
#include "submit/transmit.h"

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

static void offer(struct send *s, struct transmit *t)
{
	t->message = s->transcript.content = &s->message.submission;
	t->rcpt = s->message.rcpt;
	t->rcpt_count = t->message->env.rcpt_count;
}

/* The next message, with a report of its own. */
static bool take_message(struct send *s, struct transmit *t)
{
	if (!send_take_message(s))
		return false;
	offer(s, t);
	send_report_init(&s->report, s->session.settings.name, send_message_name(&s->message), t->rcpt_count);
	return true;
}

static bool on_next(void *ctx, struct transmit *t)
{
	struct send *s = ctx;

	send_count_status(s, send_report_status(&s->report));
	s->is_last = !take_message(s, t);
	return !s->is_last;
}

/* All messages, in one connection or, where the server ends it in between, in several. */
static enum cli_status transmit(struct send *s, struct transmit *t)
{
	struct err e;

	do {
		s->answered = s->over = s->is_last = false;
		send_begin_transcript(s);
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
		send_count_status(s, send_report_status(&s->report));
		if (!s->answered) {
			send_say_stopped(s);
			break;
		}
	} while (s->over || take_message(s, t));
	return s->worst;
}

enum cli_status send_to_server(struct send *s)
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
	return take_message(s, &t) ? transmit(s, &t) : s->worst;
}
