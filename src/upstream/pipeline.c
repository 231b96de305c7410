/* SPDX-License-Identifier: ISC */
/* See pipeline.h. */
#include "upstream/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "upstream/command.h"

#define FLIGHTS (sizeof(((struct pipeline *)0)->flight) / sizeof(struct pipeline_flight))
#define REFUSED_AT_ONCE 64 /* transactions the upstream cannot take, before others get their turn */

enum kind { KIND_RSET, KIND_MAIL, KIND_RCPT, KIND_DATA, KIND_CONTENT };

static size_t data_index(const struct pipeline_flight *f)
{
	return (size_t)f->rset + 1 + f->rcpt_count;
}

/* What command i of the flight is; *rcpt: which recipient, for RCPT. */
static enum kind kind_of(const struct pipeline_flight *f, size_t i, size_t *rcpt)
{
	*rcpt = 0;
	if (f->rset && i == 0)
		return KIND_RSET;
	i -= f->rset;
	if (i == 0)
		return KIND_MAIL;
	if (i <= f->rcpt_count) {
		*rcpt = i - 1;
		return KIND_RCPT;
	}
	return i == f->rcpt_count + 1 ? KIND_DATA : KIND_CONTENT;
}

static struct pipeline_flight *oldest(struct pipeline *p)
{
	return p->count > 0 ? &p->flight[p->first] : NULL;
}

static struct pipeline_flight *newest(struct pipeline *p)
{
	return p->count > 0 ? &p->flight[(p->first + p->count - 1) % FLIGHTS] : NULL;
}

void pipeline_init(struct pipeline *p, const struct upstream_features *features,
		   enum upstream_eightbit eightbit, bool pipelining, const struct pipeline_ops *ops,
		   void *ctx)
{
	memset(p, 0, sizeof(*p));
	p->features = features;
	p->eightbit = eightbit;
	p->ahead = pipelining && features->pipelining;
	p->ops = ops;
	p->ctx = ctx;
	p->out = mem_alloc(PIPELINE_OUT_BYTES);
}

void pipeline_release(struct pipeline *p)
{
	free(p->out);
	memset(p, 0, sizeof(*p));
}

/* ---- where things stand ---------------------------------------------------- */

static bool dot_is_sent(const struct pipeline *p, const struct pipeline_flight *f)
{
	return f->sent > data_index(f) + 1 && p->wire_bytes >= f->end_at;
}

static enum upstream_phase flight_phase(const struct pipeline *p, const struct pipeline_flight *f)
{
	size_t rcpt;

	switch (kind_of(f, f->answered, &rcpt)) {
	case KIND_RSET:
	case KIND_MAIL:
		return UPSTREAM_MAIL;
	case KIND_RCPT:
		return UPSTREAM_RCPT;
	case KIND_DATA:
		return UPSTREAM_DATA;
	case KIND_CONTENT:
		break;
	}
	return dot_is_sent(p, f) ? UPSTREAM_FINAL_DOT : UPSTREAM_CONTENT;
}

enum upstream_phase pipeline_phase(const struct pipeline *p)
{
	return p->count > 0 ? flight_phase(p, &p->flight[p->first]) : UPSTREAM_IDLE;
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
 * that message a try, or it would be offered for ever.
 */
static bool is_involved(const struct pipeline *p, const struct pipeline_flight *f, bool by_us)
{
	if (f->answered > f->rset)
		return true;
	return f->is_first && p->wire_bytes > f->begin_at && !by_us;
}

static enum pipeline_result end_with(struct pipeline *p, enum upstream_how how, bool by_us,
				     const struct smtp_reply *reply)
{
	const struct pipeline_flight *f = oldest(p);

	if (p->over)
		return PIPELINE_OVER;
	p->over = true;
	p->why.how = how;
	p->why.phase = f && is_involved(p, f, by_us) ? flight_phase(p, f) : UPSTREAM_IDLE;
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
	end_with(p, UPSTREAM_NO_ANSWER, by_us, &reply);
}

/* The dialogue makes no sense any more: which reply belongs to what is not known from here on. */
static enum pipeline_result broken(struct pipeline *p, const char *what, const struct smtp_reply *got)
{
	struct smtp_reply reply;

	smtp_reply_set(&reply, 0, "", "%s: \"%d%s%s %.200s\"", what, got->code, got->enhanced[0] ? " " : "",
		       got->enhanced, got->text);
	return end_with(p, UPSTREAM_NO_ANSWER, false, &reply);
}

/* ---- output ---------------------------------------------------------------- */

static bool put_command(struct pipeline *p, const char *line, size_t len)
{
	if (PIPELINE_OUT_BYTES - p->out_len < len + 2)
		return false;
	memcpy(p->out + p->out_len, line, len);
	memcpy(p->out + p->out_len + len, "\r\n", 2);
	p->out_len += len + 2;
	p->put_bytes += len + 2;
	if (p->ops->command)
		p->ops->command(p->ctx, line, len);
	return true;
}

/* True when all of it and the final dot are in the output. */
static bool put_content(struct pipeline *p, struct pipeline_flight *f)
{
	size_t room = PIPELINE_OUT_BYTES - p->out_len, n;
	struct smtp_reply reply;
	struct err e;

	if (room < CONTENT_ROOM_MIN)
		return false;
	switch (content_write(&f->content, f->txn, p->out + p->out_len, room, &n, &e)) {
	case CONTENT_FAILED:
		smtp_reply_set(&reply, 0, "", "%s", e.text);
		end_with(p, UPSTREAM_SOURCE_FAILED, true, &reply);
		return false;
	case CONTENT_MORE:
		p->out_len += n;
		p->put_bytes += n;
		return false;
	case CONTENT_END:
		p->out_len += n;
		p->put_bytes += n;
		break;
	}
	if (p->ops->command)
		p->ops->command(p->ctx, ".", 1);
	return true;
}

/* Puts the flight's next command out; false when it has to wait. */
static bool put_next(struct pipeline *p, struct pipeline_flight *f)
{
	char line[COMMAND_MAX];
	size_t rcpt;
	enum kind kind = kind_of(f, f->sent, &rcpt);
	/* the content waits for its 354; without PIPELINING each command waits for the one before it */
	size_t most_unanswered = p->ahead && kind != KIND_CONTENT ? PIPELINE_UNANSWERED_MAX : 1;
	bool put = false;

	if (f->sent == f->total || f->sent - f->answered >= most_unanswered)
		return false;
	switch (kind) {
	case KIND_RSET:
		put = put_command(p, "RSET", 4);
		break;
	case KIND_MAIL:
		put = put_command(p, line, command_mail(line, p->features, f->txn));
		break;
	case KIND_RCPT:
		put = put_command(p, line, command_rcpt(line, p->features, f->txn, rcpt));
		break;
	case KIND_DATA:
		put = put_command(p, "DATA", 4);
		break;
	case KIND_CONTENT:
		put = f->lone_dot ? put_command(p, ".", 1) : put_content(p, f);
		break;
	}
	if (put) {
		f->sent++;
		f->end_at = p->put_bytes;
	}
	return put;
}

/*
 * Whether another transaction may follow f: all of f is out, and it is not
 * waiting for the answer to DATA: should that be 354, even for a transaction
 * that came to nothing, what we send next is taken for its content.
 */
static bool may_follow(const struct pipeline *p, const struct pipeline_flight *f)
{
	bool awaits_data = f->sent == data_index(f) + 1 && f->answered < f->sent;

	return p->ahead && p->count < FLIGHTS && f->sent == f->total && !awaits_data;
}

static void take(struct pipeline *p, struct upstream_txn *t)
{
	struct pipeline_flight *f = &p->flight[(p->first + p->count++) % FLIGHTS];

	memset(f, 0, sizeof(*f));
	f->txn = t;
	f->rcpt_count = t->rcpt_count;
	f->rset = p->need_rset;
	f->is_first = !p->any_taken;
	f->total = data_index(f) + 2;
	f->begin_at = p->put_bytes;
	content_init(&f->content);
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
		if (command_can_take(p->features, p->eightbit, t, &refusal.reply)) {
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
	struct pipeline_flight *f;

	p->more = false;
	while (!p->over) {
		f = newest(p);
		if (f && put_next(p, f))
			continue;
		if (p->over || (f && !may_follow(p, f)) || !take_next(p))
			break;
	}
	if (!p->over && p->quitting && p->count == 0 && !p->quit_sent)
		p->quit_sent = put_command(p, "QUIT", 4);
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

/* Tells the transaction its end; the flight stays until what was sent is answered. */
static void finish(struct pipeline_flight *f, enum upstream_how how, enum upstream_phase phase,
		   const struct smtp_reply *reply)
{
	struct upstream_outcome outcome = { how, phase, *reply };
	struct upstream_txn *t = f->txn;

	f->txn = NULL;
	if (t)
		t->done(t, &outcome);
}

/* The transaction came to nothing: what is not sent yet is not sent any more. */
static void cut_short(struct pipeline_flight *f)
{
	f->total = f->sent > data_index(f) ? data_index(f) + 1 : f->sent;
}

static bool is_ok(const struct smtp_reply *r)
{
	return r->code / 100 == 2;
}

static bool is_refusal(const struct smtp_reply *r)
{
	return r->code / 100 == 4 || r->code / 100 == 5;
}

static void on_mail(struct pipeline_flight *f, const struct smtp_reply *reply)
{
	f->mail_accepted = is_ok(reply);
	if (f->mail_accepted)
		return;
	cut_short(f);
	finish(f, UPSTREAM_ANSWERED, UPSTREAM_MAIL, reply);
}

static void on_rcpt(struct pipeline_flight *f, size_t rcpt, const struct smtp_reply *reply)
{
	if (!f->txn)
		return; /* MAIL was refused: this is the 503 that follows from it */
	if (is_ok(reply))
		f->rcpt_accepted++;
	f->txn->recipient(f->txn, rcpt, reply);
	if (rcpt + 1 == f->rcpt_count && f->rcpt_accepted == 0) {
		cut_short(f);
		finish(f, UPSTREAM_ANSWERED, UPSTREAM_RCPT, reply);
	}
}

static void on_data(struct pipeline_flight *f, const struct smtp_reply *reply)
{
	f->total = data_index(f) + 1;
	if (reply->code == 354) {
		/* a server that wants the content of nobody's message gets an empty one (RFC 2920 3.1) */
		f->lone_dot = f->txn == NULL;
		f->total++;
	} else {
		finish(f, UPSTREAM_ANSWERED, UPSTREAM_DATA, reply);
	}
}

/* Whether a server may answer so. 3yz only says to go on with DATA, and nothing but 354 does. */
static bool is_possible(enum kind kind, const struct smtp_reply *reply)
{
	if (kind == KIND_RSET)
		return is_ok(reply);
	return is_refusal(reply) || (kind == KIND_DATA ? reply->code == 354 : is_ok(reply));
}

/* A reply that no command asked for. */
static enum pipeline_result on_unexpected(struct pipeline *p, struct pipeline_flight *f,
					  const struct smtp_reply *reply)
{
	if (f && flight_phase(p, f) == UPSTREAM_CONTENT && is_refusal(reply))
		return end_with(p, UPSTREAM_ANSWERED, false, reply); /* it does not want to hear the rest */
	return broken(p, "a reply that was not asked for", reply);
}

enum pipeline_result pipeline_reply(struct pipeline *p, const struct smtp_reply *reply)
{
	struct pipeline_flight *f = oldest(p);
	enum kind kind;
	size_t rcpt;

	if (p->over)
		return PIPELINE_OVER;
	if (reply->code == 421 || (!f && p->quit_sent)) /* RFC 5321 3.8: the upstream closes the connection */
		return end_with(p, UPSTREAM_ANSWERED, false, reply);
	if (!f || f->answered == f->sent || flight_phase(p, f) == UPSTREAM_CONTENT)
		return on_unexpected(p, f, reply);
	kind = kind_of(f, f->answered, &rcpt);
	if (!is_possible(kind, reply))
		return broken(p, "a reply that makes no sense here", reply);
	f->answered++;
	switch (kind) {
	case KIND_RSET:
		break;
	case KIND_MAIL:
		on_mail(f, reply);
		break;
	case KIND_RCPT:
		on_rcpt(f, rcpt, reply);
		break;
	case KIND_DATA:
		on_data(f, reply);
		break;
	case KIND_CONTENT:
		finish(f, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, reply);
		break;
	}
	if (f->answered == f->total) {
		p->need_rset = f->mail_accepted && f->total < data_index(f) + 2;
		p->first = (p->first + 1) % FLIGHTS;
		p->count--;
		p->left++;
	}
	return p->over ? PIPELINE_OVER : PIPELINE_GO_ON;
}

void pipeline_end(struct pipeline *p)
{
	bool involved = p->why.phase != UPSTREAM_IDLE;

	ASSERT(p->over);
	while (p->count > 0) {
		struct pipeline_flight *f = oldest(p);

		p->first = (p->first + 1) % FLIGHTS;
		p->count--;
		if (involved)
			finish(f, p->why.how, p->why.phase, &p->why.reply);
		else
			finish(f, UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, &p->why.reply);
		involved = false; /* only the oldest can be */
	}
}
