/* SPDX-License-Identifier: ISC */
/* See pipeline.h. */
#include "upstream/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "upstream/command.h"
#include "upstream/pipeline_internal.h"

#define FLIGHTS PIPELINE_WINDOW
#define REFUSED_AT_ONCE 64 /* transactions the upstream cannot take, before others get their turn */

static struct flight *oldest(struct pipeline *p)
{
	return p->count > 0 ? &p->flight[p->first] : NULL;
}

static struct flight *newest(struct pipeline *p)
{
	return p->count > 0 ? &p->flight[(p->first + p->count - 1) % FLIGHTS] : NULL;
}

void pipeline_init(struct pipeline *p, const struct upstream_features *features,
		   const struct upstream_settings *settings, const struct pipeline_ops *ops, void *ctx)
{
	memset(p, 0, sizeof(*p));
	p->features = features;
	p->settings = settings;
	p->ahead = settings->pipelining && features->pipelining;
	p->ops = ops;
	p->ctx = ctx;
	p->out = mem_alloc(PIPELINE_OUT_BYTES);
}

void pipeline_release(struct pipeline *p)
{
	for (size_t i = 0; i < p->count; i++)
		flight_release(&p->flight[(p->first + i) % FLIGHTS]);
	free(p->out);
	memset(p, 0, sizeof(*p));
}

/* ---- where things stand ---------------------------------------------------- */

enum upstream_phase pipeline_phase(const struct pipeline *p)
{
	return p->count > 0 ? flight_phase(&p->flight[p->first], p->wire_bytes) : UPSTREAM_IDLE;
}

size_t pipeline_in_flight(const struct pipeline *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->count; i++)
		n += p->flight[(p->first + i) % FLIGHTS].txn != NULL;
	return n;
}

/*
 * Whether the end of the connection has to do with this transaction, the
 * oldest one. It has once a reply to it came. Before that only if it was the
 * connection's first: an upstream may close a connection that served its
 * time whenever it likes, but one that falls at each fresh MAIL must cost
 * that message a try, or it would be offered for ever. And one that is whole
 * on the wire may have been delivered, if nothing was said to that.
 */
static bool is_involved(const struct pipeline *p, const struct flight *f, enum upstream_how how, bool by_us)
{
	if (f->answered > f->rset || (how == UPSTREAM_NO_ANSWER && flight_is_out(f, p->wire_bytes)))
		return true;
	return f->is_first && p->wire_bytes > f->begin_at && !by_us;
}

/* Whatever was answered: with BDAT it may all be out before the answer to MAIL is in. */
static enum upstream_phase phase_of_end(const struct pipeline *p, const struct flight *f,
					enum upstream_how how)
{
	if (how == UPSTREAM_NO_ANSWER && flight_is_out(f, p->wire_bytes))
		return UPSTREAM_FINAL_DOT;
	return flight_phase(f, p->wire_bytes);
}

enum pipeline_result pipeline_end_with(struct pipeline *p, enum upstream_how how, bool by_us,
				       const struct smtp_reply *reply)
{
	const struct flight *f = oldest(p);

	if (p->over)
		return PIPELINE_OVER;
	p->over = true;
	p->why.how = how;
	p->why.phase = f && is_involved(p, f, how, by_us) ? phase_of_end(p, f, how) : UPSTREAM_IDLE;
	p->why.reply = *reply;
	if (p->quit_sent && how != UPSTREAM_ANSWERED) {
		/* how a connection goes down behind QUIT is nobody's trouble */
		p->why.how = UPSTREAM_ANSWERED;
		smtp_reply_set(&p->why.reply, 221, "", "%s", reply->text);
	}
	return PIPELINE_OVER;
}

void pipeline_lost(struct pipeline *p, bool by_us, const char *text)
{
	struct smtp_reply reply;

	smtp_reply_set(&reply, 0, "", "%s", text);
	pipeline_end_with(p, UPSTREAM_NO_ANSWER, by_us, &reply);
}

/* The dialogue makes no sense any more: which reply belongs to what is not known from here on. */
static enum pipeline_result broken(struct pipeline *p, const char *what, const struct smtp_reply *got)
{
	struct smtp_reply reply;

	smtp_reply_set(&reply, 0, "", "%s: \"%d%s%s %.200s\"", what, got->code, got->enhanced[0] ? " " : "",
		       got->enhanced, got->text);
	return pipeline_end_with(p, UPSTREAM_NO_ANSWER, false, &reply);
}

/* Tells the transaction its end; the flight stays until what was sent is answered. */
void pipeline_finish(struct flight *f, enum upstream_how how, enum upstream_phase phase,
		     const struct smtp_reply *reply)
{
	struct upstream_outcome outcome = { how, phase, *reply };
	struct upstream_txn *t = f->txn;

	f->txn = NULL;
	if (t)
		t->done(t, &outcome);
}

/* ---- output ---------------------------------------------------------------- */

/*
 * Whether another transaction may follow f: all of f is out, and it is not
 * waiting for the answer to DATA: should that be 354, even for a transaction
 * that came to nothing, what we send next is taken for its content.
 */
static bool may_follow(const struct pipeline *p, const struct flight *f)
{
	bool awaits_data = !f->bdat && f->sent == flight_data_index(f) + 1 && f->answered < f->sent;

	return p->ahead && p->count < FLIGHTS && f->sent == f->total && !awaits_data;
}

static bool wants_bdat(const struct pipeline *p, const struct upstream_txn *t)
{
	switch (p->settings->chunking) {
	case UPSTREAM_CHUNKING_NEEDED:
		return t->env->body == BODY_BINARYMIME;
	case UPSTREAM_CHUNKING_ALWAYS:
		return p->features->chunking;
	case UPSTREAM_CHUNKING_NEVER:
		break;
	}
	return false;
}

static void take(struct pipeline *p, struct upstream_txn *t)
{
	const struct flight *before = newest(p);
	struct flight *f = &p->flight[(p->first + p->count) % FLIGHTS];

	flight_init(f, t, p->need_rset || (before && before->bdat), wants_bdat(p, t), p->settings->lmtp);
	p->count++;
	f->is_first = !p->any_taken;
	f->begin_at = p->put_bytes;
	p->need_rset = false;
	p->any_taken = true;
}

/* Asks for another transaction; false when there is none to be had now. */
static bool take_next(struct pipeline *p)
{
	struct upstream_outcome refusal = { UPSTREAM_UNSUPPORTED, UPSTREAM_MAIL, { 0 } };
	struct upstream_txn *t;

	for (int i = 0; i < REFUSED_AT_ONCE; i++) {
		if (p->quitting || p->over) /* a done() below may have given the connection up */
			return false;
		t = p->ops->next(p->ctx);
		if (!t)
			return false;
		if (command_can_take(p->features, p->settings, t, &refusal.reply)) {
			take(p, t);
			return true;
		}
		t->done(t, &refusal);
	}
	p->more = true;
	return false;
}

enum pipeline_result pipeline_fill(struct pipeline *p)
{
	struct flight *f;

	p->more = false;
	while (!p->over) {
		f = newest(p);
		if (f && pipeline_put_next(p, f))
			continue;
		if (p->over || (f && !may_follow(p, f)) || !take_next(p))
			break;
	}
	if (!p->over && p->quitting && p->count == 0 && !p->quit_sent)
		p->quit_sent = pipeline_put_command(p, "QUIT", 4);
	return p->over ? PIPELINE_OVER : PIPELINE_GO_ON;
}

size_t pipeline_output(const struct pipeline *p, const char **data)
{
	*data = p->out + p->out_from;
	return p->out_len - p->out_from;
}

void pipeline_sent(struct pipeline *p, size_t n)
{
	ASSERT(n <= p->out_len - p->out_from);
	p->out_from += n;
	p->wire_bytes += n;
	if (p->out_from == p->out_len)
		p->out_from = p->out_len = 0;
}

void pipeline_quit(struct pipeline *p)
{
	p->quitting = true;
}

/* ---- replies --------------------------------------------------------------- */

static bool is_ok(const struct smtp_reply *r)
{
	return r->code / 100 == 2;
}

static bool is_refusal(const struct smtp_reply *r)
{
	return r->code / 100 == 4 || r->code / 100 == 5;
}

static void on_mail(struct flight *f, const struct smtp_reply *reply)
{
	f->mail_accepted = is_ok(reply);
	if (f->mail_accepted)
		return;
	flight_cut_short(f);
	pipeline_finish(f, UPSTREAM_ANSWERED, UPSTREAM_MAIL, reply);
}

static void on_rcpt(struct flight *f, size_t rcpt, const struct smtp_reply *reply)
{
	if (!f->txn)
		return; /* MAIL was refused: this is the 503 that follows from it */
	if (is_ok(reply))
		flight_accept(f, rcpt);
	f->txn->recipient(f->txn, rcpt, reply);
	if (rcpt + 1 == f->rcpt_count && f->rcpt_accepted == 0) {
		flight_cut_short(f);
		pipeline_finish(f, UPSTREAM_ANSWERED, UPSTREAM_RCPT, reply);
	}
}

static enum pipeline_result on_data(struct pipeline *p, struct flight *f, const struct smtp_reply *reply)
{
	f->total = flight_content_index(f);
	if (reply->code != 354) {
		pipeline_finish(f, UPSTREAM_ANSWERED, UPSTREAM_DATA, reply);
	} else if (f->txn) {
		f->total++;
	} else if (f->accepted) {
		/*
		 * RFC 2033 4.2 has DATA refused then; how many answers a dot would get here nobody can know
		 */
		return broken(p, "content is asked for, and nobody is to get it", reply);
	} else {
		/* a server that wants the content of nobody's message gets an empty one (RFC 2920 3.1) */
		f->lone_dot = true;
		f->total++;
	}
	return PIPELINE_GO_ON;
}

static void on_content(struct flight *f, const struct smtp_reply *reply)
{
	/* LMTP: each recipient's own, and the last one ends the transaction */
	if (f->accepted && f->txn) {
		size_t rcpt = flight_take_final(f);

		if (f->txn->final)
			f->txn->final(f->txn, rcpt, reply);
		if (f->answered < f->total)
			return;
	}
	pipeline_finish(f, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, reply);
}

/* Whether a server may answer so. 3yz only says to go on with DATA, and nothing but 354 does. */
static bool is_possible(enum flight_step step, const struct smtp_reply *reply)
{
	if (step == FLIGHT_RSET)
		return is_ok(reply);
	return is_refusal(reply) || (step == FLIGHT_DATA ? reply->code == 354 : is_ok(reply));
}

/* A reply that no command asked for. */
static enum pipeline_result on_unexpected(struct pipeline *p, struct flight *f,
					  const struct smtp_reply *reply)
{
	if (f && flight_phase(f, p->wire_bytes) == UPSTREAM_CONTENT && is_refusal(reply))
		return pipeline_end_with(p, UPSTREAM_ANSWERED, false,
					 reply); /* it does not want to hear the rest */
	return broken(p, "a reply that was not asked for", reply);
}

/* All that was sent of it is answered. */
static void leave_first(struct pipeline *p, bool last_is_ok)
{
	struct flight *f = oldest(p);
	/* behind a refused BDAT only RSET leads on, whatever was refused before (RFC 3030 2) */
	bool is_open = f->bdat && f->is_whole ? !last_is_ok : f->mail_accepted && !f->is_whole;

	flight_release(f);
	p->first = (p->first + 1) % FLIGHTS;
	p->count--;
	p->left++;
	/* who follows already said its own RSET, or was not to be begun before this one ended */
	if (p->count == 0)
		p->need_rset = is_open;
}

enum pipeline_result pipeline_reply(struct pipeline *p, const struct smtp_reply *reply)
{
	struct flight *f = oldest(p);
	enum flight_step step;
	size_t rcpt;

	if (p->over)
		return PIPELINE_OVER;
	if (reply->code == 421 || (!f && p->quit_sent)) /* RFC 5321 3.8: the upstream closes the connection */
		return pipeline_end_with(p, UPSTREAM_ANSWERED, false, reply);
	if (!f || f->answered == f->sent || flight_phase(f, p->wire_bytes) == UPSTREAM_CONTENT)
		return on_unexpected(p, f, reply);
	step = flight_step(f, f->answered, &rcpt);
	if (!is_possible(step, reply))
		return broken(p, "a reply that makes no sense here", reply);
	f->answered++;
	switch (step) {
	case FLIGHT_RSET:
		break;
	case FLIGHT_MAIL:
		on_mail(f, reply);
		break;
	case FLIGHT_RCPT:
		on_rcpt(f, rcpt, reply);
		break;
	case FLIGHT_DATA:
		if (on_data(p, f, reply) == PIPELINE_OVER)
			return PIPELINE_OVER;
		break;
	case FLIGHT_CONTENT:
		on_content(f, reply);
		break;
	}
	if (f->answered == f->total)
		leave_first(p, is_ok(reply));
	return p->over ? PIPELINE_OVER : PIPELINE_GO_ON;
}

/* What the end means for one that is not the oldest: with BDAT it may be out whole all the same. */
static void end_follower(struct pipeline *p, struct flight *f)
{
	/* behind a 421 nothing more was read: the upstream answers in order */
	if (p->why.how != UPSTREAM_ANSWERED && flight_is_out(f, p->wire_bytes))
		pipeline_finish(f, UPSTREAM_NO_ANSWER, UPSTREAM_FINAL_DOT, &p->why.reply);
	else
		pipeline_finish(f, UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, &p->why.reply);
}

void pipeline_end(struct pipeline *p)
{
	bool involved = p->why.phase != UPSTREAM_IDLE;

	ASSERT(p->over);
	while (p->count > 0) {
		struct flight *f = oldest(p);

		p->first = (p->first + 1) % FLIGHTS;
		p->count--;
		if (involved)
			pipeline_finish(f, p->why.how, p->why.phase, &p->why.reply);
		else
			end_follower(p, f);
		flight_release(f);
		involved = false; /* only the oldest can be */
	}
}
