/* SPDX-License-Identifier: ISC */
/* See explain_facts.h. The sentences; explain_next.c has those about what comes. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "cli/explain_say.h"
#include "cli/explain_words.h"
#include "cli/json.h"
#include "cli/style.h"
#include "manage/action.h"

#define NAMED_MAX 5 /* recipients of a group that are named */

/* ---- what it is, and what happened ------------------------------------------------------ */

static void tell_message(struct teller *t)
{
	const struct listing *l = &t->x->listing;
	const struct envelope *env = &l->msg.env;
	char size[16];

	buf_addf(&t->text, "Message %s, %s%s, ", l->id.text,
		 num_format_size(l->msg.content_bytes, size, sizeof(size)),
		 l->msg.content_bytes < 1024 ? " octets" : "");
	if (env->sender[0]) {
		say(t, "from ");
		say_escaped(t, env->sender);
	} else {
		say(t, "without a sender (<>: a report or an automatic answer)");
	}
	if (env->rcpt_count == 1) {
		say(t, " to ");
		say_escaped(t, env->rcpt[0].address);
	} else {
		buf_addf(&t->text, " to %zu recipients", env->rcpt_count);
	}
	say(t, l->condition == CONDITION_FAILED ? ", has " : ", is ");
	term_paint(t->x->term, style_of_condition(l->condition), condition_name(l->condition), &t->text);
	say(t, ".");
	say_end(t, 0);
}

static void tell_arrival(struct teller *t)
{
	const struct envelope *env = &t->x->listing.msg.env;

	say(t, "  ");
	say_ago(t, env->arrived_wall_us);
	say(t, " (");
	say_moment(t, env->arrived_wall_us);
	say(t, "): it arrived");
	if (env->peer[0]) {
		say(t, " from ");
		say_escaped(t, env->peer);
	}
	if (env->helo[0]) {
		say(t, ", which called itself ");
		say_escaped(t, env->helo);
	}
	if (env->auth_user) {
		say(t, ", logged in as ");
		say_escaped(t, env->auth_user);
	}
	if (env->protocol[0]) {
		say(t, ", by ");
		say_escaped(t, env->protocol);
	}
	if (env->listener[0]) {
		say(t, ", at the listener ");
		say_quoted(t, env->listener);
	}
	say(t, ".");
	say_end(t, 4);
}

static void tell_history(struct teller *t)
{
	const struct spool_state *st = &t->x->listing.state;

	say_heading(t, "What happened");
	tell_arrival(t);
	for (size_t i = 0; i < st->event_count; i++) {
		say(t, "  ");
		say_ago(t, st->event[i].when_wall_us);
		say(t, ": ");
		explain_event(&st->event[i], t->x->term, &t->text);
		say_end(t, 4);
	}
	if (st->event_count == 0 && st->tries > 0) {
		buf_addf(&t->text, "  It was tried %u time%s", st->tries, st->tries == 1 ? "" : "s");
		if (st->last_attempt_wall_us > 0) {
			say(t, ", the last time ");
			say_ago(t, st->last_attempt_wall_us);
		}
		say(t, ".");
		say_end(t, 4);
	}
	if (st->event_count == 0 && st->tries == 0 && !st->held)
		fputs("  Nothing since: it was not tried yet.\n", t->out);
	if (st->uncertain) {
		say(t, "  The last attempt sent the whole message and got no answer: the upstream may have "
		       "delivered it, "
		       "and the next attempt may then make a duplicate. It is tried again all the same, as a "
		       "loss would be worse.");
		say_end(t, 4);
	}
}

static void tell_group(struct teller *t, enum rcpt_status status, const char *words)
{
	const struct listing *l = &t->x->listing;
	size_t n = spool_state_count(&l->state, status), named = 0;

	if (n == 0)
		return;
	buf_addf(&t->text, "  %zu ", n);
	term_paint(t->x->term, style_of_status(status), words, &t->text);
	say(t, ": ");
	for (size_t i = 0; i < l->state.rcpt_count && named < NAMED_MAX; i++) {
		if (l->state.rcpt[i].status != status)
			continue;
		if (named++ > 0)
			say(t, ", ");
		say_escaped(t, l->msg.env.rcpt[i].address);
	}
	if (named < n)
		buf_addf(&t->text, ", and %zu more ('posthouse show %s' lists them)", n - named, l->id.text);
	say(t, ".");
	say_end(t, 4);
}

static void tell_recipients(struct teller *t)
{
	if (t->x->listing.msg.env.rcpt_count == 1 && t->x->listing.left == 1)
		return;
	say_heading(t, "Recipients");
	tell_group(t, RCPT_DELIVERED, "delivered");
	tell_group(t, RCPT_PENDING, "waiting");
	tell_group(t, RCPT_FAILED, "failed");
	tell_group(t, RCPT_EXPIRED, "given up");
}

/* ---- the last reply ---------------------------------------------------------------------- */

static void tell_reply(struct teller *t)
{
	const char *reply = explain_last_reply(t->x), *because, *detail, *subject;
	struct reply_codes codes;

	if (!reply)
		return;
	say_heading(t, "What the last answer means");
	say(t, "  ");
	say_quoted(t, reply);
	say_end(t, 4);
	reply_codes_read(reply, &codes);
	because = explain_because(&codes);
	detail = explain_detail(&codes);
	subject = explain_subject(&codes);
	if (strncmp(reply, ACTION_BOUNCE_REPLY, sizeof(ACTION_BOUNCE_REPLY) - 1) == 0) {
		say(t, "  These are not the words of an upstream: an operator returned the message to its sender.");
		say_end(t, 4);
		return;
	}
	if (because)
		buf_addf(&t->text, "  %d: %s.", codes.code, because);
	else if (t->x->listing.left == 0)
		say(t, "  This is no answer of the upstream but what went wrong on our side or on the way.");
	else
		say(t, "  This is no answer of the upstream but what went wrong on our side or on the way: "
		       "it is temporary.");
	if (codes.cls) {
		buf_addf(&t->text, " %u.%u.%u: ", codes.cls, codes.subject, codes.detail);
		say(t, codes.cls == 4 ? "for now, " : codes.cls == 5 ? "for good, " : "success, ");
		if (detail)
			say(t, detail);
		else
			buf_addf(&t->text, "it is about %s",
				 subject ? subject : "something that RFC 3463 does not name");
		say(t, ".");
	}
	say_end(t, 4);
}

/* ---- what can be done ------------------------------------------------------------------------ */

static void tell_command(void *ctx, const char *command, const char *why)
{
	const struct teller *t = ctx;

	fprintf(t->out, "  %-38s %s\n", command, why);
}

/* ---- messages that are no more, or not well ----------------------------------------------------- */

static void tell_log(struct teller *t)
{
	const char *log = t->x->routing.known ? t->x->routing.config.log : "auto";

	say(t, "The log of posthoused knows: look for id=");
	say(t, t->x->id.text);
	if (strcmp(log, "stderr") == 0)
		say(t, " in what it writes to standard error (under systemd: journalctl -u posthouse).");
	else
		buf_addf(&t->text,
			 " in the system's log (journalctl -t posthoused -g %s, or grep in "
			 "/var/log/mail.log).",
			 t->x->id.text);
	say_end(t, 0);
}

static void tell_gone(struct teller *t)
{
	int64_t made = spool_id_wall_us(t->x->id.text);

	buf_addf(
		&t->text,
		"There is no message %s in the spool: it was delivered, returned or removed, or it was never "
		"here.",
		t->x->id.text);
	if (made > 0 && made < t->x->now_wall_us) {
		say(t, " Its id was made ");
		say_ago(t, made);
		say(t, " (");
		say_moment(t, made);
		say(t, ").");
	}
	if (t->x->by_relay)
		say(t, " Or it was put aside as damaged: those only root sees.");
	say_end(t, 0);
	tell_log(t);
}

static void tell_corrupt(struct teller *t)
{
	const struct corrupt *c = &t->x->corrupt;

	buf_addf(&t->text, "Message %s was put aside, as its file is ", c->id.text);
	term_paint(t->x->term, TERM_BAD, "damaged", &t->text);
	say(t, ": ");
	say_escaped(t, c->reason[0] ? c->reason : "the reason was not kept");
	say(t, ".");
	say_end(t, 0);
	if (c->when_wall_us > 0) {
		say(t, "That was ");
		say_ago(t, c->when_wall_us);
		say(t, ". ");
	}
	say(t, "It is not tried any more, and it is never deleted by Posthouse: it lies in ");
	say_escaped(t, c->file.path);
	buf_addf(&t->text, "/corrupt/%s.", c->id.text);
	say_end(t, 0);
	if (!c->readable) {
		say(t, "Its envelope cannot be made out. A file that a power cut tore before its 250 was "
		       "never acknowledged: "
		       "then the client still has the message.");
	} else {
		say(t, "It came from ");
		say_escaped(t, c->msg.env.sender[0] ? c->msg.env.sender : "<>");
		buf_addf(&t->text, " for %zu recipient%s (the first: ", c->msg.env.rcpt_count,
			 c->msg.env.rcpt_count == 1 ? "" : "s");
		say_escaped(t, c->msg.env.rcpt_count ? c->msg.env.rcpt[0].address : NULL);
		say(t, "); tell the sender to send it again.");
	}
	say_end(t, 0);
}

static void tell_unreadable(struct teller *t)
{
	buf_addf(&t->text, "Message %s is in the spool and cannot be read: ", t->x->id.text);
	say_escaped(t, t->x->listing.why.text);
	say(t, t->x->listing.condition == CONDITION_CORRUPT ?
		       ". The relay will put it aside in corrupt/ when it comes to it." :
		       ". Run it as root, or as a member of the group that may look.");
	say_end(t, 0);
}

void explain_print(const struct explain *x, FILE *out)
{
	struct teller t = { .x = x, .out = out };

	buf_init(&t.text, SAY_TEXT_MAX);
	switch (x->kind) {
	case EXPLAIN_QUEUED:
		tell_message(&t);
		tell_history(&t);
		tell_recipients(&t);
		tell_reply(&t);
		tell_next(&t);
		break;
	case EXPLAIN_UNREADABLE:
		tell_unreadable(&t);
		break;
	case EXPLAIN_CORRUPT:
		tell_corrupt(&t);
		break;
	case EXPLAIN_GONE:
		tell_gone(&t);
		break;
	}
	say_heading(&t, "What you can do");
	explain_commands(x, tell_command, &t);
	buf_release(&t.text);
}
